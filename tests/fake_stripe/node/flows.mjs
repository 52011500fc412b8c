// The flows of a platform on Connect, run by stripe-node against the double at argv[2] with the key argv[3] on the
// connected account argv[4]. Prints one JSON object: what each flow came to. test_node_sdk.py holds it to its promises.
import { once } from 'node:events';
import { createServer } from 'node:http';
import Stripe from 'stripe';

const [base, key, seller] = process.argv.slice(2);
const { hostname, port } = new URL(base);
const stripe = new Stripe(key, { host: hostname, port: Number(port), protocol: 'http', maxNetworkRetries: 0 });
const there = { stripeAccount: seller };
const neverRedirect = { enabled: true, allow_redirects: 'never' };
const came = {};

async function clonePaymentMethod() {
  const customer = await stripe.customers.create({ email: 'ada@example.com', payment_method: 'pm_card_visa' });
  const [original] = (await stripe.paymentMethods.list({ customer: customer.id, type: 'card' })).data;
  const clone = await stripe.paymentMethods.create({ customer: customer.id, payment_method: original.id }, there);
  const theirs = await stripe.customers.create({ payment_method: clone.id }, there);
  const intent = await stripe.paymentIntents.create(
    { amount: 1250, currency: 'usd', customer: theirs.id, payment_method: clone.id, confirm: true,
      application_fee_amount: 125, automatic_payment_methods: neverRedirect },
    there,
  );
  came.paymentMethod = { fresh: clone.id !== original.id, bare: clone.customer === null, status: intent.status };
  return intent;
}

async function cloneToken() {
  const customer = await stripe.customers.create({ source: 'tok_visa' });
  const token = await stripe.tokens.create({ customer: customer.id }, there);
  const charge = await stripe.charges.create({ amount: 900, currency: 'usd', source: token.id }, there);
  const second = await stripe.charges.create({ amount: 900, currency: 'usd', source: token.id }, there).catch((e) => e);
  came.token = { status: charge.status, again: second.code };
}

async function cloneSource() {
  const source = await stripe.sources.create({ type: 'card', token: 'tok_visa' });
  const customer = await stripe.customers.create({ source: source.id });
  const clone = await stripe.sources.create({ customer: customer.id, original_source: source.id }, there);
  const theirs = await stripe.customers.create({ source: clone.id }, there);
  came.source = { isDefault: theirs.default_source === clone.id };
}

async function authenticate() {
  const asked = await stripe.paymentIntents.create(
    { amount: 2000, currency: 'usd', payment_method: 'pm_card_authenticationRequired', confirm: true,
      return_url: 'https://shop.example/back' },
    there,
  );
  const answer = await fetch(asked.next_action.redirect_to_url.url, {
    method: 'POST',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    body: 'outcome=succeeded',
    redirect: 'manual',
  });
  const paid = await stripe.paymentIntents.retrieve(asked.id, {}, there);
  came.threeDSecure = {
    asked: asked.status,
    back: answer.headers.get('location').startsWith('https://shop.example/back?payment_intent='),
    paid: paid.status,
  };
}

async function refund(intent) {
  const made = await stripe.refunds.create({ payment_intent: intent.id, refund_application_fee: true }, there);
  const again = await stripe.refunds.create({ payment_intent: intent.id }, there).catch((e) => e);
  came.refund = { status: made.status, amount: made.amount, again: again.code };
}

async function webhook() {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const heard = once(listener, 'request').then(async ([request, response]) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    response.writeHead(200).end();
    return { body: Buffer.concat(chunks), signature: request.headers['stripe-signature'] };
  });
  const endpoint = await stripe.webhookEndpoints.create({
    url: `http://127.0.0.1:${listener.address().port}/`, enabled_events: ['customer.created'], connect: true,
  });
  const customer = await stripe.customers.create({ name: 'Ada' }, there);
  const { body, signature } = await heard;
  listener.close();
  const event = stripe.webhooks.constructEvent(body, signature, endpoint.secret);
  let forged = 'accepted';
  try {
    stripe.webhooks.constructEvent(`${body} `, signature, endpoint.secret);
  } catch (error) {
    forged = error.type;
  }
  came.webhook = {
    type: event.type, account: event.account === seller, same: event.data.object.id === customer.id, forged,
  };
}

const intent = await clonePaymentMethod();
await cloneToken();
await cloneSource();
await authenticate();
await refund(intent);
await webhook();
console.log(JSON.stringify(came));
