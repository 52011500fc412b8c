// Stripe's SDK for Node against a double of Stripe. run.py starts the double and says by environment where it is.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, test } from 'node:test';
import Stripe from 'stripe';
import { Http2Client } from './http2.mjs';

const { STRIPE_BASE: base, STRIPE_KEY: key, STRIPE_SELLER: seller, STRIPE_CA: authority } = process.env;
const needsState = { skip: process.env.STRIPE_STATELESS ? 'needs a double that remembers' : false };
const { hostname, port, protocol } = new URL(base);
const http2 = protocol === 'https:' ? new Http2Client(base, authority) : undefined;
const connect = (apiKey, maxNetworkRetries = 0) =>
  new Stripe(apiKey, {
    host: hostname, port: Number(port), protocol: protocol.slice(0, -1), httpClient: http2, maxNetworkRetries, telemetry: false,
  });
const stripe = connect(key);
const there = { stripeAccount: seller };
const noRedirects = { enabled: true, allow_redirects: 'never' };

after(() => http2?.close());

async function savedCard(card) {
  const customer = await stripe.customers.create({ email: 'ada@example.com' });
  return [customer, await stripe.paymentMethods.attach(card, { customer: customer.id })];
}

/** Calls the double's control API, by the SDK's own way of sending what it does not know. */
async function fault(what) {
  const headers = { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' };
  if (http2) {
    const answer = await http2.makeRequest(hostname, port, '/_fake/faults', 'POST', headers, JSON.stringify(what));
    assert.ok(answer.getStatusCode() < 300, answer.body);
  } else {
    const answer = await fetch(`${base}/_fake/faults`, { method: 'POST', headers, body: JSON.stringify(what) });
    assert.ok(answer.ok, await answer.text());
  }
}

test('examples', async () => {
  const customer = await stripe.customers.create({ email: 'ada@example.com' });
  assert.equal(customer.object, 'customer');
  assert.equal(customer.email, 'ada@example.com');
  assert.equal((await stripe.customers.retrieve(customer.id)).id, customer.id);
  assert.equal((await stripe.customers.update(customer.id, { description: 'x' })).description, 'x');
  const intent = await stripe.paymentIntents.create({ amount: 1999, currency: 'usd' }, there);
  assert.deepEqual([intent.object, intent.amount], ['payment_intent', 1999]);
  const listed = [];
  for await (const found of stripe.customers.list()) listed.push(found.id);
  assert.ok(listed.length > 0);
  await assert.rejects(stripe.refunds.create({ reason: 'no_such_reason' }), Stripe.errors.StripeInvalidRequestError);
  assert.equal((await stripe.customers.del(customer.id)).deleted, true);
});

test('payment method flow', needsState, async () => {
  const [customer, saved] = await savedCard('pm_card_visa');
  const clone = await stripe.paymentMethods.create({ customer: customer.id, payment_method: saved.id }, there);
  const theirs = await stripe.customers.create({ payment_method: clone.id }, there);
  const paid = await stripe.paymentIntents.create(
    { amount: 1999, currency: 'usd', customer: theirs.id, payment_method: clone.id, confirm: true,
      application_fee_amount: 199, automatic_payment_methods: noRedirects },
    there,
  );
  assert.notEqual(clone.id, saved.id);
  assert.equal(paid.status, 'succeeded');
});

test('token flow', needsState, async () => {
  const customer = await stripe.customers.create({ source: 'tok_visa' });
  const token = await stripe.tokens.create({ customer: customer.id }, there);
  const charge = { amount: 900, currency: 'usd', source: token.id };
  assert.equal((await stripe.charges.create(charge, there)).paid, true);
  await assert.rejects(stripe.charges.create(charge, there), { code: 'token_already_used' });
});

test('source flow', needsState, async () => {
  const source = await stripe.sources.create({ type: 'card', token: 'tok_visa' });
  const customer = await stripe.customers.create({ source: source.id });
  const clone = await stripe.sources.create({ customer: customer.id, original_source: source.id }, there);
  const theirs = await stripe.customers.create({ source: clone.id }, there);
  const paid = await stripe.charges.create({ amount: 900, currency: 'usd', customer: theirs.id }, there);
  assert.deepEqual([paid.paid, paid.source.id], [true, clone.id]);
});

test('pagination', needsState, async () => {
  const made = await Promise.all(Array.from({ length: 7 }, () => stripe.customers.create({}, there)));
  const listed = [];
  for await (const found of stripe.customers.list({ limit: 3 }, there)) listed.push(found.id);
  assert.equal(new Set(listed).size, listed.length);
  assert.deepEqual(made.filter(({ id }) => !listed.includes(id)), []);
});

test('errors', needsState, async () => {
  const [customer, declined] = await savedCard('pm_card_chargeCustomerFail');
  const pay = { amount: 1999, currency: 'usd', confirm: true, customer: customer.id, payment_method: declined.id,
    automatic_payment_methods: noRedirects };
  const { errors } = Stripe;
  await assert.rejects(stripe.paymentIntents.create(pay), (error) => {
    assert.ok(error instanceof errors.StripeCardError);
    assert.deepEqual([error.decline_code, error.payment_intent.status], ['generic_decline', 'requires_payment_method']);
    return true;
  });
  await assert.rejects(stripe.customers.retrieve('cus_nobody'), errors.StripeInvalidRequestError);
  await assert.rejects(connect('sk_test_invalid').customers.create(), errors.StripeAuthenticationError);
  await assert.rejects(stripe.customers.create({}, { stripeAccount: 'acct_1Stranger' }), errors.StripePermissionError);
  const match = { method: 'POST', path: '/v1/customers' };
  await fault({ match, act: { kind: 'status', status: 500 } });
  await assert.rejects(stripe.customers.create(), errors.StripeAPIError);
  await fault({ match, act: { kind: 'status', status: 429 } });
  await assert.rejects(stripe.customers.create(), errors.StripeRateLimitError);
  // Over HTTP/1.1 the SDK tries a lost connection once more, whatever the retries.
  await fault({ match, act: 'drop_before', times: http2 ? 1 : 2 });
  await assert.rejects(stripe.customers.create(), errors.StripeConnectionError);
  const idempotent = { idempotencyKey: `node-${key}` };
  await stripe.paymentIntents.create({ amount: 100, currency: 'usd' }, idempotent);
  await assert.rejects(
    stripe.paymentIntents.create({ amount: 200, currency: 'usd' }, idempotent), errors.StripeIdempotencyError);
});

test('lost answers', needsState, async () => {
  await fault({ match: { method: 'POST', path: '/v1/payment_intents' }, act: 'commit_then_drop', times: 2 });
  const made = await connect(key, 3).paymentIntents.create({ amount: 4242, currency: 'usd' }, there);
  const intents = [];
  for await (const found of stripe.paymentIntents.list({}, there)) if (found.amount === 4242) intents.push(found.id);
  assert.deepEqual(intents, [made.id]);
  assert.equal(made.lastResponse.headers['idempotent-replayed'], 'true');
});

test('webhook', needsState, async () => {
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
  assert.deepEqual([event.type, event.account, event.data.object.id], ['customer.created', seller, customer.id]);
  assert.throws(
    () => stripe.webhooks.constructEvent(`${body} `, signature, endpoint.secret),
    Stripe.errors.StripeSignatureVerificationError,
  );
  await stripe.webhookEndpoints.del(endpoint.id);
});
