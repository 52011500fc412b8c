"""Facts 1: the three ways to clone, and what they refuse."""

from tests.fake_stripe.facts import LIVE_KEY, MAKE, Case
from tests.fake_stripe.stripe_calls import SELLER

PLATFORM_OWNED = (
    "; OAuth key or Stripe-Account header was used but API request was provided with a platform-owned payment method"
    " ID. Please ensure that the provided payment method matches the specified account."
)
ON_ANOTHER_ACCOUNT = (
    "; It's possible this PaymentMethod exists on one of your connected accounts, in which case you should retry this"
    " request on that connected account. Learn more at https://stripe.com/docs/connect/authentication"
)
CONSUMED = (
    "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, shared with a"
    " connected account without Customer attachment, or was detached from a Customer. It may not be used again. To use"
    " a PaymentMethod multiple times, you must attach it to a Customer first."
)
OTHER_MODE = "; a similar object exists in test mode, but a live mode key was used to make this request."
NO_ACCESS = (
    "The provided key '{masked}' does not have access to account '{somebody}' (or that account does not exist)."
    " Application access may have been revoked."
)
ONE = {"amount": 500, "currency": "usd"}

MAKE |= {
    "set up card": lambda shop: str(shop.api.get(f"/v1/setup_intents/{shop['set up']}")["payment_method"]),
    "clone": lambda shop: shop.made(
        "/v1/payment_methods", account=SELLER, customer=shop["customer"], payment_method=shop["saved"]
    ),
    "used clone": lambda shop: (
        shop.done(
            "/v1/payment_intents",
            account=SELLER,
            payment_method=shop["clone"],
            payment_method_types=["card"],
            confirm=True,
            **ONE,
        )
        or shop["clone"]
    ),
    "3ds clone": lambda shop: shop.made(
        "/v1/payment_methods",
        account=SELLER,
        customer=shop["customer"],
        payment_method=shop.api.saved_card("pm_card_authenticationRequired", customer=shop["customer"])[1],
    ),
    "spent source": lambda shop: (
        shop.done("/v1/charges", account=SELLER, source=shop["source clone"], **ONE) or shop["source clone"]
    ),
    "source clone": lambda shop: shop.made(
        "/v1/sources", account=SELLER, original_source=shop["source"], customer=shop["source_owner"]
    ),
    "live customer": lambda shop: str(
        shop.api.done("POST", "/v1/customers", {"source": "tok_visa"}, key=LIVE_KEY)["id"]
    ),
}

PAYMENT_METHODS = [
    Case(
        row="1.2 An unverified bank account can't be shared",
        call="POST /v1/payment_methods",
        account=SELLER,
        params={"payment_method": "{bank}"},
        code="bank_account_unverified",
        param="payment_method",
        message="The bank account cannot be shared with a connected account, because it has not been verified.",
    ),
    Case(
        row="1.2 Original attached, `customer` left out",
        call="POST /v1/payment_methods",
        account=SELLER,
        params={"payment_method": "{saved}"},
        message="The payment method you provided is attached to a customer so for security purposes you must provide"
        " the customer in the request.",
    ),
    Case(
        row="1.2 Consumed → 400",
        call="POST /v1/payment_intents",
        account=SELLER,
        params={"payment_method": "{used clone}", "payment_method_types": ["card"], **ONE},
        message=CONSUMED,
    ),
    Case(
        row="1.2 Attaching a consumed one",
        call="POST /v1/payment_methods/{used clone}/attach",
        account=SELLER,
        params={"customer": "{theirs}"},
        message="This PaymentMethod was previously used without being attached to a Customer or was detached from a"
        " Customer, and may not be used again.",
    ),
    Case(
        row="1.2 Attaching a consumed one",
        call="POST /v1/payment_intents",
        params={"payment_method": "{set up card}", "payment_method_types": ["card"], **ONE},
        message="The provided PaymentMethod cannot be attached. To reuse a PaymentMethod, you must attach it to a"
        " Customer first.",
    ),
    Case(
        row="1.2 3DS trap",
        call="POST /v1/payment_intents",
        account=SELLER,
        params={"payment_method": "{3ds clone}", "payment_method_types": ["card"], "confirm": True}
        | {"off_session": True, **ONE},
        status=402,
        type="card_error",
        code="authentication_required",
        decline_code="authentication_required",
        message="Your card was declined. This transaction requires authentication.",
    ),
    Case(
        row="1.2 platform pm id used directly on the connected account (PI create)",
        call="POST /v1/payment_intents",
        account=SELLER,
        params={"payment_method": "{saved}", "payment_method_types": ["card"], **ONE},
        code="resource_missing",
        param="payment_method",
        message="No such PaymentMethod: '{saved}'" + PLATFORM_OWNED,
    ),
    Case(
        row="1.2 pm id unknown on the platform",
        call="POST /v1/payment_intents",
        params={"payment_method": "pm_1Nowhere", "payment_method_types": ["card"], **ONE},
        code="resource_missing",
        param="payment_method",
        message="No such PaymentMethod: 'pm_1Nowhere'" + ON_ANOTHER_ACCOUNT,
        like="No such PaymentMethod: 'X'" + ON_ANOTHER_ACCOUNT,
    ),
    Case(
        row="1.2 pm id unknown on the platform",
        call="GET /v1/payment_methods/pm_1Nowhere",
        status=404,
        code="resource_missing",
        param="payment_method",
        message="No such PaymentMethod: 'pm_1Nowhere'" + ON_ANOTHER_ACCOUNT,
        like="No such PaymentMethod: 'X'" + ON_ANOTHER_ACCOUNT,
    ),
    Case(
        row="1.2 clone call without Stripe-Account, `type` + `customer` given",
        call="POST /v1/payment_methods",
        params={"type": "card", "card": {"token": "tok_visa"}, "customer": "{customer}"},
        message="You cannot attach a PaymentMethod to a Customer during PaymentMethod creation. Please instead create"
        " the PaymentMethod and then attach it using the attachment method of the PaymentMethods API.",
    ),
    Case(
        row="1.2 customer not on the platform",
        call="POST /v1/payment_methods",
        account=SELLER,
        params={"customer": "{theirs}", "payment_method": "{saved}"},
        code="resource_missing",
        param="customer",
        message="No such customer: '{theirs}'",
    ),
    Case(
        row="1.2 test pm with live key or vice versa",
        call="POST /v1/payment_methods",
        account=SELLER,
        key=LIVE_KEY,
        params={"payment_method": "{bare}"},
        code="resource_missing",
        param="payment_method",
        message="No such PaymentMethod: '{bare}'" + OTHER_MODE,
    ),
    Case(
        row="1.2 account not connected / revoked / not an acct id",
        call="POST /v1/payment_methods",
        account="{somebody}",
        params={"payment_method": "{bare}"},
        status=403,
        code="account_invalid",
        message=NO_ACCESS,
    ),
]

TOKENS = [
    Case(
        row="1.3 The token is single use",
        call="POST /v1/customers",
        params={"source": "{spent token}"},
        code="token_already_used",
        message="You cannot use a Stripe token more than once: {spent token}.",
    ),
    Case(
        row="1.3 customer has only PaymentMethods, no default source",
        call="POST /v1/tokens",
        account=SELLER,
        given=("saved",),
        params={"customer": "{customer}"},
        message="The customer must have an active payment source attached.",
    ),
    Case(
        row="1.3 `card` = pm_…",
        call="POST /v1/tokens",
        account=SELLER,
        params={"customer": "{customer}", "card": "{saved}"},
        param="card",
        message="Customer {customer} does not have card with ID {saved}",
    ),
    Case(
        row="1.3 default is a Source (src_)",
        call="POST /v1/tokens",
        account=SELLER,
        given=("source",),
        params={"customer": "{source_owner}"},
        message="You provided a customer without specifying a source. The default source of the customer is a source"
        " and cannot be shared from existing customers.",
    ),
    Case(
        row="1.3 customer not on the platform",
        call="POST /v1/tokens",
        account=SELLER,
        params={"customer": "{theirs}"},
        code="resource_missing",
        param="customer",
        message="No such customer: '{theirs}'",
    ),
    Case(
        row="1.3 nothing at all",
        call="POST /v1/tokens",
        code="parameter_missing",
        message="You must supply either a card, customer, PII data, bank account, or account legal entity to create a"
        " token. If you're making this request with a library, be sure to pass all of the required parameters for"
        " creating a token. If you're making this request manually, be sure your POST parameters begin with the token"
        " type. For example, a PII token would require `pii[personal_id_number]`, while an account token would require"
        " a parameter beginning with `account[legal_entity]`. See the API reference for more information:"
        " https://stripe.com/docs/api#tokens.",
        like="You must supply either a card, customer, PII data, bank account, or account legal entity to create a"
        " token…",
    ),
    Case(
        row="1.3 live, connected account can't charge yet",
        call="POST /v1/tokens",
        account="{live seller}",
        key=LIVE_KEY,
        params={"customer": "{live customer}"},
        message="Your account cannot currently make live charges.",
        like="Your account cannot currently make live charges",
    ),
    Case(
        row="1.3 pm_ given as customer `source` later",
        call="POST /v1/customers",
        params={"source": "{bare}"},
        param="source",
        message="You cannot use a PaymentMethod as a source for Customers. Instead, use the PaymentMethods API to"
        " Attach a Customer to a PaymentMethod. See https://stripe.com/docs/api/payment_methods/attach",
        like="You cannot use a PaymentMethod as a source for Customers.…",
    ),
]

SOURCES = [
    Case(
        row="1.5 Reusable clones must be attached",
        call="POST /v1/charges",
        account=SELLER,
        params={"source": "{spent source}", **ONE},
        code="invalid_source_usage",
        param="source",
        message="The reusable source you provided is consumed because it was previously charged without being attached"
        " to a customer or was detached from a customer. To charge a reusable source multiple time you must attach it"
        " to a customer first.",
    ),
    Case(
        row="1.5 Wrong state (already consumed, wrong usage)",
        call="POST /v1/customers",
        account=SELLER,
        params={"source": "{spent source}"},
        code="invalid_source_usage",
        param="source",
        message="The reusable source you provided is consumed because it was previously charged without being attached"
        " to a customer or was detached from a customer. To charge a reusable source multiple time you must attach it"
        " to a customer first.",
    ),
]

CASES = PAYMENT_METHODS + TOKENS + SOURCES
