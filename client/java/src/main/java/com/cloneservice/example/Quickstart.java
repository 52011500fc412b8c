// client/java/src/main/java/com/cloneservice/example/Quickstart.java
package com.cloneservice.example;

import com.cloneservice.v1.ChargeOptions;
import com.cloneservice.v1.CloneAndChargeRequest;
import com.cloneservice.v1.CloneServiceGrpc;
import com.cloneservice.v1.Money;
import java.util.UUID;
import java.util.concurrent.TimeUnit;

public final class Quickstart {
  public static void main(String[] arguments) {
    var channel = Channels.to("127.0.0.1:45517").usePlaintext().build();
    var request =
        CloneAndChargeRequest.newBuilder()
            .setRequestId(UUID.randomUUID().toString()) // one for this order; store it before the first call
            .setPlatformCustomerId("cus_4f8AkOARZ9HupE")
            .setConnectedAccountId("acct_1nEX893fgKgFFf1q")
            .setCharge(
                ChargeOptions.newBuilder().setAmount(Money.newBuilder().setMinorUnits(1999).setCurrencyCode("USD")))
            .build();
    try {
      var service = CloneServiceGrpc.newBlockingStub(channel);
      var charge = service.withDeadlineAfter(30, TimeUnit.SECONDS).cloneAndCharge(request).getCharge();
      System.out.println(charge.getState() + " " + charge.getChargeId());
    } catch (io.grpc.StatusRuntimeException error) {
      System.err.println(Failure.of(error).map(Failure::reason).orElse(error.getMessage())); // CARD_DECLINED, ...
      System.exit(1);
    } finally {
      channel.shutdownNow();
    }
  }
}
