import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { credentials, status } from '@grpc/grpc-js';
import { CloneAndChargeRequest, CreateCloneBatchRequest } from '../gen/grpcjs/cloneservice/v1/clone_service.js';
import {
  Charge_State, Clone_State, CloneBatch_Operation, CloneBatch_State, CloneBatchItem_State, Money,
} from '../gen/grpcjs/cloneservice/v1/types.js';
import { call, cloneAndCharge, connect, explain, watchBatch } from '../src/grpcjs.js';
import { Server } from './server.js';

let server: Server;
let client: ReturnType<typeof connect>;

before(async () => {
  server = await Server.start();
  client = connect(server.ready.target, credentials.createInsecure());
});
after(async () => {
  client.close();
  await server.stop();
});

type Shopper = keyof Server['ready']['customers'];

const purchase = (shopper: Shopper, minorUnits: bigint) =>
  CloneAndChargeRequest.fromPartial({
    requestId: randomUUID(),
    platformCustomerId: server.ready.customers[shopper],
    connectedAccountId: server.ready.accounts.bakery,
    charge: {
      amount: { minorUnits, currencyCode: 'USD' },
      applicationFee: { minorUnits: minorUnits / 10n, currencyCode: 'USD' },
    },
  });

test('clone and charge', async () => {
  const { clone, charge } = await cloneAndCharge(client, purchase('pays', 1999n), 20_000);

  assert.equal(charge?.state, Charge_State.STATE_SUCCEEDED);
  assert.equal(charge.amountReceived?.minorUnits, 1999n);
  assert.equal(clone?.state, Clone_State.STATE_ATTACHED);
});

test('int64', () => {
  const beyondDoubles = 2n ** 53n + 1n;
  const money = Money.decode(Money.encode({ minorUnits: beyondDoubles, currencyCode: 'JPY' }).finish());

  assert.equal(money.minorUnits, beyondDoubles);
});

test('deadline', async () => {
  await server.confirmations({ act: 'latency', latency: 2.5 });
  const request = purchase('pays', 2100n);
  await assert.rejects(cloneAndCharge(client, request, 1500), { code: status.DEADLINE_EXCEEDED });
  const { charge } = await cloneAndCharge(client, request, 20_000); // the same request_id brings the answer

  assert.equal(charge?.state, Charge_State.STATE_SUCCEEDED);
  assert.equal(await server.charged(server.ready.accounts.bakery, 2100), 1);
});

test('retries', async () => {
  await server.confirmations({ act: 'commit_then_drop', times: 4 }); // more than the service itself bears with
  const { charge } = await cloneAndCharge(client, purchase('pays', 2200n), 20_000);

  assert.equal(charge?.state, Charge_State.STATE_SUCCEEDED);
  assert.equal(await server.charged(server.ready.accounts.bakery, 2200), 1);
});

test('decline', async () => {
  const error: any = await cloneAndCharge(client, purchase('is_declined', 1999n), 20_000).catch((failed) => failed);
  const failure = explain(error);

  assert.equal(error.code, status.FAILED_PRECONDITION);
  assert.equal(failure?.reason, 'CARD_DECLINED');
  assert.equal(failure.charge?.state, Charge_State.STATE_DECLINED);
  assert.equal(failure.charge.decline?.declineCode, 'generic_decline');
});

test('error details', async () => {
  const request = { ...purchase('pays', 1999n), connectedAccountId: '' };
  const error: any = await cloneAndCharge(client, request, 20_000).catch((failed) => failed);
  const failure = explain(error);

  assert.equal(error.code, status.INVALID_ARGUMENT);
  assert.equal(failure?.reason, 'INVALID_REQUEST');
  assert.ok(failure.fields['connected_account_id']);
});

test('watch resumed', async (t) => {
  const line = await server.line();
  const through = connect(line.target, credentials.createInsecure());
  t.after(() => (through.close(), line.close()));
  const slowly = { match: { method: 'POST', path: '/v1/payment_methods' }, act: 'latency', latency: 0.2, times: 6 };
  await server.stripe('/_fake/faults', { body: slowly });
  const request = CreateCloneBatchRequest.fromPartial({
    requestId: randomUUID(),
    operation: CloneBatch_Operation.OPERATION_CLONE,
    selection: { $case: 'crossProduct', value: {
      platformCustomerIds: Object.values(server.ready.customers),
      connectedAccountIds: Object.values(server.ready.accounts),
      allPaymentMethods: false,
    } },
    maxConcurrency: 1,
  });
  const { batch } = await call(through.createCloneBatch.bind(through), request, 20_000);
  const sequences: bigint[] = [];
  const items = new Map<number, CloneBatchItem_State>();
  let last: CloneBatch_State | undefined;
  for await (const { sequence, event } of watchBatch(through, batch!.batchId)) {
    if (event?.$case === 'item') {
      items.set(event.value.index, event.value.state);
      if (sequences.push(sequence) === 1) line.cut();
    }
    last = event?.$case === 'batch' ? event.value.state : undefined;
  }

  assert.deepEqual(sequences, [...new Set(sequences)].sort((a, b) => Number(a - b)));
  assert.equal(last, CloneBatch_State.STATE_SUCCEEDED);
  assert.deepEqual([...items.values()], Array(6).fill(CloneBatchItem_State.STATE_SUCCEEDED));
});
