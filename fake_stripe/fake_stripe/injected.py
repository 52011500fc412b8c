"""The errors that faults answer with, in Stripe's words where Stripe has words for them."""

from fake_stripe.errors import API, INVALID_REQUEST, ApiError
from fake_stripe.faults import Act
from fake_stripe.http.idempotency import in_progress
from fake_stripe.rates import rate_limited


def lock_timeout() -> ApiError:
    """429 without a rate-limit reason: another request holds the object (recorded, with Stripe-Should-Retry)."""
    return ApiError(
        429,
        INVALID_REQUEST,
        "This object cannot be accessed right now because another API request or Stripe process is currently accessing"
        " it. If you see this error intermittently, retry the request. If you see this error frequently and are making"
        " multiple concurrent requests to a single object, make your requests serially or at a lower rate.",
        code="lock_timeout",
        headers={"Stripe-Should-Retry": "true"},
    )


def stops_at_the_door(act: Act) -> bool:
    """Whether a fault keeps the request from executing at all, so that nothing is stored under its key."""
    return act.kind == "lock_timeout" or (act.kind == "status" and act.status != 500 and not act.commit)


def error_of(act: Act, idempotency_key: str | None) -> ApiError:
    """The error that an act `status` or `lock_timeout` answers with."""
    if act.kind == "lock_timeout":
        error = lock_timeout()
    elif act.status == 429:
        error = rate_limited(act.reason or "global-rate")
    elif act.status == 409:
        error = in_progress(idempotency_key or "")
    else:
        text = "An unexpected error occurred" if act.status == 500 else "The service is temporarily unavailable"
        # A 500 comes out of an endpoint that has begun to execute: Stripe keeps it under the key and replays it.
        error = ApiError(act.status, API, f"{text} (a fault injected into fake_stripe).", executed=act.status == 500)
    if act.should_retry is not None:
        error.headers["Stripe-Should-Retry"] = "true" if act.should_retry else "false"
    return error
