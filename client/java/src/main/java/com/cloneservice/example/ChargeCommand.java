package com.cloneservice.example;

import com.cloneservice.v1.ChargeOptions;
import com.cloneservice.v1.CloneAndChargeRequest;
import com.cloneservice.v1.CloneServiceGrpc;
import com.cloneservice.v1.Money;
import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import java.util.UUID;
import java.util.concurrent.TimeUnit;

/** Clones a customer's default payment method to a connected account and charges it there. */
public final class ChargeCommand {
  private ChargeCommand() {}

  /** Arguments: TARGET CUSTOMER ACCOUNT MINOR_UNITS CURRENCY. */
  public static void main(String[] arguments) {
    if (arguments.length != 5) {
      System.err.println("usage: TARGET CUSTOMER ACCOUNT MINOR_UNITS CURRENCY");
      System.exit(2);
    }
    ManagedChannel channel = Channels.to(arguments[0]).usePlaintext().build();
    try {
      var amount = Money.newBuilder().setMinorUnits(Long.parseLong(arguments[3])).setCurrencyCode(arguments[4]);
      var request =
          CloneAndChargeRequest.newBuilder()
              // One id for this purchase, best stored with the order before the first call: whoever asks again with
              // it, this process or the next one, gets the same charge.
              .setRequestId(UUID.randomUUID().toString())
              .setPlatformCustomerId(arguments[1])
              .setConnectedAccountId(arguments[2])
              .setCharge(ChargeOptions.newBuilder().setAmount(amount))
              .build();
      var service = CloneServiceGrpc.newBlockingStub(channel);
      // A deadline counts from here: set it for each call, never once on a stub that is kept.
      var charge = service.withDeadlineAfter(30, TimeUnit.SECONDS).cloneAndCharge(request).getCharge();
      System.out.println(charge.getChargeId() + " " + charge.getState());
    } catch (StatusRuntimeException e) {
      System.err.println(Failure.of(e).map(Failure::reason).orElse(e.getMessage()));
      System.exit(1);
    } finally {
      channel.shutdownNow();
    }
  }
}
