package com.cloneservice.example;

import com.cloneservice.v1.CloneBatch;
import com.cloneservice.v1.CloneServiceGrpc.CloneServiceBlockingStub;
import com.cloneservice.v1.WatchCloneBatchRequest;
import com.cloneservice.v1.WatchCloneBatchResponse;
import io.grpc.Context;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.util.EnumSet;
import java.util.Iterator;
import java.util.Set;
import java.util.function.Consumer;

/** Follows a batch through broken connections. */
public final class BatchWatch {
  private static final int CONNECTIONS_WITHOUT_NEWS = 6;
  private static final long FIRST_PAUSE_MS = 200;
  private static final long LONGEST_PAUSE_MS = 5000;
  private static final Set<CloneBatch.State> FINAL =
      EnumSet.of(
          CloneBatch.State.STATE_SUCCEEDED,
          CloneBatch.State.STATE_PARTIALLY_FAILED,
          CloneBatch.State.STATE_CANCELED);
  private static final Set<Status.Code> BROKEN =
      EnumSet.of(
          Status.Code.UNAVAILABLE,
          Status.Code.INTERNAL,
          Status.Code.UNKNOWN,
          Status.Code.ABORTED,
          Status.Code.CANCELLED,
          Status.Code.RESOURCE_EXHAUSTED);

  private final CloneServiceBlockingStub service;
  private final String batchId;
  private long sequence;

  /**
   * @param after the sequence of the last event that is known, 0 for none; store it and a crash of this process loses
   *     nothing either
   */
  public BatchWatch(CloneServiceBlockingStub service, String batchId, long after) {
    this.service = service;
    this.batchId = batchId;
    this.sequence = after;
  }

  /**
   * Hands over each event once, until the batch is final; returns it. A stream that breaks is taken up where it broke.
   * Ending the watch, by an exception of the consumer or an interrupt, never ends the batch.
   */
  public CloneBatch follow(Consumer<WatchCloneBatchResponse> consumer) throws InterruptedException {
    long pauseMs = FIRST_PAUSE_MS;
    for (int barren = 0; ; ) {
      long before = sequence;
      StatusRuntimeException broken;
      try (var stream = Context.current().withCancellation()) { // lets go of the stream however this ends
        Iterator<WatchCloneBatchResponse> events = stream.wrap(this::open).call();
        CloneBatch last = read(events, consumer);
        if (last != null) {
          return last;
        }
        broken = Status.UNAVAILABLE.withDescription("the watch ended before the batch was final").asRuntimeException();
      } catch (StatusRuntimeException e) {
        broken = e;
      } catch (RuntimeException e) {
        throw e;
      } catch (Exception e) { // Callable declares it
        throw new IllegalStateException(e);
      }
      barren++;
      if (sequence > before) {
        barren = 0;
        pauseMs = FIRST_PAUSE_MS;
      }
      boolean left = Context.current().isCancelled(); // by our own caller, not by a lost connection
      if (left || !BROKEN.contains(broken.getStatus().getCode()) || barren >= CONNECTIONS_WITHOUT_NEWS) {
        throw broken;
      }
      Thread.sleep(pauseMs);
      pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
    }
  }

  private Iterator<WatchCloneBatchResponse> open() {
    var request = WatchCloneBatchRequest.newBuilder().setBatchId(batchId).setAfterSequence(sequence);
    return service.watchCloneBatch(request.build());
  }

  private CloneBatch read(Iterator<WatchCloneBatchResponse> events, Consumer<WatchCloneBatchResponse> consumer) {
    while (events.hasNext()) {
      var event = events.next();
      boolean last = event.hasBatch() && FINAL.contains(event.getBatch().getState());
      if (event.getSequence() <= sequence && !last) {
        continue; // seen before the stream broke, or a heartbeat
      }
      sequence = Math.max(sequence, event.getSequence());
      consumer.accept(event);
      if (last) {
        return event.getBatch();
      }
    }
    return null;
  }
}
