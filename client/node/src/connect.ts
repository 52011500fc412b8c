// CloneService by @connectrpc/connect, speaking gRPC.
import { setTimeout as pause } from 'node:timers/promises';
import { type Client, Code, ConnectError, type Interceptor, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { CloneService, type WatchCloneBatchResponse } from '../gen/connect/cloneservice/v1/clone_service_pb.js';
import { ChargeFailureSchema } from '../gen/connect/cloneservice/v1/errors_pb.js';
import { type Charge, CloneBatch_State } from '../gen/connect/cloneservice/v1/types_pb.js';
import { BadRequestSchema, ErrorInfoSchema } from '../gen/connect/google/rpc/error_details_pb.js';
import { CONNECTIONS_WITHOUT_NEWS, DOMAIN, type Failure, pauseMs } from './failure.js';
import { backoffMs, retryPolicyOf } from './policy.js';

export type CloneServiceClient = Client<typeof CloneService>;

/** `UNAVAILABLE` for `Code.Unavailable`, as service configs spell it. */
const spelt = (code: Code): string => (Code[code] ?? '').replace(/(?<!^)[A-Z]/g, '_$&').toUpperCase();

/** Connect knows no service config: this repeats unary calls as it says, with the same message and so the same request_id. */
const retrying: Interceptor = (next) => async (request) => {
  const policy = request.stream ? undefined : retryPolicyOf(request.method.name);
  for (let attempt = 1; ; attempt++) {
    try {
      return await next(request);
    } catch (error) {
      const again = policy && attempt < policy.maxAttempts && !request.signal.aborted
        && policy.retryableStatusCodes.includes(spelt(ConnectError.from(error).code));
      if (!again) throw error;
      await pause(backoffMs(policy, attempt));
    }
  }
};

/** A client of the service at `http://host:port` (within a mesh) or `https://host`. */
export function connect(baseUrl: string): CloneServiceClient {
  return createClient(CloneService, createGrpcTransport({ baseUrl, interceptors: [retrying] }));
}

/** What a failed call says; undefined if CloneService itself said nothing. */
export function explain(error: unknown): Failure<Charge> | undefined {
  const failed = ConnectError.from(error);
  const info = failed.findDetails(ErrorInfoSchema).find(({ domain }) => domain === DOMAIN);
  if (!info) return undefined;
  const [charged] = failed.findDetails(ChargeFailureSchema);
  const violations = failed.findDetails(BadRequestSchema).flatMap(({ fieldViolations }) => fieldViolations);
  return {
    reason: info.reason,
    metadata: info.metadata,
    charge: charged?.charge,
    mayRetryLater: charged?.mayRetryLater ?? false,
    fields: Object.fromEntries(violations.map(({ field, description }) => [field, description])),
  };
}

const FINAL = [CloneBatch_State.SUCCEEDED, CloneBatch_State.PARTIALLY_FAILED, CloneBatch_State.CANCELED];
// A lost connection shows as Canceled here; leaving the loop does not.
const BROKEN = [Code.Unavailable, Code.Internal, Code.Unknown, Code.Aborted, Code.ResourceExhausted, Code.Canceled];

/**
 * The events of a batch after the given sequence, each once, until the batch is final. A stream that breaks is taken up
 * where it broke; store the last sequence and a crash of this process loses nothing either. Leaving the loop ends the
 * watch, never the batch.
 */
export async function* watchBatch(
  client: CloneServiceClient, batchId: string, after = 0n,
): AsyncGenerator<WatchCloneBatchResponse, void, undefined> {
  for (let barren = 0; ; barren++) {
    let broken: unknown = new Error('the service keeps ending the watch before the batch is final');
    try {
      for await (const event of client.watchCloneBatch({ batchId, afterSequence: after })) {
        const final = event.event.case === 'batch' && FINAL.includes(event.event.value.state);
        if (event.sequence <= after && !final) continue; // seen before the stream broke, or a heartbeat
        if (event.sequence > after) [after, barren] = [event.sequence, 0];
        yield event;
        if (final) return;
      }
    } catch (error) {
      if (!BROKEN.includes(ConnectError.from(error).code)) throw error;
      broken = error;
    }
    if (barren + 1 >= CONNECTIONS_WITHOUT_NEWS) throw broken;
    await pause(pauseMs(barren));
  }
}
