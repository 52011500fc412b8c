"""Webhook endpoints: who hears of events (docs.stripe.com/api/webhook_endpoints). Delivery is in `webhooks.py`."""

from __future__ import annotations

from urllib.parse import urlsplit

from fake_stripe.errors import invalid
from fake_stripe.live import leads_to_stripe
from fake_stripe.objects.metadata import merged_metadata
from fake_stripe.objects.registry import Call, operation
from fake_stripe.render.lists import paginate
from fake_stripe.scope import Scope, Wire

MOST = 16


@operation("POST", "/v1/webhook_endpoints")
def create(call: Call) -> Wire:
    """A new endpoint; only this answer shows its `secret`. With `connect` it hears connected accounts' events.

    Raises:
        ApiError: a URL without http(s), or the seventeenth endpoint of the account (400).
    """
    params, scope = call.params, call.scope
    _check_url(params["url"], livemode=call.livemode)
    if scope.count("webhook_endpoint") >= MOST:
        mode = "live" if call.livemode else "test"
        raise invalid(f"You have reached the maximum of {MOST} {mode} webhook endpoints.")
    connect = bool(params.get("connect"))
    endpoint = scope.insert(
        {
            "id": scope.new_id("we"),
            "object": "webhook_endpoint",
            "api_version": params.get("api_version") or None,
            "application": call.world.application if connect else None,
            "created": call.now,
            "description": params.get("description") or None,
            "enabled_events": list(params["enabled_events"]),
            "livemode": call.livemode,
            "metadata": merged_metadata({}, params.get("metadata")),
            "status": "enabled",
            "url": params["url"],
        }
    )
    secret = scope.new_id("whsec")
    scope.hidden(endpoint["id"]).update(secrets=[secret], connect=connect)
    return {**endpoint, "secret": secret}


@operation("GET", "/v1/webhook_endpoints")
def list_all(call: Call) -> Wire:
    """The account's endpoints, newest first."""
    return paginate(call, call.scope.list("webhook_endpoint"), "/v1/webhook_endpoints")


@operation("GET", "/v1/webhook_endpoints/{webhook_endpoint}")
def retrieve(call: Call) -> Wire:
    """One endpoint, without its secret."""
    return call.scope.require("webhook_endpoint", call.path["webhook_endpoint"], param="id", in_path=True)


@operation("POST", "/v1/webhook_endpoints/{webhook_endpoint}")
def update(call: Call) -> Wire:
    """Changes URL, events, description or metadata; `disabled` turns it off or on."""
    endpoint, params = retrieve(call), call.params
    changes: Wire = {}
    if "url" in params:
        _check_url(params["url"], livemode=call.livemode)
        changes["url"] = params["url"]
    if "enabled_events" in params:
        changes["enabled_events"] = list(params["enabled_events"])
    if "description" in params:
        changes["description"] = params["description"] or None
    if "metadata" in params:
        changes["metadata"] = merged_metadata(endpoint["metadata"], params["metadata"])
    if "disabled" in params:
        changes["status"] = "disabled" if params["disabled"] else "enabled"
    call.scope.update(endpoint, **changes)
    return endpoint


@operation("DELETE", "/v1/webhook_endpoints/{webhook_endpoint}")
def delete(call: Call) -> Wire:
    """Removes an endpoint."""
    return call.scope.delete(retrieve(call))


def roll_secret(scope: Scope, endpoint_id: str) -> str:
    """Gives an endpoint a new secret beside the old one, as the dashboard does: deliveries carry both signatures."""
    state = scope.hidden(endpoint_id)
    secret = scope.new_id("whsec")
    state["secrets"] = [secret, *state["secrets"][:1]]
    return secret


def _check_url(url: str, *, livemode: bool) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        text = "Invalid URL: An explicit scheme (such as https) must be provided."
        raise invalid(text, code="url_invalid", param="url")
    if leads_to_stripe(url):
        text = "Invalid URL: fake_stripe sends nothing to the real Stripe."
        raise invalid(text, code="url_invalid", param="url")
    if livemode and parts.scheme != "https":
        raise invalid("Invalid URL: URL must be publicly accessible over https.", code="url_invalid", param="url")
