"""Transfers from the platform to connected accounts, by themselves or as part of a destination charge."""

from __future__ import annotations

from typing import Any

from fake_stripe import amounts
from fake_stripe.amounts import spelt
from fake_stripe.errors import invalid, resource_missing, state_error
from fake_stripe.objects import application_fees, balance_transactions, charge_shape
from fake_stripe.objects.metadata import merged_metadata
from fake_stripe.objects.registry import Call, operation
from fake_stripe.render.lists import list_object, paginate
from fake_stripe.scope import Scope, Wire


def require_destination(scope: Scope, account_id: str, *, param: str) -> str:
    """The id of an account that the platform can send money to; raises "No such destination"."""
    if not scope.world.reaches(account_id):
        raise resource_missing("destination", account_id, param=param, in_path=False)
    return account_id


def follow_charge(scope: Scope, charge: Wire) -> Wire:
    """Sends the destination's part of a platform charge on its way; the platform's fee comes back out of it."""
    data = charge["transfer_data"]
    amount = data["amount"] or charge["amount_captured"]
    fee_amount = charge["application_fee_amount"] or 0
    group = charge["transfer_group"] or f"group_{charge['payment_intent'] or charge['id']}"
    transfer = send(
        scope,
        amount=amount,
        currency=charge["currency"],
        destination=data["destination"],
        source=charge["id"],
        group=group,
        application_fee=fee_amount,
    )
    changes: Wire = {"transfer": transfer["id"], "transfer_group": group}
    if fee_amount:
        seller = scope.world.scope(data["destination"], scope.livemode)
        payment = seller.require("charge", transfer["destination_payment"])
        fee = application_fees.collect(seller, payment, amount=fee_amount, originating=charge["id"])
        seller.update(payment, application_fee=fee["id"])
        changes["application_fee"] = fee["id"]
    scope.update(charge, **changes)
    return transfer


def send(
    scope: Scope,
    *,
    amount: int,
    currency: str,
    destination: str,
    source: str | None = None,
    group: str | None = None,
    application_fee: int = 0,
    description: str | None = None,
    metadata: dict[str, str] | None = None,
) -> Wire:
    """Moves `amount` minor units from `scope` to `destination`, where it arrives as a payment (`py_`)."""
    transfer_id = scope.new_id("tr", like=source)
    out = balance_transactions.record(
        scope,
        "transfer",
        amount=-amount,
        currency=currency,
        source=transfer_id,
        like=source,
        description=description,
        at_once=source is None,
    )
    payment = _arrive(
        scope.world.scope(destination, scope.livemode),
        scope,
        transfer_id,
        amount=amount,
        currency=currency,
        application_fee=application_fee,
        at_once=source is None,
    )
    transfer = scope.insert(
        {
            "id": transfer_id,
            "object": "transfer",
            "amount": amount,
            "amount_reversed": 0,
            "balance_transaction": out["id"],
            "created": scope.world.clock.now(),
            "currency": currency,
            "description": description,
            "destination": destination,
            "destination_payment": payment["id"],
            "livemode": scope.livemode,
            "metadata": metadata or {},
            "reversals": list_object([], f"/v1/transfers/{transfer_id}/reversals", total_count=0),
            "reversed": False,
            "source_transaction": source,
            "source_type": "card",
            "transfer_group": group,
        }
    )
    scope.emit("transfer.created", transfer)
    return transfer


def _arrive(
    seller: Scope, sender: Scope, transfer_id: str, *, amount: int, currency: str, application_fee: int, at_once: bool
) -> Wire:
    payment_id = seller.new_id("py")
    parts: list[Wire] = []
    if application_fee:
        from fake_stripe.processing_fees import fee_details  # noqa: PLC0415 - destination charges with a fee only

        application = seller.world.application
        parts = fee_details(stripe=0, application=application_fee, application_id=application, currency=currency)
    transaction = balance_transactions.record(
        seller,
        "payment",
        amount=amount,
        currency=currency,
        source=payment_id,
        like=payment_id,
        fee_details=parts,
        at_once=at_once,
    )
    payment = charge_shape.build(
        seller,
        payment_id,
        amount=amount,
        currency=currency,
        payment_method=None,
        details={"stripe_account": {}, "type": "stripe_account"},
        billing=None,
        outcome_=charge_shape.outcome(seller, None, "normal"),
        given={"application_fee_amount": application_fee or None},
    )
    payment |= {
        "amount_captured": amount,
        "balance_transaction": transaction["id"],
        "captured": True,
        "outcome": None,
        "paid": True,
        "source": {"id": sender.account_id, "object": "account"},
        "source_transfer": transfer_id,
        "status": "succeeded",
    }
    seller.insert(payment)
    seller.emit("payment.created", payment)
    return payment


def take_back(scope: Scope, transfer: Wire, amount: int, *, refund: str | None = None, metadata: Any = None) -> Wire:
    """Reverses `amount` minor units of a transfer.

    Raises:
        ApiError: more than is left of the transfer (400).
    """
    rest = transfer["amount"] - transfer["amount_reversed"]
    if amount > rest:
        currency = transfer["currency"]
        raise state_error(
            f"Transfer reversal amount ({spelt(amount, currency)}) is greater than unreversed amount on transfer"
            f" ({spelt(rest, currency)})",
            code=None,
            param="amount",
        )
    reversal_id = scope.new_id("trr")
    transaction = balance_transactions.record(
        scope, "transfer_refund", amount=amount, currency=transfer["currency"], source=reversal_id
    )
    reversal = scope.insert(
        {
            "id": reversal_id,
            "object": "transfer_reversal",
            "amount": amount,
            "balance_transaction": transaction["id"],
            "created": scope.world.clock.now(),
            "currency": transfer["currency"],
            "destination_payment_refund": None,
            "metadata": merged_metadata({}, metadata),
            "source_refund": refund,
            "transfer": transfer["id"],
        }
    )
    seller = scope.world.scope(transfer["destination"], scope.livemode)
    payment = seller.get("charge", transfer["destination_payment"])
    if payment is not None:
        balance_transactions.record(
            seller, "payment_refund", amount=-amount, currency=transfer["currency"], source=payment["id"]
        )
        gone = payment["amount_refunded"] + amount
        seller.update(payment, amount_refunded=gone, refunded=gone == payment["amount"])
    data = [dict(o) for o in scope.list("transfer_reversal", transfer=transfer["id"])]
    listed = list_object(data, f"/v1/transfers/{transfer['id']}/reversals", total_count=len(data))
    scope.update(
        transfer, amount_reversed=transfer["amount_reversed"] + amount, reversed=amount == rest, reversals=listed
    )
    scope.emit("transfer.reversed", transfer)
    return reversal


@operation("POST", "/v1/transfers")
def create(call: Call) -> Wire:
    """Sends money to a connected account, from the balance or out of one charge (`source_transaction`)."""
    params = call.params
    currency = amounts.check_currency(params["currency"])
    source = params.get("source_transaction")
    if source:
        charge = call.scope.require("charge", source, param="source_transaction")
        amount = params.get("amount") or charge["amount_captured"]
    else:
        amount = params.get("amount")
    if amount is None:
        raise invalid("Missing required param: amount.", code="parameter_missing", param="amount")
    if amount < 1:
        raise amounts.below_one("amount")
    destination = require_destination(call.scope, params["destination"], param="destination")
    if not source:
        _refuse_overdraft(call, amount, currency)
    return send(
        call.scope,
        amount=amount,
        currency=currency,
        destination=destination,
        source=source,
        group=params.get("transfer_group"),
        description=params.get("description"),
        metadata=merged_metadata({}, params.get("metadata")),
    )


def _refuse_overdraft(call: Call, amount: int, currency: str) -> None:
    available = balance_transactions.totals(call.scope).get(currency, (0, 0))[0]
    if available < amount and call.world.policy(call.scope.account_id).capabilities == "enforced":
        raise state_error(
            "You have insufficient available funds in your Stripe account. Try adding funds directly to your available"
            " balance by creating Charges using the 4000000000000077 test card. See:"
            " https://stripe.com/docs/testing#available-balance",
            code="balance_insufficient",
        )


@operation("GET", "/v1/transfers")
def list_all(call: Call) -> Wire:
    """Transfers, newest first, by `destination` and `transfer_group`."""
    wanted = {name: call.params.get(name) for name in ("destination", "transfer_group")}
    return paginate(call, call.scope.list("transfer", **wanted), "/v1/transfers")


@operation("GET", "/v1/transfers/{transfer}")
def retrieve(call: Call) -> Wire:
    """One transfer."""
    return call.scope.require("transfer", call.path["transfer"], param="id", in_path=True)


@operation("POST", "/v1/transfers/{transfer}")
def update(call: Call) -> Wire:
    """Changes description and metadata; emits transfer.updated."""
    transfer = retrieve(call)
    changes: Wire = {}
    if "description" in call.params:
        changes["description"] = call.params["description"] or None
    if "metadata" in call.params:
        changes["metadata"] = merged_metadata(transfer["metadata"], call.params["metadata"])
    call.scope.emit("transfer.updated", transfer, call.scope.update(transfer, **changes))
    return transfer


@operation("POST", "/v1/transfers/{id}/reversals")
def reverse(call: Call) -> Wire:
    """Reverses a transfer, whole or in part (`amount`, minor units); `refund_application_fee` returns its fee."""
    transfer = call.scope.require("transfer", call.path["id"], param="id", in_path=True)
    amount = call.params.get("amount")
    if amount is None:
        amount = transfer["amount"] - transfer["amount_reversed"]
    return take_back(call.scope, transfer, int(amount), metadata=call.params.get("metadata"))


@operation("GET", "/v1/transfers/{id}/reversals")
def list_reversals(call: Call) -> Wire:
    """The reversals of a transfer."""
    transfer = call.scope.require("transfer", call.path["id"], param="id", in_path=True)
    found = call.scope.list("transfer_reversal", transfer=transfer["id"])
    return paginate(call, found, f"/v1/transfers/{transfer['id']}/reversals")


@operation("GET", "/v1/transfers/{transfer}/reversals/{id}")
def retrieve_reversal(call: Call) -> Wire:
    """One reversal."""
    return call.scope.require("transfer_reversal", call.path["id"], in_path=True)


@operation("POST", "/v1/transfers/{transfer}/reversals/{id}")
def update_reversal(call: Call) -> Wire:
    """Changes the metadata of a reversal."""
    reversal = retrieve_reversal(call)
    if "metadata" in call.params:
        call.scope.update(reversal, metadata=merged_metadata(reversal["metadata"], call.params["metadata"]))
    return reversal
