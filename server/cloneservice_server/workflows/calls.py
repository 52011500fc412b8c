"""The calls that change something at Stripe, as pure functions: same arguments, same call, byte for byte.

Every object made on a connected account carries the platform's ids in its metadata, so that lineage can be read back
from Stripe alone, and the id of the effect that made it, so that a lost answer can be found again.
"""

from __future__ import annotations

from typing import Any

from cloneservice_server.domain.commands import CaptureCharge, ChargeOptions, NewCustomer, RefundCharge
from cloneservice_server.domain.ids import refund_id_of
from cloneservice_server.domain.values import CaptureMethod, Charge, Clone, CloneFlow
from cloneservice_server.ports import StripeCall

EFFECT = "cloneservice_effect"
REQUEST = "cloneservice_request_id"
CLONE = "cloneservice_clone_id"
CHARGE = "cloneservice_charge_id"
REFUND = "cloneservice_refund_id"
BASKET = "cloneservice_basket_id"
PLATFORM_CUSTOMER = "cloneservice_platform_customer"
PLATFORM_PAYMENT_METHOD = "cloneservice_platform_payment_method"
EXTERNAL_REFERENCE = "cloneservice_external_reference"


def create_platform_customer(customer: NewCustomer, effect_id: str) -> StripeCall:
    """POST /v1/customers on the platform."""
    metadata = {**customer.metadata, EFFECT: effect_id}
    if customer.external_reference:
        metadata[EXTERNAL_REFERENCE] = customer.external_reference
    params: dict[str, Any] = {"metadata": metadata}
    params.update({key: value for key, value in (("email", customer.email), ("name", customer.name)) if value})
    return StripeCall("POST", "/v1/customers", params=params)


def attach_platform_payment_method(payment_method: str, customer: str) -> StripeCall:
    """Attach a pm_ on the platform."""
    return StripeCall("POST", f"/v1/payment_methods/{payment_method}/attach", params={"customer": customer})


def attach_platform_source(source: str, customer: str, effect_id: str) -> StripeCall:
    """Save a tok_ or src_ as a customer's source, the legacy way."""
    params: dict[str, Any] = {"source": source}
    if source.startswith("tok_"):  # a Source keeps its own metadata, and the call takes none for it
        params["metadata"] = {EFFECT: effect_id}
    return StripeCall("POST", f"/v1/customers/{customer}/sources", params=params)


def set_default(customer: str, payment_method: str, account: str = "") -> StripeCall:
    """Make a payment method, or a legacy source, the customer's default."""
    legacy = not payment_method.startswith("pm_")
    params = (
        {"default_source": payment_method}
        if legacy
        else {"invoice_settings": {"default_payment_method": payment_method}}
    )
    return StripeCall("POST", f"/v1/customers/{customer}", account=account, params=params)


def clone(flow: CloneFlow, account: str, customer: str, original: str, metadata: dict[str, str]) -> StripeCall:
    """The clone itself: called on the connected account, naming the platform's ids (Stripe's guide to cloning)."""
    if flow is CloneFlow.PAYMENT_METHOD:
        params: dict[str, Any] = {"customer": customer, "payment_method": original, "metadata": metadata}
        return StripeCall("POST", "/v1/payment_methods", account=account, params=params)
    if flow is CloneFlow.TOKEN:  # POST /v1/tokens takes no metadata
        detail = "bank_account" if original.startswith("ba_") else "card"
        return StripeCall("POST", "/v1/tokens", account=account, params={"customer": customer, detail: original})
    params = {"customer": customer, "original_source": original, "usage": "reusable", "metadata": metadata}
    return StripeCall("POST", "/v1/sources", account=account, params=params)


def _lineage(made: Clone) -> dict[str, str]:
    return {
        CLONE: made.clone_id,
        PLATFORM_CUSTOMER: made.platform_customer_id,
        PLATFORM_PAYMENT_METHOD: made.platform_payment_method_id,
    }


def create_connected_customer(made: Clone, effect_id: str) -> StripeCall:
    """The connected customer, made with its first clone attached and as its default, in one call.

    Created with payment_method alone, a customer has no default at all (recorded); so it is named twice.
    """
    metadata = {**_lineage(made), EFFECT: effect_id}
    params: dict[str, Any] = {"metadata": metadata}
    if made.flow is CloneFlow.PAYMENT_METHOD:
        params["payment_method"] = made.connected_object_id
        params["invoice_settings"] = {"default_payment_method": made.connected_object_id}
    else:
        params["source"] = made.connected_object_id
    return StripeCall("POST", "/v1/customers", account=made.connected_account_id, params=params)


def attach_clone(made: Clone, customer: str, effect_id: str) -> StripeCall:
    """Attach a clone to a connected customer that exists."""
    if made.flow is CloneFlow.PAYMENT_METHOD:
        path = f"/v1/payment_methods/{made.connected_object_id}/attach"
        return StripeCall("POST", path, account=made.connected_account_id, params={"customer": customer})
    params: dict[str, Any] = {"source": made.connected_object_id}
    if made.flow is CloneFlow.TOKEN:
        params["metadata"] = {**_lineage(made), EFFECT: effect_id}
    return StripeCall("POST", f"/v1/customers/{customer}/sources", account=made.connected_account_id, params=params)


def create_setup_intent(customer: str, on_behalf_of: str, types: tuple[str, ...], effect_id: str) -> StripeCall:
    """A SetupIntent on the platform: saved for charges without the shopper, which is what clones are for."""
    params: dict[str, Any] = {"customer": customer, "usage": "off_session", "metadata": {EFFECT: effect_id}}
    if on_behalf_of:
        params["on_behalf_of"] = on_behalf_of
    if types:
        params["payment_method_types"] = list(types)
    return StripeCall("POST", "/v1/setup_intents", params=params)


def delete_customer(account: str, customer: str) -> StripeCall:
    """Delete a customer, and so all that is saved on it."""
    return StripeCall("DELETE", f"/v1/customers/{customer}", account=account)


def detach_clone(made: Clone) -> StripeCall:
    """Take an attached clone off its connected customer: a detached one can never be charged nor attached again."""
    account, charged = made.connected_account_id, made.charge_with
    if charged.startswith("pm_"):
        return StripeCall("POST", f"/v1/payment_methods/{charged}/detach", account=account)
    return StripeCall("DELETE", f"/v1/customers/{made.connected_customer_id}/sources/{charged}", account=account)


def read_original(made: Clone) -> StripeCall:
    """The platform's object that a clone was made of, by the API that the clone is read by, so that words compare."""
    customer, original = made.platform_customer_id, made.platform_payment_method_id
    return StripeCall("GET", _path_of(made.flow, customer, original))


def read_clone(made: Clone) -> StripeCall:
    """A clone as its account has it now."""
    if made.charge_with.startswith("tok_"):
        return StripeCall("GET", f"/v1/tokens/{made.charge_with}", account=made.connected_account_id)
    path = _path_of(made.flow, made.connected_customer_id, made.charge_with)
    return StripeCall("GET", path, account=made.connected_account_id)


def _path_of(flow: CloneFlow, customer: str, saved: str) -> str:
    if flow is CloneFlow.PAYMENT_METHOD:
        return f"/v1/payment_methods/{saved}"
    return f"/v1/sources/{saved}" if flow is CloneFlow.SOURCE else f"/v1/customers/{customer}/sources/{saved}"


def create_payment_intent(
    made: Clone, options: ChargeOptions, name: str, charge_id: str, basket_id: str = ""
) -> StripeCall:
    """The first phase of a charge: no money moves. `name` is the request's id, or that of a leg of its basket.

    The type is named, so that the account's dashboard settings can neither add redirects nor demand a return_url.
    """
    basket = {BASKET: basket_id} if basket_id else {}
    params: dict[str, Any] = {
        "amount": options.amount.minor_units,
        "currency": options.amount.currency_code.lower(),
        "payment_method_types": [_charge_type(made)],
        "capture_method": "manual" if options.capture_method is CaptureMethod.MANUAL else "automatic_async",
        "metadata": {
            **options.metadata,
            **basket,
            REQUEST: name,
            CHARGE: charge_id,
            **_lineage(made),
        },
    }
    if made.connected_customer_id:
        params["customer"] = made.connected_customer_id
    if made.charge_with.startswith("tok_"):
        params["payment_method_data"] = {"type": "card", "card": {"token": made.charge_with}}
    else:
        params["payment_method"] = made.charge_with
    if options.application_fee is not None and options.application_fee.minor_units:
        params["application_fee_amount"] = options.application_fee.minor_units
    optional = {
        "description": options.description,
        "statement_descriptor_suffix": options.statement_descriptor_suffix,
    }
    params.update({key: value for key, value in optional.items() if value})
    return StripeCall("POST", "/v1/payment_intents", account=made.connected_account_id, params=params)


def _charge_type(made: Clone) -> str:
    return "us_bank_account" if made.summary.type == "us_bank_account" else "card"


def confirm_payment_intent(
    charge: Charge, *, off_session: bool, return_url: str = "", payment_method: str = ""
) -> StripeCall:
    """The second phase: one PaymentIntent succeeds at most once, whatever happens to keys and clocks.

    `payment_method` is named when a decline has taken it off the PaymentIntent.
    """
    params: dict[str, Any] = {"payment_method": payment_method} if payment_method else {}
    if off_session:
        params["off_session"] = True
    elif return_url:
        params["return_url"] = return_url
    return _of_payment_intent(charge, "confirm", params)


def capture_payment_intent(charge: Charge, effect_id: str, command: CaptureCharge | None = None) -> StripeCall:
    """Take what was authorised, or part of it; the effect leaves its name, so that its outcome can be told apart."""
    params: dict[str, Any] = {"metadata": {EFFECT: effect_id}}
    if command is not None and command.amount is not None:
        params["amount_to_capture"] = command.amount.minor_units
    if command is not None and command.application_fee is not None:
        params["application_fee_amount"] = command.application_fee.minor_units
    return _of_payment_intent(charge, "capture", params)


def cancel_payment_intent(charge: Charge, reason: str = "") -> StripeCall:
    """Give the PaymentIntent up; what was authorised is released."""
    return _of_payment_intent(charge, "cancel", {"cancellation_reason": reason} if reason else {})


def _of_payment_intent(charge: Charge, verb: str, params: dict[str, Any]) -> StripeCall:
    path = f"/v1/payment_intents/{charge.stripe_payment_intent_id}/{verb}"
    return StripeCall("POST", path, account=charge.connected_account_id, params=params)


def read_payment_intent(charge: Charge) -> StripeCall:
    """The PaymentIntent with its charge, which tells what was refunded."""
    path = f"/v1/payment_intents/{charge.stripe_payment_intent_id}"
    return StripeCall("GET", path, charge.connected_account_id, {"expand": ["latest_charge"]})


def refund(charge: Charge, name: str, command: RefundCharge) -> StripeCall:
    """Refund on the connected account. Without an amount Stripe refunds all that is left, whatever we know of it."""
    ours = {EFFECT: f"refund:{name}", REFUND: refund_id_of(name), CHARGE: charge.charge_id}
    params: dict[str, Any] = {
        "payment_intent": charge.stripe_payment_intent_id,
        "metadata": {**command.metadata, **ours},
        "expand": ["charge"],
    }
    if command.amount is not None:
        params["amount"] = command.amount.minor_units
    if command.reason:
        params["reason"] = command.reason
    if command.refund_application_fee and charge.application_fee:
        params["refund_application_fee"] = True
    return StripeCall("POST", "/v1/refunds", account=charge.connected_account_id, params=params)
