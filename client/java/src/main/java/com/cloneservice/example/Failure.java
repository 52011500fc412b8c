package com.cloneservice.example;

import com.cloneservice.v1.Charge;
import com.cloneservice.v1.ChargeFailure;
import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/**
 * What a failed call of CloneService says, taken out of its status details.
 *
 * @param code the gRPC code
 * @param reason a value of cloneservice.v1.ErrorReason without its prefix, such as CARD_DECLINED; decide by it, never
 *     by the message
 * @param metadata the particulars of the reason
 * @param charge the charge as recorded, of CARD_DECLINED and AUTHENTICATION_REQUIRED
 * @param mayRetryLater whether the same payment method may work another time
 * @param fields what INVALID_REQUEST found wrong: field to what is wrong
 */
public record Failure(
    Status.Code code,
    String reason,
    Map<String, String> metadata,
    Optional<Charge> charge,
    boolean mayRetryLater,
    Map<String, String> fields) {

  /** That of every ErrorInfo of CloneService; a status without it comes from a proxy or from gRPC itself. */
  public static final String DOMAIN = "cloneservice";

  /** What an exception of a stub says; empty if CloneService itself said nothing. */
  public static Optional<Failure> of(Throwable thrown) {
    var status = StatusProto.fromThrowable(thrown);
    if (status == null) {
      return Optional.empty();
    }
    String reason = "";
    Map<String, String> metadata = Map.of();
    Optional<Charge> charge = Optional.empty();
    boolean mayRetryLater = false;
    Map<String, String> fields = new HashMap<>();
    try {
      for (Any detail : status.getDetailsList()) {
        if (detail.is(ErrorInfo.class)) {
          var info = detail.unpack(ErrorInfo.class);
          if (info.getDomain().equals(DOMAIN)) {
            reason = info.getReason();
            metadata = info.getMetadataMap();
          }
        } else if (detail.is(ChargeFailure.class)) {
          var failed = detail.unpack(ChargeFailure.class);
          charge = Optional.of(failed.getCharge());
          mayRetryLater = failed.getMayRetryLater();
        } else if (detail.is(BadRequest.class)) {
          for (var violation : detail.unpack(BadRequest.class).getFieldViolationsList()) {
            fields.put(violation.getField(), violation.getDescription());
          }
        }
      }
    } catch (InvalidProtocolBufferException e) {
      return Optional.empty();
    }
    var code = Status.fromCodeValue(status.getCode()).getCode();
    return reason.isEmpty()
        ? Optional.empty()
        : Optional.of(new Failure(code, reason, metadata, charge, mayRetryLater, Map.copyOf(fields)));
  }
}
