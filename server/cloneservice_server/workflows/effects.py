"""The kinds of change made at Stripe: what is kept of the answer, and how to look for a change whose answer was lost.

`look` is asked when sending again is not enough: the key is too old to be trusted (Stripe keeps it for 24 hours), or
Stripe keeps replaying a stored 500. It answers with what Stripe shows: the change was made, was refused, or is absent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from cloneservice_server.domain import errors
from cloneservice_server.ports import EffectRow, Refused, StripeCall
from cloneservice_server.workflows import calls
from cloneservice_server.workflows.stripe_objects import (
    Body,
    default_payment_method,
    payment_intent_facts,
    refunded_of,
    summary_of,
)

Read = Callable[[StripeCall], Awaitable[Body]]

_LIST_PAGES_MAX = 200
_CLOCK_SLACK_S = 600  # Stripe's `created` and our clock may differ


@dataclass(frozen=True, slots=True)
class Absent:
    """Stripe shows that the change was not made."""


@dataclass(frozen=True, slots=True)
class Found:
    """The change was made: `body` is the object as the call answered (under `stripe_request_id`), or as if it had."""

    body: Body
    stripe_request_id: str = ""


@dataclass(frozen=True, slots=True)
class FoundRefused:
    """Stripe shows that the change was refused."""

    refused: Refused


Finding = Absent | Found | FoundRefused
Look = Callable[[Read, EffectRow], Awaitable[Finding]]


@dataclass(frozen=True, slots=True)
class EffectKind:
    """One kind of change. `keep` makes the stored result of a 2xx body; its "id" becomes the effect's stripe_id."""

    keep: Callable[[Body], Body]
    look: Look
    look_held: Look | None = None
    """The look when Stripe's key is held by other parameters than the row's; None if it is the same."""
    personal: tuple[str, ...] = ()
    """Parameters that are personal data: struck out of the stored call once the effect is settled."""


def _keep_customer(body: Body) -> Body:
    source = body.get("default_source") or ""
    return {
        "id": body["id"],
        "default_source": source["id"] if isinstance(source, dict) else source,
        "made_with": (body.get("metadata") or {}).get(calls.CLONE, ""),
    }


def _keep_default(body: Body) -> Body:
    return {"id": body["id"], "default": default_payment_method(body)}


def _keep_id(body: Body) -> Body:
    return {"id": body["id"]}


def _keep_payment_method(body: Body) -> Body:
    summary = summary_of(body.get("card") or body.get("bank_account") or {} if body.get("object") == "token" else body)
    kept: Body = {"id": body["id"], "object": body.get("object", "")}
    kept.update(
        {name: getattr(summary, name) for name in ("type", "brand", "last4", "exp_month", "exp_year", "fingerprint")}
    )
    return kept


def _keep_refund(body: Body) -> Body:
    charge = body.get("charge")
    kept: Body = {"id": body["id"], "status": body["status"], "amount": body["amount"]}
    if isinstance(charge, dict):
        kept["amount_refunded"] = refunded_of(charge)
    return kept


async def _listed(read: Read, row: EffectRow, path: str, filters: dict[str, Any]) -> Finding:
    """The object made by this effect among the account's newest ones, matched by our metadata; lists are consistent."""
    since = row.intent_time_us // 1_000_000 - _CLOCK_SLACK_S
    params: dict[str, Any] = {**filters, "limit": 100}
    for _ in range(_LIST_PAGES_MAX):
        page = await read(StripeCall("GET", path, row.call.account, params))
        for body in page["data"]:
            metadata = body.get("metadata") or {}
            if row.effect_id in (metadata.get(calls.EFFECT), f"intent:{metadata.get(calls.REQUEST)}"):
                return Found(body)
        if not page.get("has_more") or page["data"][-1].get("created", since) < since:
            return Absent()
        params["starting_after"] = page["data"][-1]["id"]
    raise errors.OutcomeUnknown("More objects were made since than can be looked through")


async def _look_customer(read: Read, row: EffectRow) -> Finding:
    return await _listed(read, row, "/v1/customers", {})


async def _look_payment_intent(read: Read, row: EffectRow) -> Finding:
    customer = row.call.params.get("customer")
    return await _listed(read, row, "/v1/payment_intents", {"customer": customer} if customer else {})


async def _look_held_payment_intent(read: Read, row: EffectRow) -> Finding:
    """Of whichever customer; but one of another amount is another intent under a request_id that was used before."""
    finding = await _listed(read, row, "/v1/payment_intents", {})
    wanted = row.call.params
    if isinstance(finding, Found) and any(finding.body.get(name) != wanted[name] for name in ("amount", "currency")):
        return FoundRefused(Refused(400, "idempotency_error"))
    return finding


async def _look_attached(read: Read, row: EffectRow) -> Finding:
    """Attached PaymentMethods show their customer; sources made of a token carry our metadata."""
    if row.call.path.endswith("/sources"):
        if not row.call.params["source"].startswith("tok_"):
            return await _look_source(read, row)
        return await _listed(read, row, row.call.path, {})
    body = await read(StripeCall("GET", row.call.path.removesuffix("/attach"), row.call.account))
    owner = body.get("customer")
    return Found(body) if owner and owner == row.call.params["customer"] else Absent()


async def _look_source(read: Read, row: EffectRow) -> Finding:
    body = await read(StripeCall("GET", f"/v1/sources/{row.call.params['source']}", row.call.account))
    return Found(body) if body.get("customer") == row.call.path.split("/")[3] else Absent()


async def _look_setup_intent(read: Read, row: EffectRow) -> Finding:
    return await _listed(read, row, "/v1/setup_intents", {"customer": row.call.params["customer"]})


async def _look_deleted(read: Read, row: EffectRow) -> Finding:
    """A deleted customer is shown as deleted, for ever."""
    try:
        body = await read(StripeCall("GET", row.call.path, row.call.account))
    except errors.ResourceNotFound:
        return Found({"id": row.call.path.rsplit("/", 1)[1]})
    return Found(body) if body.get("deleted") else Absent()


async def _look_detached(read: Read, row: EffectRow) -> Finding:
    """A detached PaymentMethod shows no customer; a deleted card or source is not there any more."""
    path = row.call.path.removesuffix("/detach")
    try:
        body = await read(StripeCall("GET", path, row.call.account))
    except (errors.CloneNotUsable, errors.ResourceNotFound):
        return Found({"id": path.rsplit("/", 1)[1]})
    return Absent() if body.get("customer") else Found(body)


async def _look_confirmed(read: Read, row: EffectRow) -> Finding:
    """The PaymentIntent itself says whether it was confirmed."""
    body = await read(StripeCall("GET", row.call.path.removesuffix("/confirm"), row.call.account))
    error = body.get("last_payment_error")
    if body["status"] == "requires_payment_method" and error:
        details = {**error, "payment_intent": body}
        return FoundRefused(
            Refused(402, error.get("type", "card_error"), error.get("code", ""), error.get("message", ""), body=details)
        )
    return Absent() if body["status"] in ("requires_confirmation", "requires_payment_method") else Found(body)


async def _payment_intent(read: Read, row: EffectRow) -> Body:
    return await read(StripeCall("GET", row.call.path.rpartition("/")[0], row.call.account))


async def _look_reconfirmed(read: Read, row: EffectRow) -> Finding:
    """As _look_confirmed, but a decline may be that of an earlier attempt: then it is tried (again).

    One PaymentIntent succeeds once, so that costs an attempt at most.
    """
    body = await _payment_intent(read, row)
    return Absent() if body["status"] in ("requires_confirmation", "requires_payment_method") else Found(body)


async def _look_captured(read: Read, row: EffectRow) -> Finding:
    """A capture leaves the effect's name on the PaymentIntent; without it, other hands captured or canceled."""
    body = await _payment_intent(read, row)
    if body["status"] == "requires_capture":
        return Absent()
    if (body.get("metadata") or {}).get(calls.EFFECT) == row.effect_id:
        return Found(body)
    return _wrong_state(body)


async def _look_canceled(read: Read, row: EffectRow) -> Finding:
    """Canceled is canceled, whoever did it."""
    body = await _payment_intent(read, row)
    if body["status"] == "canceled":
        return Found(body)
    return _wrong_state(body) if body["status"] == "succeeded" else Absent()


def _wrong_state(body: Body) -> FoundRefused:
    code = "payment_intent_unexpected_state"
    return FoundRefused(Refused(400, "invalid_request_error", code, body={"payment_intent": body}))


async def _look_refund(read: Read, row: EffectRow) -> Finding:
    return await _listed(read, row, row.call.path, {"payment_intent": row.call.params["payment_intent"]})


async def _unseen(_read: Read, _row: EffectRow) -> Finding:
    """Nothing to see and nothing to fear: an unattached clone, or a default set twice, moves no money."""
    return Absent()


KINDS: dict[str, EffectKind] = {
    "platform_customer": EffectKind(_keep_customer, _look_customer, personal=("email", "name")),
    "platform_attach": EffectKind(_keep_payment_method, _look_attached),
    "platform_default": EffectKind(_keep_default, _unseen),
    "clone": EffectKind(_keep_payment_method, _unseen),
    "customer": EffectKind(_keep_customer, _look_customer),
    "attach": EffectKind(_keep_payment_method, _look_attached),
    "setup": EffectKind(_keep_id, _look_setup_intent),
    "platform_delete": EffectKind(_keep_id, _look_deleted),
    "delete_customer": EffectKind(_keep_id, _look_deleted),
    "detach": EffectKind(_keep_id, _look_detached),
    "connected_default": EffectKind(_keep_default, _unseen),
    "intent": EffectKind(payment_intent_facts, _look_payment_intent, _look_held_payment_intent),
    "confirm": EffectKind(payment_intent_facts, _look_confirmed),
    "reconfirm": EffectKind(payment_intent_facts, _look_reconfirmed),
    "capture": EffectKind(payment_intent_facts, _look_captured),
    "cancel": EffectKind(payment_intent_facts, _look_canceled),
    "refund": EffectKind(_keep_refund, _look_refund),
}
