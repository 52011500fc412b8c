"""Events: what happened on an account, kept for 30 days (docs.stripe.com/api/events)."""

from __future__ import annotations

from fake_stripe.objects.registry import Call, operation
from fake_stripe.render.lists import paginate
from fake_stripe.scope import Wire

KEPT_SECONDS = 30 * 86_400


@operation("GET", "/v1/events")
def list_all(call: Call) -> Wire:
    """Events of the account acted on, newest first, by `type` (a trailing `.*` matches all below) or `types`."""
    params = call.params
    kind = params.get("type")
    kinds = params.get("types") or ([kind] if kind else None)
    delivered = params.get("delivery_success")
    oldest = call.now - KEPT_SECONDS
    events = (
        event
        for event in call.scope.list("event")
        if event["created"] >= oldest
        and (not kinds or any(matches(event["type"], kind) for kind in kinds))
        and (delivered is None or (event["pending_webhooks"] == 0) == delivered)
    )
    return paginate(call, events, "/v1/events")


@operation("GET", "/v1/events/{id}")
def retrieve(call: Call) -> Wire:
    """One event, as long as it is kept."""
    event = call.scope.require("event", call.path["id"], in_path=True)
    if event["created"] < call.now - KEPT_SECONDS:
        raise call.scope.missing("event", call.path["id"], in_path=True)
    return event


def matches(event_type: str, pattern: str) -> bool:
    """Whether an event type is meant by `*`, by `charge.*`, or by its own name."""
    return pattern in ("*", event_type) or (pattern.endswith(".*") and event_type.startswith(pattern[:-1]))
