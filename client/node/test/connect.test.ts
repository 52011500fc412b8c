import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import {
  Charge_State, Clone_State, CloneBatch_Operation, CloneBatch_State, CloneBatchItem_State, MoneySchema,
} from '../gen/connect/cloneservice/v1/types_pb.js';
import { connect, explain, watchBatch } from '../src/connect.js';
import { Server } from './server.js';

let server: Server;
let client: ReturnType<typeof connect>;

before(async () => {
  server = await Server.start();
  client = connect(`http://${server.ready.target}`);
});
after(() => server.stop());

type Shopper = keyof Server['ready']['customers'];

const purchase = (shopper: Shopper, minorUnits: bigint) => ({
  requestId: randomUUID(),
  platformCustomerId: server.ready.customers[shopper],
  connectedAccountId: server.ready.accounts.bakery,
  charge: {
    amount: { minorUnits, currencyCode: 'USD' },
    applicationFee: { minorUnits: minorUnits / 10n, currencyCode: 'USD' },
  },
});

test('clone and charge', async () => {
  const { clone, charge } = await client.cloneAndCharge(purchase('pays', 1999n), { timeoutMs: 20_000 });

  assert.equal(charge?.state, Charge_State.SUCCEEDED);
  assert.equal(charge.amountReceived?.minorUnits, 1999n);
  assert.equal(clone?.state, Clone_State.ATTACHED);
});

test('int64', () => {
  const beyondDoubles = 2n ** 53n + 1n;
  const money = create(MoneySchema, { minorUnits: beyondDoubles, currencyCode: 'JPY' });

  assert.equal(fromBinary(MoneySchema, toBinary(MoneySchema, money)).minorUnits, beyondDoubles);
});

test('deadline', async () => {
  await server.confirmations({ act: 'latency', latency: 2.5 });
  const request = purchase('pays', 2100n);
  await assert.rejects(client.cloneAndCharge(request, { timeoutMs: 1500 }), { code: Code.DeadlineExceeded });
  const { charge } = await client.cloneAndCharge(request, { timeoutMs: 20_000 }); // the same request_id

  assert.equal(charge?.state, Charge_State.SUCCEEDED);
  assert.equal(await server.charged(server.ready.accounts.bakery, 2100), 1);
});

test('retries', async () => {
  await server.confirmations({ act: 'commit_then_drop', times: 4 }); // more than the service itself bears with
  const { charge } = await client.cloneAndCharge(purchase('pays', 2200n), { timeoutMs: 20_000 });

  assert.equal(charge?.state, Charge_State.SUCCEEDED);
  assert.equal(await server.charged(server.ready.accounts.bakery, 2200), 1);
});

test('decline', async () => {
  const error = await client.cloneAndCharge(purchase('is_declined', 1999n), { timeoutMs: 20_000 }).catch((failed) => failed);
  const failure = explain(error);

  assert.equal(ConnectError.from(error).code, Code.FailedPrecondition);
  assert.equal(failure?.reason, 'CARD_DECLINED');
  assert.equal(failure.charge?.state, Charge_State.DECLINED);
  assert.equal(failure.charge.decline?.declineCode, 'generic_decline');
});

test('error details', async () => {
  const request = { ...purchase('pays', 1999n), connectedAccountId: '' };
  const error = await client.cloneAndCharge(request, { timeoutMs: 20_000 }).catch((failed) => failed);
  const failure = explain(error);

  assert.equal(ConnectError.from(error).code, Code.InvalidArgument);
  assert.equal(failure?.reason, 'INVALID_REQUEST');
  assert.ok(failure.fields['connected_account_id']);
});

test('watch resumed', async (t) => {
  const line = await server.line();
  const through = connect(`http://${line.target}`);
  t.after(() => line.close());
  const slowly = { match: { method: 'POST', path: '/v1/payment_methods' }, act: 'latency', latency: 0.2, times: 6 };
  await server.stripe('/_fake/faults', { body: slowly });
  const request = {
    requestId: randomUUID(),
    operation: CloneBatch_Operation.CLONE,
    selection: { case: 'crossProduct' as const, value: {
      platformCustomerIds: Object.values(server.ready.customers),
      connectedAccountIds: Object.values(server.ready.accounts),
    } },
    maxConcurrency: 1,
  };
  const { batch } = await through.createCloneBatch(request, { timeoutMs: 20_000 });
  const sequences: bigint[] = [];
  const items = new Map<number, CloneBatchItem_State>();
  let last: CloneBatch_State | undefined;
  for await (const { sequence, event } of watchBatch(through, batch!.batchId)) {
    if (event.case === 'item') {
      items.set(event.value.index, event.value.state);
      if (sequences.push(sequence) === 1) line.cut();
    }
    last = event.case === 'batch' ? event.value.state : undefined;
  }

  assert.deepEqual(sequences, [...new Set(sequences)].sort((a, b) => Number(a - b)));
  assert.equal(last, CloneBatch_State.SUCCEEDED);
  assert.deepEqual([...items.values()], Array(6).fill(CloneBatchItem_State.SUCCEEDED));
});
