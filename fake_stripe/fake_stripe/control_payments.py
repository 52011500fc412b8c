"""Control of what happens outside the API in real life: a shopper's 3DS answer, a dispute, webhooks on their way."""

from typing import Any

from fake_stripe.control_routes import Asked, ControlError, json_response, route
from fake_stripe.wire import Response

_HTML = [
    ("Content-Type", "text/html; charset=utf-8"),
    ("Cache-Control", "no-store"),
    # No form-action: it would also forbid the way back to the shop, to which the answered form redirects.
    ("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'"),
    ("X-Content-Type-Options", "nosniff"),
]


@route("POST", "/_fake/authentications/{intent}", outcome="succeeded | failed | canceled")
def resolve_authentication(asked: Asked) -> Any:
    """Answer the 3DS challenge of an intent for its shopper."""
    from fake_stripe.objects import authentication  # noqa: PLC0415 - object modules load on first use

    scope, _ = _intent(asked)
    return authentication.resolve(scope, asked.path["intent"], asked.text("outcome", "succeeded") or "")


@route("GET", "/_fake/authenticate/{intent}")
def show_challenge(asked: Asked) -> Any:
    """The challenge page of an intent, for a browser."""
    from fake_stripe import challenge_page  # noqa: PLC0415 - object modules load on first use
    from fake_stripe.objects import authentication  # noqa: PLC0415 - as above

    scope, intent = _intent(asked)
    if not authentication.is_open(scope, intent):
        return _html(challenge_page.answered(scope, intent))
    query = asked.request.query.decode("latin-1")
    return _html(challenge_page.asking(scope, intent, action=f"{asked.request.path}?{query}"))


@route("POST", "/_fake/authenticate/{intent}", outcome="succeeded | failed | canceled")
def answer_challenge(asked: Asked) -> Any:
    """What the buttons of the challenge page do: resolve it and send the shopper back to the return_url."""
    from fake_stripe import challenge_page  # noqa: PLC0415 - as above
    from fake_stripe.objects import authentication  # noqa: PLC0415 - as above

    scope, intent = _intent(asked)
    if not authentication.is_open(scope, intent):
        return _html(challenge_page.answered(scope, intent), status=409)
    intent = authentication.resolve(scope, intent["id"], asked.text("outcome", "succeeded") or "")
    address = authentication.return_address(scope, intent)
    if address is not None:
        return Response(302, [("Location", address), ("Content-Type", "text/plain")], b"")
    return _html(challenge_page.done())


def _html(text: str, status: int = 200) -> Response:
    return Response(status, list(_HTML), text.encode())


def _intent(asked: Asked) -> Any:
    from fake_stripe.objects import authentication  # noqa: PLC0415 - as above

    try:
        return authentication.find(asked.world, asked.path["intent"])
    except KeyError as missing:
        raise ControlError(404, str(missing.args[0])) from None


@route("POST", "/_fake/accounts", id="acct_... (made up if left out)", policy="switches of this account")
def connect_account(asked: Asked) -> Any:
    """Connect a fully set-up account without POST /v1/accounts."""
    from fake_stripe.seeding import connect  # noqa: PLC0415 - only for seeding

    return connect(asked.world, asked.params)


@route("DELETE", "/_fake/accounts/{account}")
def disconnect_account(asked: Asked) -> Any:
    """Revoke the platform's access to an account, as its owner can: 403 account_invalid from now on."""
    from fake_stripe.objects import accounts  # noqa: PLC0415 - object modules load on first use

    account = asked.path["account"]
    if not asked.world.reaches(account) or account == asked.world.platform:
        raise ControlError(404, f"{account} is not connected to this platform")
    accounts.deauthorize(asked.world, account)
    return json_response(200, {"account": account, "connected": False})


@route("POST", "/_fake/disputes", charge="ch_...", reason="fraudulent, product_not_received, ...")
def open_dispute(asked: Asked) -> Any:
    """Dispute a charge, as its shopper's bank would."""
    from fake_stripe.objects import disputes  # noqa: PLC0415 - as above

    scope, charge = _owned(asked, "charge", str(asked.required("charge")))
    return disputes.open_for(scope, charge, reason=asked.text("reason", "fraudulent") or "")


@route("POST", "/_fake/disputes/{dispute}", status="won | lost")
def decide_dispute(asked: Asked) -> Any:
    """Decide a dispute, as the bank would."""
    from fake_stripe.objects import disputes  # noqa: PLC0415 - as above

    scope, dispute = _owned(asked, "dispute", asked.path["dispute"])
    status = str(asked.required("status"))
    if status not in ("won", "lost"):
        raise ControlError(400, f"a dispute is won or lost, not {status!r}")
    return disputes.decide(scope, dispute, status)


def _owned(asked: Asked, type_: str, id_: str) -> Any:
    for scope in asked.world.scopes():
        found = scope.get(type_, id_)
        if found is not None:
            return scope, found
    raise ControlError(404, f"no {type_} {id_!r} in this world")


@route("GET", "/_fake/webhooks")
def show_webhooks(asked: Asked) -> Any:
    """How the world delivers webhooks."""
    from fake_stripe import webhooks  # noqa: PLC0415 - as above

    return {name: value for name, value in webhooks.settings(asked.world).items() if name != "collected"}


@route(
    "POST",
    "/_fake/webhooks",
    mode="deliver | collect",
    copies="how often each event is sent",
    reorder="true: mix the order of one call's events",
    retry_seconds="waits before further tries, in seconds of the world's clock",
)
def set_webhooks(asked: Asked) -> Any:
    """Change how the world delivers webhooks."""
    from fake_stripe import webhooks  # noqa: PLC0415 - as above

    return webhooks.configure(
        asked.world,
        mode=asked.text("mode"),
        copies=None if (copies := asked.number("copies")) is None else int(copies),
        reorder=asked.flag("reorder") if "reorder" in asked.params else None,
        retry_seconds=asked.params.get("retry_seconds"),
    )


@route("GET", "/_fake/webhooks/collected", clear="true: and forget them")
def show_collected(asked: Asked) -> Any:
    """The deliveries kept in collect mode, oldest first, each with its payload and signature."""
    from fake_stripe import webhooks  # noqa: PLC0415 - as above

    return {"deliveries": webhooks.collected(asked.world, clear=asked.flag("clear"))}


@route("POST", "/_fake/events/{event}/resend")
def resend_event(asked: Asked) -> Any:
    """Send an event again to whoever listens now."""
    from fake_stripe import webhooks  # noqa: PLC0415 - as above

    return {"deliveries": webhooks.resend(asked.world, asked.path["event"])}
