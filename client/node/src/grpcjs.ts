// CloneService by @grpc/grpc-js and ts-proto.
import { setTimeout as pause } from 'node:timers/promises';
import { type ChannelCredentials, type ServiceError, type CallOptions, Metadata, status } from '@grpc/grpc-js';
import {
  CloneServiceClient, type CloneAndChargeRequest, type CloneAndChargeResponse, type WatchCloneBatchResponse,
} from '../gen/grpcjs/cloneservice/v1/clone_service.js';
import { ChargeFailure } from '../gen/grpcjs/cloneservice/v1/errors.js';
import { type Charge, CloneBatch_State } from '../gen/grpcjs/cloneservice/v1/types.js';
import { BadRequest, ErrorInfo } from '../gen/grpcjs/google/rpc/error_details.js';
import { Status } from '../gen/grpcjs/google/rpc/status.js';
import { CONNECTIONS_WITHOUT_NEWS, DOMAIN, type Failure, pauseMs } from './failure.js';
import { serviceConfigJson } from './policy.js';

/** A client whose channel repeats what failed with UNAVAILABLE, with the same message and so the same request_id. */
export function connect(target: string, credentials: ChannelCredentials): CloneServiceClient {
  return new CloneServiceClient(target, credentials, { 'grpc.service_config': serviceConfigJson });
}

type Unary<Request, Response> = (
  request: Request, metadata: Metadata, options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => unknown;

/** A unary call as a promise: `call(client.getCharge.bind(client), { ... }, 5000)`. */
export function call<Request, Response>(
  method: Unary<Request, Response>, request: Request, timeoutMs: number,
): Promise<Response> {
  const deadline = Date.now() + timeoutMs; // a point in time, not a duration
  return new Promise((resolve, reject) => {
    method(request, new Metadata(), { deadline }, (error, response) => (error ? reject(error) : resolve(response)));
  });
}

export const cloneAndCharge = (
  client: CloneServiceClient, request: CloneAndChargeRequest, timeoutMs: number,
): Promise<CloneAndChargeResponse> => call(client.cloneAndCharge.bind(client), request, timeoutMs);

/** What a failed call says; undefined if CloneService itself said nothing. grpc-js leaves the details to be decoded. */
export function explain(error: unknown): Failure<Charge> | undefined {
  const encoded = (error as Partial<ServiceError>)?.metadata?.get('grpc-status-details-bin')[0];
  if (!(encoded instanceof Uint8Array)) return undefined;
  const failure: Failure<Charge> = { reason: '', metadata: {}, mayRetryLater: false, fields: {} };
  for (const { typeUrl, value } of Status.decode(encoded).details) {
    switch (typeUrl.slice(typeUrl.lastIndexOf('/') + 1)) {
      case 'google.rpc.ErrorInfo': {
        const { domain, reason, metadata } = ErrorInfo.decode(value);
        if (domain === DOMAIN) Object.assign(failure, { reason, metadata });
        break;
      }
      case 'cloneservice.v1.ChargeFailure': {
        const { charge, mayRetryLater } = ChargeFailure.decode(value);
        Object.assign(failure, { charge, mayRetryLater });
        break;
      }
      case 'google.rpc.BadRequest':
        for (const { field, description } of BadRequest.decode(value).fieldViolations) failure.fields[field] = description;
    }
  }
  return failure.reason ? failure : undefined;
}

const FINAL = [CloneBatch_State.STATE_SUCCEEDED, CloneBatch_State.STATE_PARTIALLY_FAILED, CloneBatch_State.STATE_CANCELED];
const BROKEN = [
  status.UNAVAILABLE, status.INTERNAL, status.UNKNOWN, status.ABORTED, status.RESOURCE_EXHAUSTED, status.CANCELLED,
];

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
    const stream = client.watchCloneBatch({ batchId, afterSequence: after });
    try {
      for await (const event of stream as AsyncIterable<WatchCloneBatchResponse>) {
        const final = event.event?.$case === 'batch' && FINAL.includes(event.event.value.state);
        if (event.sequence <= after && !final) continue; // seen before the stream broke, or a heartbeat
        if (event.sequence > after) [after, barren] = [event.sequence, 0];
        yield event;
        if (final) return;
      }
    } catch (error) {
      if (!BROKEN.includes((error as ServiceError).code)) throw error;
      broken = error;
    } finally {
      stream.cancel();
    }
    if (barren + 1 >= CONNECTIONS_WITHOUT_NEWS) throw broken;
    await pause(pauseMs(barren));
  }
}
