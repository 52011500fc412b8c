"""What the parameters of a PaymentIntent mean, and what Stripe refuses about them before anything is written."""

from __future__ import annotations

from typing import Any

from fake_stripe.amounts import check_amount, check_currency
from fake_stripe.errors import ApiError, invalid, state_error
from fake_stripe.objects import accounts, payment_method_creation, payment_method_types, payment_methods, transfers
from fake_stripe.objects.metadata import address, merged_metadata
from fake_stripe.objects.registry import Call
from fake_stripe.scope import Scope, Wire

_FEE_WITHOUT_CONNECT = (
    "Can only apply an application_fee_amount when the PaymentIntent is attempting a direct payment (using an OAuth key"
    " or Stripe-Account header) or destination payment (using `transfer_data[destination]`)."
)
_DESCRIPTOR_OF_CARDS = (
    "The statement_descriptor parameter is not supported for the payment_method_type `card`. To continue supporting"
    " payment_method_type `card`, please pass in `statement_descriptor_suffix` or remove the `statement_descriptor`"
    " parameter altogether. Please see"
    " https://support.stripe.com/questions/use-of-the-statement-descriptor-parameter-on-paymentintents-for-card-charges"
    " for additional details."
)
_FEE_TOO_LARGE = "Application fee amount must be less than or equal to the charge amount"
NO_CARD_PAYMENTS = "You cannot create a charge on a connected account without the `card_payments` capability enabled."
NO_LIVE_CHARGES = (
    "This Connect account cannot currently make live charges. The `requirements.disabled_reason` property on the"
    " account"
    " will provide information about why this account is currently disabled. If you are a customer trying to make a"
    " purchase, please contact the owner of this site. Your transaction has not been processed."
)
_CONFIRM_ONLY = ("error_on_requires_action", "mandate", "mandate_data", "off_session", "return_url")

PLAIN = (
    "description", "on_behalf_of", "receipt_email", "setup_future_usage", "statement_descriptor",
    "statement_descriptor_suffix", "transfer_group",
)  # fmt: skip

_FEE_BESIDE_AMOUNT = "You may only specify one of these parameters: application_fee_amount, transfer_data[amount]."


def build(call: Call) -> Wire:
    """A PaymentIntent as its create parameters describe it, checked, not yet stored and without PaymentMethod.

    Raises:
        ApiError: amounts, currencies, fees, types, customers and destinations that do not work.
    """
    scope, params = call.scope, call.params
    currency = check_currency(params["currency"])
    check_amount(params["amount"], currency)
    check_references(scope, params)
    check_fee(scope, params, amount=params["amount"], transfer_data=params.get("transfer_data") or None)
    check_account(scope)
    chosen = payment_method_types.choose(call, currency)
    check_descriptor(params, chosen.types)
    intent_id = scope.new_id("pi")
    intent: Wire = {
        "id": intent_id,
        "object": "payment_intent",
        "allowed_payment_method_types": chosen.allowed,
        "amount": params["amount"],
        "amount_capturable": 0,
        "amount_details": {"tip": {}, **(params.get("amount_details") or {})},
        "amount_received": 0,
        "application": None if scope.is_platform else scope.world.application,
        "application_fee_amount": params.get("application_fee_amount"),
        "automatic_payment_methods": chosen.automatic,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": params.get("capture_method") or _capture_method(call),
        "client_secret": f"{intent_id}_secret_{scope.world.ids.text(25)}",
        "confirmation_method": params.get("confirmation_method") or "automatic",
        "created": call.now,
        "currency": currency,
        "customer": params.get("customer") or None,
        "customer_account": params.get("customer_account") or None,
        "excluded_payment_method_types": params.get("excluded_payment_method_types") or None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": call.livemode,
        "managed_payments": {"enabled": False},
        "metadata": merged_metadata({}, params.get("metadata")),
        "next_action": None,
        "payment_method": None,
        "payment_method_configuration_details": _configuration(scope) if chosen.automatic else None,
        "payment_method_options": payment_method_types.options(
            chosen.types, params.get("payment_method_options"), currency
        ),
        "payment_method_types": chosen.types,
        "processing": None,
        "review": None,
        "shared_payment_granted_token": None,
        "shipping": shipping(params.get("shipping")),
        "source": None,
        "status": "requires_payment_method",
        "transfer_data": _transfer_data(params.get("transfer_data")),
    }
    return intent | {name: params.get(name) or None for name in PLAIN}


def check_descriptor(params: Wire, types: list[str]) -> None:
    """Raises for a whole `statement_descriptor` on an intent that takes cards; refused since February 2024."""
    if params.get("statement_descriptor") and "card" in types:
        raise invalid(_DESCRIPTOR_OF_CARDS, param="statement_descriptor")


def _transfer_data(given: Any) -> Wire | None:
    if not isinstance(given, dict):
        return None
    return {name: given[name] for name in ("amount", "destination") if name in given}


def _capture_method(call: Call) -> str:
    """docs.stripe.com/upgrades, 2024-04-10."""
    return "automatic_async" if call.version >= "2024-04-10" else "automatic"


def check_account(scope: Scope) -> None:
    """Refuses a charge on a connected account that is not ready, where the policy enforces it."""
    if scope.is_platform or scope.world.policy(scope.account_id).capabilities != "enforced":
        return
    account = accounts.account_of(scope.world, scope.account_id, livemode=scope.livemode)
    if scope.livemode and not account["charges_enabled"]:
        raise state_error(NO_LIVE_CHARGES, code=None)
    if account["type"] != "standard" and "card_payments" not in payment_method_types.active_capabilities(scope):
        raise state_error(NO_CARD_PAYMENTS, code=None)
    if account["type"] == "standard" and not account["charges_enabled"]:
        raise state_error(NO_CARD_PAYMENTS, code=None)


def check_references(scope: Scope, params: Wire) -> None:
    """Raises for a customer, destination or business of record that does not exist."""
    if params.get("customer"):
        scope.require("customer", params["customer"], param="customer")
    destination = (params.get("transfer_data") or {}).get("destination")
    if destination:
        transfers.require_destination(scope, destination, param="transfer_data[destination]")
    if params.get("on_behalf_of"):
        name = params["on_behalf_of"]
        if not scope.world.reaches(name):
            raise invalid(f"No such account: '{name}'", code="resource_missing", param="on_behalf_of")


def check_fee(scope: Scope, params: Wire, *, amount: int, transfer_data: Any) -> None:
    """Raises for an application fee without Connect, above the amount, or beside a transfer of a stated amount."""
    fee = params.get("application_fee_amount")
    if fee in (None, ""):
        return
    if (transfer_data or {}).get("amount") not in (None, ""):
        raise invalid(_FEE_BESIDE_AMOUNT, code="parameters_exclusive")
    if scope.is_platform and not (transfer_data or {}).get("destination"):
        raise invalid(_FEE_WITHOUT_CONNECT, code="parameter_missing", param="application_fee_amount")
    if fee > amount:
        raise invalid(_FEE_TOO_LARGE, param="application_fee_amount")


def check_confirm_only(params: Wire) -> None:
    """Raises for parameters that belong to a confirmation; `off_session=false` alone passes, as recorded."""
    for name in _CONFIRM_ONLY:
        if params.get(name) not in (None, "", False):
            text = (
                f"The parameter `{name}` cannot be passed when creating a PaymentIntent unless `confirm` is set to"
                " true."
            )
            raise invalid(text, param=name)


def _configuration(scope: Scope) -> Wire:
    state = scope.hidden("payment_method_configuration")
    if "id" not in state:
        state["id"] = scope.new_id("pmc")
    return {"id": state["id"], "parent": None}


def shipping(given: Any) -> Wire | None:
    """The whole `shipping` hash from a given one."""
    if not given:
        return None
    return {
        "address": address(given.get("address") or {}) or address({"line1": ""}),
        "carrier": given.get("carrier") or None,
        "name": given.get("name") or None,
        "phone": given.get("phone") or None,
        "tracking_number": given.get("tracking_number") or None,
    }


def payment_method_of(call: Call, intent: Wire, *, carried: Wire | None = None) -> Wire | None:
    """The PaymentMethod that the call names for `intent`, by id or as data; None when it names none.

    `carried` is the stored intent for errors that carry it.

    Raises:
        ApiError: unknown, consumed, somebody else's, or of a type that the intent does not take.
    """
    params = call.params
    found: Wire | None = None
    if params.get("payment_method"):
        found = payment_methods.resolve_for_payment(
            call, params["payment_method"], customer=intent["customer"], intent=carried
        )
    elif isinstance(params.get("payment_method_data"), dict):
        found = payment_method_creation.from_data(call.scope, params["payment_method_data"])
    if found is not None and found["type"] not in intent["payment_method_types"]:
        raise _wrong_type(found, intent, carried)
    return found


def _wrong_type(payment_method: Wire, intent: Wire, carried: Wire | None) -> ApiError:
    kind, allowed = payment_method["type"], ", ".join(intent["payment_method_types"])
    text = (
        f"The PaymentMethod provided ({kind}) is not allowed for this PaymentIntent. Please attach a PaymentMethod"
        f" of one"
        f" of the following types: {allowed}. Alternatively, update the allowed payment_method_types for this"
        f' PaymentIntent to include "{kind}"'
    )
    extra = {"payment_intent": carried} if carried is not None else {}
    return state_error(text, code="payment_intent_incompatible_payment_method", param="payment_method", **extra)
