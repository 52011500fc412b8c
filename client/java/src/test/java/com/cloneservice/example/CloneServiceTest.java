package com.cloneservice.example;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.cloneservice.v1.Charge;
import com.cloneservice.v1.ChargeOptions;
import com.cloneservice.v1.Clone;
import com.cloneservice.v1.CloneAndChargeRequest;
import com.cloneservice.v1.CloneBatch;
import com.cloneservice.v1.CloneBatchCrossProduct;
import com.cloneservice.v1.CloneBatchItem;
import com.cloneservice.v1.CloneServiceGrpc;
import com.cloneservice.v1.CloneServiceGrpc.CloneServiceBlockingStub;
import com.cloneservice.v1.CreateCloneBatchRequest;
import com.cloneservice.v1.Money;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

class CloneServiceTest {
  private static final String CONFIRM = "/v1/payment_intents/{intent}/confirm";
  private static DevServer server;
  private static ManagedChannel channel;

  @BeforeAll
  static void start() throws IOException {
    server = new DevServer();
    channel = Channels.to(server.ready.target()).usePlaintext().build();
  }

  @AfterAll
  static void stop() throws Exception {
    channel.shutdownNow();
    server.close();
  }

  private static CloneServiceBlockingStub within(long milliseconds) {
    return CloneServiceGrpc.newBlockingStub(channel).withDeadlineAfter(milliseconds, TimeUnit.MILLISECONDS);
  }

  private static Money usd(long minorUnits) {
    return Money.newBuilder().setMinorUnits(minorUnits).setCurrencyCode("USD").build();
  }

  private static CloneAndChargeRequest.Builder purchase(String shopper, long minorUnits) {
    return CloneAndChargeRequest.newBuilder()
        .setRequestId(UUID.randomUUID().toString())
        .setPlatformCustomerId(server.ready.customers().get(shopper))
        .setConnectedAccountId(server.ready.accounts().get("bakery"))
        .setCharge(ChargeOptions.newBuilder().setAmount(usd(minorUnits)).setApplicationFee(usd(minorUnits / 10)));
  }

  @Test
  void cloneAndCharge() {
    var done = within(20_000).cloneAndCharge(purchase("pays", 1999).build());

    assertEquals(Charge.State.STATE_SUCCEEDED, done.getCharge().getState());
    assertEquals(1999, done.getCharge().getAmountReceived().getMinorUnits());
    assertEquals(Clone.State.STATE_ATTACHED, done.getClone().getState());
  }

  @Test
  void int64() throws IOException {
    long beyondDoubles = (1L << 53) + 1;

    assertEquals(beyondDoubles, Money.parseFrom(usd(beyondDoubles).toByteArray()).getMinorUnits());
  }

  @Test
  void deadline() throws Exception {
    server.fault(CONFIRM, Map.of("act", "latency", "latency", 2.5));
    var request = purchase("pays", 2100).build();
    var failed = assertThrows(StatusRuntimeException.class, () -> within(1500).cloneAndCharge(request));
    assertEquals(Status.Code.DEADLINE_EXCEEDED, failed.getStatus().getCode());
    var done = within(20_000).cloneAndCharge(request); // the same request_id brings the answer

    assertEquals(Charge.State.STATE_SUCCEEDED, done.getCharge().getState());
    assertEquals(1, server.charged(server.ready.accounts().get("bakery"), 2100));
  }

  @Test
  void retries() throws Exception {
    // More lost answers than the service itself bears with: the service config asks again.
    server.fault(CONFIRM, Map.of("act", "commit_then_drop", "times", 4));
    var done = within(20_000).cloneAndCharge(purchase("pays", 2200).build());

    assertEquals(Charge.State.STATE_SUCCEEDED, done.getCharge().getState());
    assertEquals(1, server.charged(server.ready.accounts().get("bakery"), 2200));
  }

  @Test
  void decline() {
    var request = purchase("is_declined", 1999).build();
    var failed = assertThrows(StatusRuntimeException.class, () -> within(20_000).cloneAndCharge(request));
    var failure = Failure.of(failed).orElseThrow();

    assertEquals(Status.Code.FAILED_PRECONDITION, failure.code());
    assertEquals("CARD_DECLINED", failure.reason());
    var charge = failure.charge().orElseThrow();
    assertEquals(Charge.State.STATE_DECLINED, charge.getState());
    assertEquals("generic_decline", charge.getDecline().getDeclineCode());
  }

  @Test
  void errorDetails() {
    var request = purchase("pays", 1999).clearConnectedAccountId().build();
    var failed = assertThrows(StatusRuntimeException.class, () -> within(20_000).cloneAndCharge(request));
    var failure = Failure.of(failed).orElseThrow();

    assertEquals(Status.Code.INVALID_ARGUMENT, failure.code());
    assertEquals("INVALID_REQUEST", failure.reason());
    assertFalse(failure.fields().get("connected_account_id").isEmpty());
  }

  @Test
  void watchResumed() throws Exception {
    server.fault("/v1/payment_methods", Map.of("act", "latency", "latency", 0.2, "times", 6));
    try (var line = new Line(server.ready.target())) {
      var through = Channels.to(line.target()).usePlaintext().build();
      try {
        var service = CloneServiceGrpc.newBlockingStub(through);
        var batchId = createBatch(service.withDeadlineAfter(20, TimeUnit.SECONDS));
        List<Long> sequences = new ArrayList<>();
        Map<Integer, CloneBatchItem.State> items = new HashMap<>();
        var last =
            new BatchWatch(service, batchId, 0)
                .follow(
                    event -> {
                      if (!event.hasItem()) {
                        return;
                      }
                      items.put(event.getItem().getIndex(), event.getItem().getState());
                      sequences.add(event.getSequence());
                      if (sequences.size() == 1) {
                        cut(line);
                      }
                    });

        assertEquals(sequences.stream().distinct().sorted().toList(), sequences);
        assertEquals(CloneBatch.State.STATE_SUCCEEDED, last.getState());
        assertEquals(6, items.size());
        assertTrue(items.values().stream().allMatch(CloneBatchItem.State.STATE_SUCCEEDED::equals));
      } finally {
        through.shutdownNow();
      }
    }
  }

  private static String createBatch(CloneServiceBlockingStub service) {
    var everyPair =
        CloneBatchCrossProduct.newBuilder()
            .addAllPlatformCustomerIds(server.ready.customers().values())
            .addAllConnectedAccountIds(server.ready.accounts().values());
    var request =
        CreateCloneBatchRequest.newBuilder()
            .setRequestId(UUID.randomUUID().toString())
            .setOperation(CloneBatch.Operation.OPERATION_CLONE)
            .setCrossProduct(everyPair)
            .setMaxConcurrency(1);
    return service.createCloneBatch(request.build()).getBatch().getBatchId();
  }

  private static void cut(Line line) {
    try {
      line.cut();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
