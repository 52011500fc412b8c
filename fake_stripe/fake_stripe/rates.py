"""Stripe's request rate limits, off unless an account's policy turns them on.

As docs.stripe.com/rate-limits says: 100 requests a second on a live account, 25 in test mode, and 25 a second for each
endpoint. Counted in whole seconds of the world's clock, on the account that is acted upon.
"""

from fake_stripe.errors import INVALID_REQUEST, ApiError
from fake_stripe.world import World

_GLOBAL = {"test": 25, "live": 100}
_ENDPOINT = 25
_EXCEEDED = {
    False: "Testmode request rate limit exceeded, the rate limits in testmode are lower than livemode",
    True: "Request rate limit exceeded",
}


def rate_limited(reason: str, *, livemode: bool = False) -> ApiError:
    """The limiter's 429; `reason` is the value of `Stripe-Rate-Limited-Reason`."""
    return ApiError(
        429,
        INVALID_REQUEST,
        f"{_EXCEEDED[livemode]}. You can learn more about rate limits here https://stripe.com/docs/rate-limits.",
        code="rate_limit",
        headers={"Stripe-Rate-Limited-Reason": reason},
    )


def check_rate(world: World, account: str, method: str, template: str) -> None:
    """Count one request and refuse it if its account or endpoint has had its share of this second."""
    limits = world.policy(account).rate_limits
    if limits == "off":
        return
    second = world.clock.now()
    if not _take(world, account, second, _GLOBAL[limits]):
        raise rate_limited("global-rate", livemode=limits == "live")
    if not _take(world, (account, method, template), second, _ENDPOINT):
        raise rate_limited("endpoint-rate", livemode=limits == "live")


def _take(world: World, bucket: object, second: int, limit: int) -> bool:
    at, used = world.rates.get(bucket, (second, 0))
    if at != second:
        used = 0
    if used >= limit:
        return False
    world.rates[bucket] = (second, used + 1)
    return True
