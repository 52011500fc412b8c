// The guide's calls of a first charge with Stripe's SDK for Node: node saga.mjs URL SECONDS IN_FLIGHT
// Prints how many were made, in how many seconds, for how much user + system time of this process.
import Stripe from "stripe";

const [url, seconds, inFlight] = [new URL(process.argv[2]), Number(process.argv[3]), Number(process.argv[4])];
const stripe = new Stripe("sk_test_bench", {
  host: url.hostname, port: url.port, protocol: "http", telemetry: false, maxNetworkRetries: 0,
});
const options = { stripeAccount: "acct_1Bench000000001" };

async function firstCharge() {
  const method = await stripe.paymentMethods.create({ customer: "cus_a", payment_method: "pm_a" }, options);
  const customer = await stripe.customers.create({ payment_method: method.id }, options);
  await stripe.paymentIntents.create(
    {
      amount: 1999, currency: "usd", customer: customer.id, payment_method: method.id,
      payment_method_types: ["card"], application_fee_amount: 199, confirm: true,
    },
    options,
  );
}

async function hammer(limit) {
  const started = performance.now();
  let done = 0;
  const worker = async () => {
    while (performance.now() - started < limit * 1e3) {
      await firstCharge();
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  return [done, (performance.now() - started) / 1e3];
}

await hammer(Math.min(0.5, seconds));
const before = process.cpuUsage();
const [done, took] = await hammer(seconds);
const used = process.cpuUsage(before);
console.log(JSON.stringify({ done, seconds: took, cpu_ms: (used.user + used.system) / 1e3 }));
process.exit(0);
