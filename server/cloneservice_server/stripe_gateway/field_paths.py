"""From Stripe's parameter to the field of the request message that the caller wrote it in, by kind of call."""

from __future__ import annotations

OUR_METADATA = "cloneservice_"
"""Metadata keys that begin so are written by this service, not by the caller."""

_CHARGE = {
    "amount": "charge.amount.minor_units",
    "currency": "charge.amount.currency_code",
    "application_fee_amount": "charge.application_fee.minor_units",
    "description": "charge.description",
    "statement_descriptor_suffix": "charge.statement_descriptor_suffix",
    "return_url": "charge.return_url",
    "metadata": "charge.metadata",
}
_FIELDS: dict[str, dict[str, str]] = {
    "platform_customer": {
        "email": "new_customer.email",
        "name": "new_customer.name",
        "metadata": "new_customer.metadata",
    },
    "platform_attach": {"customer": "platform_customer_id", "source": "platform_payment_method_id"},
    "platform_read": {"starting_after": "page_token", "limit": "page_size"},
    "setup": {"on_behalf_of": "on_behalf_of_account_id", "payment_method_types": "payment_method_types"},
    "clone": {"metadata": "metadata"},
    "attach": {"customer": "attach.connected_customer_id"},
    "intent": _CHARGE,
    "confirm": _CHARGE,
    "reconfirm": {"return_url": "return_url"},
    "capture": {"amount_to_capture": "amount.minor_units", "application_fee_amount": "application_fee.minor_units"},
    "cancel": {"cancellation_reason": "reason"},
    "refund": {"amount": "amount.minor_units", "reason": "reason", "metadata": "metadata"},
}


def field_path(step: str, param: str) -> str:
    """The caller's field for Stripe's `param` (such as `metadata[order]`) at `step`; "" for what only we write."""
    root, _, rest = param.partition("[")
    key = rest.removesuffix("]")
    if root == "metadata" and key.startswith(OUR_METADATA):
        return ""
    path = _FIELDS.get(step, {}).get(root, "")
    return f'{path}["{key}"]' if path and root == "metadata" and key else path
