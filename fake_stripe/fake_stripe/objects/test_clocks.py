"""Test clocks: Stripe's own time machine. Advancing one advances this world's clock as a whole."""

from __future__ import annotations

from fake_stripe.errors import invalid
from fake_stripe.objects import customers
from fake_stripe.objects.registry import Call, operation
from fake_stripe.render.lists import paginate
from fake_stripe.scope import Wire

_BASE = "/v1/test_helpers/test_clocks"


@operation("POST", "/v1/test_helpers/test_clocks")
def create(call: Call) -> Wire:
    """A clock that stands at `frozen_time` (unix seconds)."""
    clock = call.scope.insert(
        {
            "id": call.scope.new_id("clock"),
            "object": "test_helpers.test_clock",
            "created": call.now,
            "deletes_after": call.now + 30 * 86_400,
            "frozen_time": params_time(call),
            "livemode": call.livemode,
            "name": call.params.get("name") or None,
            "status": "ready",
            "status_details": {},
        }
    )
    call.scope.emit("test_helpers.test_clock.created", clock)
    return clock


def params_time(call: Call) -> int:
    """The `frozen_time` that was asked for."""
    return int(call.params["frozen_time"])


@operation("GET", "/v1/test_helpers/test_clocks")
def list_all(call: Call) -> Wire:
    """The clocks, newest first."""
    return paginate(call, call.scope.list("test_helpers.test_clock"), _BASE)


@operation("GET", "/v1/test_helpers/test_clocks/{test_clock}")
def retrieve(call: Call) -> Wire:
    """One clock."""
    return call.scope.require("test_helpers.test_clock", call.path["test_clock"], param="id", in_path=True)


@operation("DELETE", "/v1/test_helpers/test_clocks/{test_clock}")
def delete(call: Call) -> Wire:
    """Removes a clock, and with it the customers that live by it."""
    clock = retrieve(call)
    for customer in list(call.scope.list("customer", test_clock=clock["id"])):
        customers.remove(call.scope, customer)
    call.scope.emit("test_helpers.test_clock.deleted", clock)
    return call.scope.delete(clock)


@operation("POST", "/v1/test_helpers/test_clocks/{test_clock}/advance")
def advance(call: Call) -> Wire:
    """Moves the clock to `frozen_time`, and the world's clock by as much: what is due by then happens.

    Raises:
        ApiError: a time that is not later than the clock's (400).
    """
    clock = retrieve(call)
    to = params_time(call)
    if to <= clock["frozen_time"]:
        text = "The `frozen_time` must be later than the current frozen time of the test clock."
        raise invalid(text, param="frozen_time")
    call.world.advance(to - clock["frozen_time"])
    call.scope.update(clock, frozen_time=to)
    call.scope.emit("test_helpers.test_clock.ready", clock)
    return clock
