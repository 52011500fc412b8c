"""Facts 2: customers, PaymentMethods, intents, charges and refunds on the connected account, and what they refuse."""

from typing import Any

from tests.fake_stripe.facts import LIVE_KEY, MAKE, NOW, Case
from tests.fake_stripe.stripe_calls import SELLER

ONE = {"amount": 500, "currency": "usd"}
CARD_ONLY = {"payment_method_types": ["card"]}
DAHLIA = "2026-08-26.dahlia"
INTENTS = "POST /v1/payment_intents"
DECLINED = "Your card was declined."
UNEXPECTED = "payment_intent_unexpected_state"
MINIMUM = (
    "The amount must be greater than or equal to the minimum charge amount allowed for your account and the currency"
    " set (https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts).  If you want to save a Payment"
    " Method for future use without an immediate payment, use a Setup Intent instead:"
    " https://docs.stripe.com/payments/setup-intents"
)
RETURN_URL = (
    "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because some of these"
    " payment methods might redirect your customer off of your page, you must provide a `return_url`. If you don't want"
    " to accept redirect-based payment methods, set `automatic_payment_methods[enabled]` to `true` and"
    " `automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents and Payment Intents."
)
RETURN_URL_OF_2023 = (
    "A `return_url` must be specified because this Payment Intent is configured to automatically accept the payment"
    " methods enabled in the Dashboard, some of which may require a full page redirect to succeed. If you do not want"
    " to accept redirect-based payment methods, set `automatic_payment_methods[enabled]` to `true` and"
    " `automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents and Payment Intents."
)


MAKE |= {
    "released": lambda shop: shop.made(f"/v1/payment_intents/{shop['held']}/capture", amount_to_capture=400),
    "canceled set-up": lambda shop: shop.made(f"/v1/setup_intents/{shop.made('/v1/setup_intents')}/cancel"),
    "refunded": lambda shop: shop.done("/v1/refunds", charge=shop["charge"]) or shop["charge"],
    "half refunded": lambda shop: shop.done("/v1/refunds", charge=shop["charge"], amount=500) or shop["charge"],
    "disputed": lambda shop: shop.charge(payment_method="pm_card_createDispute"),
    "fee of 12": lambda shop: shop.fee(12),
    "fee of 12 with 2 left": lambda shop: (
        shop.done(f"/v1/application_fees/{shop['fee of 12']}/refunds", amount=10) or shop["fee of 12"]
    ),
    "enforced": lambda shop: shop.policy(SELLER, capabilities="enforced"),
}

CUSTOMERS = [
    Case(
        row="2.1 `invoice_settings[default_payment_method]` needs",
        call="POST /v1/customers/{customer}",
        params={"invoice_settings": {"default_payment_method": "{bare}"}},
        param="invoice_settings[default_payment_method]",
        message="The customer does not have a payment method with the ID {bare}. The payment method must be attached to"
        " the customer.",
    ),
    Case(
        row="2.1 Create/attach with a declining card",
        call="POST /v1/customers",
        params={"payment_method": "pm_card_visa_chargeDeclined"},
        status=402,
        type="card_error",
        code="card_declined",
        decline_code="generic_decline",
        message=DECLINED,
        extra={"advice_code": "try_again_later", "network_decline_code": "01"},
    ),
    Case(
        row="2.1 Create/attach with a declining card",
        call="POST /v1/payment_methods/pm_card_chargeDeclinedIncorrectCvc/attach",
        params={"customer": "{customer}"},
        status=402,
        type="card_error",
        code="incorrect_cvc",
        decline_code="incorrect_cvc",
        param="cvc",
        message="Your card's security code is incorrect.",
        extra={"advice_code": "confirm_card_data", "network_advice_code": "03", "network_decline_code": "N7"},
    ),
    Case(
        row="2.1 Cards made from decline numbers",
        call="POST /v1/payment_methods",
        params={"type": "card", "card": {"number": "4242424242424241", "exp_month": 9, "exp_year": 2031}},
        status=402,
        type="card_error",
        code="incorrect_number",
        param="number",
        message="Your card number is incorrect.",
    ),
]

PAYMENT_METHODS = [
    Case(
        row="2.2 attach to a second customer",
        call="POST /v1/payment_methods/{saved}/attach",
        params={"customer": "{another}"},
        message="The payment method you provided has already been attached to a customer.",
    ),
    Case(
        row="2.2 attach without `customer`",
        call="POST /v1/payment_methods/{bare}/attach",
        code="parameter_missing",
        message="Must provide customer or customer_account.",
    ),
    Case(
        row="2.2 attach to unknown customer",
        call="POST /v1/payment_methods/{bare}/attach",
        params={"customer": "cus_nobody"},
        code="resource_missing",
        param="customer",
        message="No such customer: 'cus_nobody'",
    ),
    Case(
        row="2.2 attach unknown pm",
        call="POST /v1/payment_methods/pm_1Nowhere/attach",
        params={"customer": "{customer}"},
        status=404,
        code="resource_missing",
        param="payment_method",
    ),
    Case(
        row="2.2 detach bare pm",
        call="POST /v1/payment_methods/{bare}/detach",
        message="The payment method you provided is not attached to a customer so detachment is impossible.",
    ),
    Case(
        row="2.2 update bare pm",
        call="POST /v1/payment_methods/{bare}",
        params={"metadata": {"a": "1"}},
        message="You must save this PaymentMethod to a customer before you can update it.",
    ),
]

PARAMETERS = [
    Case(
        row="2.3 `automatic_payment_methods` is on by default",
        call=INTENTS,
        version=DAHLIA,
        params={"payment_method": "{bare}", "confirm": True, **ONE},
        message=RETURN_URL,
    ),
    Case(
        row="2.3 `automatic_payment_methods` is on by default",
        call=INTENTS,
        version="2023-10-16",
        params={"payment_method": "{bare}", "confirm": True, **ONE},
        message=RETURN_URL_OF_2023,
        like="A `return_url` must be specified because this Payment Intent is configured to automatically accept the"
        " payment methods enabled in the Dashboard, some of which may require a full page redirect to succeed. If you"
        " do not want…",
    ),
    Case(
        row="2.3 A type in `payment_method_types` that isn't",
        call=INTENTS,
        account=SELLER,
        given=("enforced",),
        params={"payment_method_types": ["cashapp"], **ONE},
        code="payment_intent_invalid_parameter",
        param="payment_method_types",
    ),
    Case(
        row="2.3 `application_fee_amount`: only with a Connect",
        call=INTENTS,
        params={"application_fee_amount": 10, **ONE},
        code="parameter_missing",
        param="application_fee_amount",
        message="Can only apply an application_fee_amount when the PaymentIntent is attempting a direct payment (using"
        " an OAuth key or Stripe-Account header) or destination payment (using `transfer_data[destination]`).",
    ),
    Case(
        row="2.3 `application_fee_amount`: only with a Connect",
        call="POST /v1/charges",
        params={"source": "tok_visa", "application_fee_amount": 10, **ONE},
        param="application_fee",
        message="Can only apply an application_fee when the request is made on behalf of another account (using an"
        " OAuth key, the Stripe-Account header, or the destination parameter).",
    ),
    Case(
        row="2.3 Fee above amount",
        call=INTENTS,
        account=SELLER,
        params={"application_fee_amount": 501, **ONE},
        param="application_fee_amount",
        message="Application fee amount must be less than or equal to the charge amount",
        like="must be less than or equal to the charge amount",
    ),
    Case(
        row="2.3 amount=0",
        call=INTENTS,
        params={"amount": 0, "currency": "usd"},
        code="parameter_invalid_integer",
        param="amount",
        message=MINIMUM,
    ),
    Case(
        row="2.3 1..49 usd",
        call=INTENTS,
        params={"amount": 49, "currency": "usd"},
        code="amount_too_small",
        param="amount",
        message="Amount must be at least $0.50 usd",
    ),
    Case(
        row="2.3 over 8 digits",
        call=INTENTS,
        params={"amount": 100_000_000, "currency": "usd"},
        code="amount_too_large",
        param="amount",
    ),
    Case(
        row='2.3 "20.0"',
        call=INTENTS,
        params={"amount": "20.0", "currency": "usd"},
        code="parameter_invalid_integer",
        param="amount",
        message="Invalid integer: 20.0",
    ),
    Case(
        row="2.3 negative",
        call="POST /v1/refunds",
        params={"charge": "{charge}", "amount": -1},
        code="parameter_invalid_integer",
        param="amount",
        message="This value must be greater than or equal to 1.",
    ),
]

WHOSE = [
    Case(
        row="2.4 PM attached to cus_A, `customer`=cus_B",
        call=INTENTS,
        params={"payment_method": "{saved}", "customer": "{another}", **CARD_ONLY, **ONE},
        param="payment_method",
        message="The PaymentMethod {saved} does not belong to the Customer you supplied {another}. Please use this"
        " PaymentMethod with the Customer that it belongs to instead.",
    ),
    Case(
        row="2.4 PM attached, `customer` missing (PI)",
        call=INTENTS,
        params={"payment_method": "{saved}", **CARD_ONLY, **ONE},
        code="parameter_missing",
        param="source",
        message="The `payment_method` parameter supplied {saved} belongs to the Customer {customer}. Please include the"
        " Customer in the `customer` parameter on the PaymentIntent.",
    ),
    Case(
        row="2.4 same, SetupIntent",
        call="POST /v1/setup_intents",
        params={"payment_method": "{saved}", **CARD_ONLY},
        param="payment_method",
        message="The payment method supplied ({saved}) belongs to the Customer {customer}. Please include the Customer"
        " in the `customer` parameter on the SetupIntent.",
    ),
]

AUTHENTICATION = [
    Case(
        row="2.5 The PI inside: `status` requires_payment_method",
        call=INTENTS,
        params={"payment_method": "pm_card_chargeDeclinedProcessingError", **NOW},
        status=402,
        type="card_error",
        code="processing_error",
        decline_code="processing_error",
        message="An error occurred while processing your card. Try again in a little bit.",
        extra={"advice_code": "try_again_later", "network_decline_code": "06"},
    ),
    Case(
        row="2.5 Off-session and the card needs 3DS",
        call=INTENTS,
        params={"payment_method": "pm_card_authenticationRequired", "off_session": True, **NOW},
        status=402,
        type="card_error",
        code="authentication_required",
        decline_code="authentication_required",
        message="Your card was declined. This transaction requires authentication.",
    ),
    Case(
        row="2.5 `error_on_requires_action=true`",
        call=INTENTS,
        params={"payment_method": "pm_card_threeDSecure2Required", "error_on_requires_action": True, **NOW},
        status=402,
        type="card_error",
        code="authentication_required",
        decline_code="authentication_not_handled",
        message="This payment required an authentication action to complete, but `error_on_requires_action` was set."
        " When you're ready, you can upgrade your integration to handle actions at"
        " https://stripe.com/docs/payments/payment-intents/upgrade-to-handle-actions.",
        like="This payment required an authentication action to complete, but `error_on_requires_action` was set",
    ),
]


def _wrong(row: str, call: str, message: str, **more: Any) -> Case:
    return Case(row=row, call=call, message=message, **{"code": UNEXPECTED} | more)


STATES = [
    _wrong(
        "2.6 cancel PI",
        "POST /v1/payment_intents/{paid}/cancel",
        "You cannot cancel this PaymentIntent because it has a status of succeeded. Only a PaymentIntent with one of"
        " the following statuses may be canceled: requires_payment_method, requires_capture, requires_confirmation,"
        " requires_action, processing.",
        like="You cannot cancel this PaymentIntent because it has a status of S. Only a PaymentIntent with one of the"
        " following statuses may be canceled: requires_payment_method, requires_capture, requires_confirmation,"
        " requires_action, processing.",
    ),
    _wrong(
        "2.6 capture PI",
        "POST /v1/payment_intents/{open}/capture",
        "This PaymentIntent could not be captured because it has a status of requires_payment_method. Only a"
        " PaymentIntent with one of the following statuses may be captured: requires_capture.",
        like="This PaymentIntent could not be captured because it has a status of S. Only a PaymentIntent with one of"
        " the following statuses may be captured: requires_capture.",
    ),
    _wrong(
        "2.6 capture a succeeded PI",
        "POST /v1/payment_intents/{paid}/capture",
        "This PaymentIntent could not be captured because it has already been captured.",
    ),
    _wrong(
        "2.6 capture again after a partial manual capture",
        "POST /v1/payment_intents/{released}/capture",
        "The remaining amount on this PaymentIntent could not be captured because the remainder of the authorized"
        " amount has been released.",
    ),
    _wrong(
        "2.6 capture too much",
        "POST /v1/payment_intents/{held}/capture",
        "The payment could not be captured because the requested capture amount is greater than the amount you can"
        " capture for this charge. Contact us via https://support.stripe.com/contact/ for help.",
        params={"amount_to_capture": 1001},
        code="amount_too_large",
        param="amount_to_capture",
    ),
    _wrong(
        "2.6 confirm without PM",
        "POST /v1/payment_intents/{open}/confirm",
        "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the"
        " PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a payment"
        " method or ConfirmationToken.",
    ),
    _wrong(
        "2.6 confirm succeeded PI",
        "POST /v1/payment_intents/{paid}/confirm",
        "You cannot confirm this PaymentIntent because it has already succeeded after being previously confirmed.",
    ),
    _wrong(
        "2.6 confirm succeeded PI",
        "POST /v1/setup_intents/{set up}/confirm",
        "You cannot confirm this SetupIntent because it has already succeeded.",
        like="…because it has already succeeded.",
        code="setup_intent_unexpected_state",
    ),
    _wrong(
        "2.6 cancel SI (succeeded)",
        "POST /v1/setup_intents/{set up}/cancel",
        "You cannot cancel this SetupIntent because it has a status of succeeded. Only a SetupIntent with one of the"
        " following statuses may be canceled: `requires_payment_method`, `requires_confirmation`, or"
        " `requires_action`.",
        code="setup_intent_unexpected_state",
    ),
    _wrong(
        "2.6 cancel SI (canceled)",
        "POST /v1/setup_intents/{canceled set-up}/cancel",
        "You cannot cancel this SetupIntent because it it already canceled.",
        code="setup_intent_unexpected_state",
    ),
]

REFUNDS = [
    Case(
        row="2.7 already refunded",
        call="POST /v1/refunds",
        params={"charge": "{refunded}"},
        code="charge_already_refunded",
        message="Charge {refunded} has already been refunded.",
    ),
    Case(
        row="2.7 disputed",
        call="POST /v1/refunds",
        params={"charge": "{disputed}"},
        code="charge_disputed",
        message="Charge {disputed} has been charged back; cannot issue a refund.",
    ),
    Case(
        row="2.7 more than charge",
        call="POST /v1/refunds",
        params={"charge": "{charge}", "amount": 1100},
        param="amount",
        message="Refund amount ($11.00) is greater than charge amount ($10.00)",
    ),
    Case(
        row="2.7 more than rest",
        call="POST /v1/refunds",
        params={"charge": "{half refunded}", "amount": 600},
        param="amount",
        message="Refund amount ($6.00) is greater than unrefunded amount on charge ($5.00)",
    ),
    Case(
        row="2.7 amount −1",  # noqa: RUF001 - as the document has it
        call="POST /v1/refunds",
        params={"charge": "{charge}", "amount": -1},
        code="parameter_invalid_integer",
        param="amount",
        message="This value must be greater than or equal to 1.",
    ),
    Case(
        row="2.7 fee refund too large",
        call="POST /v1/application_fees/{fee of 12 with 2 left}/refunds",
        params={"amount": 10},
        param="amount",
        message="Refund amount ($0.10) is greater than unrefunded amount on fee ($0.02)",
    ),
    Case(
        row="2.7 fee refund too large",
        call="POST /v1/application_fees/{fee of 12}/refunds",
        params={"amount": 13},
        param="amount",
        message="Refund amount ($0.13) is greater than fee amount ($0.12)",
        like="…greater than fee amount ($0.12)",
    ),
    Case(
        row="2.7 unknown charge",
        call="POST /v1/refunds",
        params={"charge": "ch_nowhere"},
        code="resource_missing",
        param="charge",
        message="No such charge: 'ch_nowhere'",
        like="No such charge: 'X'",
    ),
    Case(
        row="2.7 unknown charge",
        call="GET /v1/charges/ch_nowhere",
        status=404,
        code="resource_missing",
        param="id",
        message="No such charge: 'ch_nowhere'",
        like="No such charge: 'X'",
    ),
]

CHARGES = [
    Case(
        row="2.8 POST /v1/charges: `source` = token",
        call="POST /v1/charges",
        params={"customer": "{customer}", **ONE},
        status=402,
        type="card_error",
        code="missing",
        message="Cannot charge a customer that has no active card",
        param="card",
    ),
    Case(
        row="2.8 POST /v1/charges: `source` = token",
        call="POST /v1/charges",
        params={"customer": "{customer}", "source": "{card}", **ONE},
        status=404,
        code="missing",
        param="source",
        message="Customer {customer} does not have a linked source with ID {card}.",
    ),
    Case(
        row="2.8 pm_ ids aren't accepted",
        call="POST /v1/charges",
        params={"source": "tok_threeDSecure2Required", **ONE},
        status=402,
        type="card_error",
        code="authentication_required",
        decline_code="authentication_required",
        message="Your card was declined. This transaction requires authentication.",
    ),
    Case(
        row="2.9 No `card_payments` capability",
        call=INTENTS,
        account="{unready seller}",
        params={"payment_method": "pm_card_visa", **NOW},
        message="You cannot create a charge on a connected account without the `card_payments` capability enabled.",
    ),
    Case(
        row="2.9 Live and disabled",
        call="POST /v1/charges",
        account="{live seller}",
        key=LIVE_KEY,
        params={"source": "tok_visa", **ONE},
        message="This Connect account cannot currently make live charges. The `requirements.disabled_reason` property"
        " on the account will provide information about why this account is currently disabled. If you are a customer"
        " trying to make a purchase, please contact the owner of this site. Your transaction has not been processed.",
    ),
]

CASES = CUSTOMERS + PAYMENT_METHODS + PARAMETERS + WHOSE + AUTHENTICATION + STATES + REFUNDS + CHARGES
