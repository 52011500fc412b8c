"""Facts 6: what Stripe's test cards and bank accounts are refused with."""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.fake_stripe.facts import LIVE_KEY, MAKE, NOW, Case

DECLINED = "Your card was declined."
INTENTS = "POST /v1/payment_intents"
CARD = {"number": "4242424242424242", "exp_month": 9, "exp_year": 2031, "cvc": "314"}

MAKE |= {
    "no raw cards": lambda shop: shop.policy(raw_card_numbers="refused"),
    "no test cards": lambda shop: shop.policy(test_cards="declined"),
    "declines later": lambda shop: shop.api.saved_card("pm_card_chargeCustomerFail", customer=shop["customer"])[1],
}


def _declined(row: str, magic: str, code: str, message: str = DECLINED, advice: str = "", **more: Any) -> list[Case]:
    """A card of the decline list: refused alike when it is saved and when it pays."""
    names = ("advice_code", "network_advice_code", "network_decline_code")
    extra = {name: value for name, value in zip(names, advice.split("/"), strict=False) if value not in ("", "-")}
    told = {"status": 402, "type": "card_error", "code": code, "message": message, "extra": extra, **more}
    source = {"payment_method": magic} if magic.startswith("pm_") else {"payment_method_data": _by_token(magic)}
    return [Case(row=f"6.4 {row}", call=INTENTS, params={**source, **NOW}, **told)] + [
        Case(
            row=f"6.4 {row}", call=f"POST /v1/payment_methods/{magic}/attach", params={"customer": "{customer}"}, **told
        )
        for _ in range(magic.startswith("pm_"))
    ]


def _by_token(token: str) -> dict[str, Any]:
    return {"type": "card", "card": {"token": token}}


DECLINES = [
    *_declined(
        "`4000000000000002`",
        "pm_card_visa_chargeDeclined",
        "card_declined",
        advice="try_again_later/-/01",
        decline_code="generic_decline",
    ),
    *_declined(
        "`4000000000009995`",
        "pm_card_visa_chargeDeclinedInsufficientFunds",
        "card_declined",
        "Your card has insufficient funds.",
        "try_again_later/02/51",
        decline_code="insufficient_funds",
    ),
    *_declined(
        "`4000000000009987`",
        "pm_card_visa_chargeDeclinedLostCard",
        "card_declined",
        advice="do_not_try_again/01/41",
        decline_code="lost_card",
    ),
    *_declined(
        "`4000000000009979`",
        "pm_card_visa_chargeDeclinedStolenCard",
        "card_declined",
        advice="do_not_try_again/01/43",
        decline_code="stolen_card",
    ),
    *_declined(
        "`4000000000000069`",
        "pm_card_chargeDeclinedExpiredCard",
        "expired_card",
        "Your card has expired.",
        "confirm_card_data/03/54",
        decline_code="expired_card",
        param="exp_month",
    ),
    *_declined(
        "`4000000000000127`",
        "pm_card_chargeDeclinedIncorrectCvc",
        "incorrect_cvc",
        "Your card's security code is incorrect.",
        "confirm_card_data/03/N7",
        decline_code="incorrect_cvc",
        param="cvc",
    ),
    *_declined(
        "`4000000000000119`",
        "pm_card_chargeDeclinedProcessingError",
        "processing_error",
        "An error occurred while processing your card. Try again in a little bit.",
        "try_again_later/-/06",
        decline_code="processing_error",
    ),
    *_declined(
        "`4000000000006975`",
        "pm_card_visa_chargeDeclinedVelocityLimitExceeded",
        "card_declined",
        "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
        "try_again_later/02/61",
        decline_code="card_velocity_exceeded",
    ),
    *_declined(
        "– | `tok_visa_chargeDeclinedFraudulent`",  # noqa: RUF001 - as the document has it
        "tok_visa_chargeDeclinedFraudulent",
        "card_declined",
        decline_code="fraudulent",
    ),
    Case(
        row="6.4 `4242424242424241`",
        call="POST /v1/payment_methods",
        params={"type": "card", "card": CARD | {"number": "4242424242424241"}},
        status=402,
        type="card_error",
        code="incorrect_number",
        param="number",
        message="Your card number is incorrect.",
    ),
    Case(
        row="6.4 `4000000000000341`",
        call=INTENTS,
        params={"payment_method": "{declines later}", "customer": "{customer}", **NOW},
        status=402,
        type="card_error",
        code="card_declined",
        decline_code="generic_decline",
        message=DECLINED,
        extra={"advice_code": "try_again_later", "network_decline_code": "01"},
    ),
    *_declined(
        "– | `tok_visa_chargeCustomerFailLostCard`",  # noqa: RUF001 - as the document has it
        "tok_visa_chargeCustomerFailLostCard",
        "card_declined",
        advice="do_not_try_again/01/41",
        decline_code="lost_card",
    ),
    *_declined(
        "– | `tok_visa_chargeCustomerFailStolenCard`",  # noqa: RUF001 - as the document has it
        "tok_visa_chargeCustomerFailStolenCard",
        "card_declined",
        advice="do_not_try_again/01/43",
        decline_code="stolen_card",
    ),
]

GENERAL = [
    Case(
        row="6.1 Raw numbers at the API",
        call="POST /v1/payment_methods",
        given=("no raw cards",),
        params={"type": "card", "card": CARD},
        status=402,
        message="Sending credit card numbers directly to the Stripe API is generally unsafe. We suggest you use test"
        " tokens that map to the test card you are using, see https://stripe.com/docs/testing. To enable testing raw"
        " card data APIs, see https://support.stripe.com/questions/enabling-access-to-raw-card-data-apis.",
        like="Sending credit card numbers directly to the Stripe API is generally unsafe…",
    ),
    Case(
        row="6.1 Live keys with test cards",
        call=INTENTS,
        key=LIVE_KEY,
        given=("no test cards",),
        params={"payment_method_data": {"type": "card", "card": CARD}, **NOW},
        status=402,
        type="card_error",
        code="card_declined",
        decline_code="testmode_decline",
        message="Your card was declined. Your request was in live mode, but used a known test card.",
    ),
    *(
        Case(
            row="6.1 `decline_code` for expired / wrong CVC",
            call=INTENTS,
            params={"payment_method": magic, **NOW},
            status=402,
            type="card_error",
            code=code,
            decline_code=code,
            param=param,
            message=message,
            extra=extra,
        )
        for magic, code, param, message, extra in (
            (
                "pm_card_chargeDeclinedExpiredCard",
                "expired_card",
                "exp_month",
                "Your card has expired.",
                {"advice_code": "confirm_card_data", "network_advice_code": "03", "network_decline_code": "54"},
            ),
            (
                "pm_card_chargeDeclinedIncorrectCvc",
                "incorrect_cvc",
                "cvc",
                "Your card's security code is incorrect.",
                {"advice_code": "confirm_card_data", "network_advice_code": "03", "network_decline_code": "N7"},
            ),
            (
                "pm_card_chargeDeclinedProcessingError",
                "processing_error",
                None,
                "An error occurred while processing your card. Try again in a little bit.",
                {"advice_code": "try_again_later", "network_decline_code": "06"},
            ),
        )
    ),
    Case(
        row="6.5 `4100000000000019`",
        call=INTENTS,
        params={"payment_method": "pm_card_radarBlock", **NOW},
        status=402,
        type="card_error",
        code="card_declined",
        decline_code="fraudulent",
        message=DECLINED,
    ),
    *(
        Case(
            row=f"6.8 `{number}`",
            call=INTENTS,
            params={"payment_method": magic, "off_session": True, **NOW},
            status=402,
            type="card_error",
            code="authentication_required",
            decline_code="authentication_required",
            message="Your card was declined. This transaction requires authentication.",
        )
        for number, magic in (
            ("4000002500003155", "pm_card_authenticationRequiredOnSetup"),
            ("4000002760003184", "pm_card_authenticationRequired"),
        )
    ),
    Case(
        row="6.8 `4000008400001280`",
        call=INTENTS,
        params={"payment_method": "pm_card_threeDSecureRequiredProcessingError", **NOW},
        status=402,
        type="card_error",
        code="card_declined",
        decline_code="generic_decline",
        message=DECLINED,
        extra={"advice_code": "try_again_later", "network_decline_code": "01"},
    ),
]

CASES = GENERAL + DECLINES


class Later(NamedTuple):
    """A payment that begins well and fails later: who pays, what has to happen, and what the intent then says."""

    row: str
    payment_method: str
    code: str
    decline_code: str | None = None


AUTHENTICATED = [
    Later(
        "6.8 `4000008260003178`",
        "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds",
        "card_declined",
        "insufficient_funds",
    ),
    Later("6.8 `4000008400001629`", "pm_card_threeDSecureRequiredChargeDeclined", "card_declined", "generic_decline"),
]
"""Declined after the shopper has authenticated."""

UNAUTHENTICATED = [
    Later("2.5 Failed authentication", "pm_card_threeDSecure2Required", "payment_intent_authentication_failure"),
]
"""The shopper fails to authenticate."""

DEBITS = [
    Later("6.9 `000111111113`", "pm_usBankAccount_accountClosed", "account_closed"),
    Later("6.9 `000111111116`", "pm_usBankAccount_noAccount", "no_account"),
    Later("6.9 `000222222227`", "pm_usBankAccount_insufficientFunds", "insufficient_funds"),
    Later("6.9 `000333333335`", "pm_usBankAccount_debitNotAuthorized", "debit_not_authorized"),
    Later("6.9 `000777777771`", "pm_usBankAccount_weeklyLimitExceeded", "charge_exceeds_source_limit"),
    Later("6.10 `DE65370400440000343434`", "pm_sepaDebit_exceedsWeeklyVolumeLimit_de", "charge_exceeds_source_limit"),
    Later(
        "6.10 `DE27370400440000121212`", "pm_sepaDebit_exceedsWeeklyTransactionLimit_de", "charge_exceeds_weekly_limit"
    ),
    Later("6.10 `DE65370400440002222227`", "pm_sepaDebit_insufficientFunds_de", "insufficient_funds"),
]
"""Refused by the bank days later."""
