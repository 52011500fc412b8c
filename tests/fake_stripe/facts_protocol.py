"""Facts 3, 4, 5 and 7: keys and accounts, ids, idempotency, limits, and the words of the parameter checks."""

from fake_stripe.amounts import CURRENCIES

from tests.fake_stripe.facts import LIVE_KEY, MAKE, Case, Shop
from tests.fake_stripe.facts_cloning import NO_ACCESS, ON_ANOTHER_ACCOUNT, PLATFORM_OWNED
from tests.fake_stripe.stripe_calls import OTHER_SELLER, SELLER

INTENTS = "POST /v1/payment_intents"
CUSTOMERS = "POST /v1/customers"
ONE = {"amount": 500, "currency": "usd"}
SAME_ENDPOINT = (
    "Keys for idempotent requests can only be used for the same endpoint they were first used for ('/v1/customers' vs"
    " '/v1/products'). Try using a key other than 'K' if you meant to execute a different request."
)


def _first(shop: Shop, path: str = "/v1/customers") -> str:
    shop.api.send("POST", path, {"name": "First"}, idempotency_key="K")
    return ""


def _running(shop: Shop) -> str:
    shop.api.world.faults.add({"latency": 5})
    return _first(shop)


def _exhausted(shop: Shop, mode: str) -> str:
    shop.api.world.clock.freeze(1_800_000_000)
    shop.policy(rate_limits=mode)
    for number in range(25):
        shop.api.send("GET", ("/v1/customers", "/v1/charges")[number % 2])
    return ""


def _locked(shop: Shop) -> str:
    shop.api.world.faults.add({"act": "lock_timeout"})
    return ""


MAKE |= {
    "first request": _first,
    "first of products": lambda shop: _first(shop, "/v1/products"),
    "running request": _running,
    "busy": lambda shop: _exhausted(shop, "test"),
    "locked": _locked,
    "reader": lambda shop: shop.restricted("customer_read"),
    "test account": lambda shop: str(shop.api.post("/v1/accounts", type="custom", country="US")["id"]),
    "on the other account": lambda shop: shop.api.customer(account=OTHER_SELLER),
    "live one": lambda shop: str(shop.api.done("POST", "/v1/customers", {}, key=LIVE_KEY)["id"]),
}

ACCESS = [
    Case(
        row="3.1 account not connected, unknown, revoked, or header isn't acct_",
        call="GET /v1/customers",
        account="acct_1Somebody",
        status=403,
        code="account_invalid",
        message=NO_ACCESS,
        like="does not have access to account '{somebody}' (or that account does not exist). Application access may"
        " have been revoked.",
    ),
    Case(
        row="3.1 wrong key",
        call="GET /v1/customers",
        key="sk_test_wrong_abcd",
        status=401,
        message="Invalid API Key provided: sk_test_******abcd",
        like="Invalid API Key provided: sk_test_***…",
    ),
    Case(
        row="3.1 no key",
        call="GET /v1/customers",
        key=" ",
        status=401,
        message="You did not provide an API key. You need to provide your API key in the Authorization header, using"
        " Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See https://stripe.com/docs/api#authentication"
        " for details, or we can help at https://support.stripe.com/.",
    ),
    Case(
        row="3.1 publishable key",
        call="GET /v1/customers",
        key="pk_test_calls",
        status=403,
        code="secret_key_required",
        message="This API call cannot be made with a publishable API key. Please use a secret API key. You can find a"
        " list of your API keys at https://dashboard.stripe.com/account/apikeys.",
    ),
    Case(
        row="3.1 expired key",
        call="GET /v1/customers",
        key="sk_test_expired_abcd",
        status=401,
        code="api_key_expired",
        message="Expired API Key provided: sk_test_********abcd",
        like="Expired API Key provided: …",
    ),
    Case(
        row="3.1 restricted key without the permission",
        call="GET /v1/prices",
        key="{reader}",
        status=403,
        code="more_permissions_required",
        message="The provided key 'rk_test_*****' does not have the required permissions for this endpoint"
        " on account '{platform}'. Enabling Prices Read ('plan_read') permissions on this key would allow this request"
        " to continue. You can edit permissions at"
        " https://dashboard.stripe.com/b/{platform}?destination=%2Fapikeys%2Fmk_1FakeStripeRestrictedKey%2Fedit",
        like=" ('plan_read')",
    ),
    Case(
        row="3.1 restricted key + Stripe-Account, no Connect permission",
        call="GET /v1/customers",
        key="{reader}",
        account=SELLER,
        status=403,
        message="You passed a restricted API key with the Stripe-Account header, but the restricted API key does not"
        " have any Connect permissions.",
    ),
    Case(
        row="3.1 live key on an account created in test mode",
        call="GET /v1/customers",
        key=LIVE_KEY,
        account="{test account}",
        message="The account {test account} was a test account created with a testmode key, and therefore can only be"
        " used with testmode keys",
    ),
    Case(
        row="3.1 key of a non-platform uses Stripe-Account",
        call="GET /v1/customers",
        key="sk_test_noplatform",
        account=SELLER,
        status=403,
        code="platform_account_required",
        message="Only Stripe Connect platforms can work with other accounts. If you specified a client_id parameter,"
        " make sure it's correct. If you need to setup a Stripe Connect platform, you can do so at"
        " https://dashboard.stripe.com/account/applications/settings.",
        like="Only Stripe Connect platforms can work with other accounts…",
    ),
    Case(
        row="3.1 rolled platform key",
        call="GET /v1/customers",
        key="sk_test_rolled",
        account=SELLER,
        status=401,
        code="platform_api_key_expired",
    ),
    Case(
        row="3.1 bad Stripe-Version",
        call="GET /v1/customers",
        version="2019-2-19",
        message="Invalid Stripe API version: 2019-2-19",
        like="Invalid Stripe API version: X",
    ),
    Case(
        row="3.1 unknown route",
        call="GET /v1/x",
        status=404,
        message="Unrecognized request URL (GET: /v1/x). If you are trying to list objects, remove the trailing slash."
        " If you are trying to retrieve an object, make sure you passed a valid (non-empty) identifier in your code."
        " Please see https://stripe.com/docs or we can help at https://support.stripe.com/.",
    ),
]


def _in_path(row: str, path: str, noun: str, param: str, more: str = "") -> Case:
    message = f"No such {noun}: 'X'{more}"
    return Case(
        row=f"3.2 {row}", call=f"GET /v1/{path}/X", status=404, param=param, message=message, code="resource_missing"
    )


IDS = [
    _in_path("Status by place", "customers", "customer", "id"),
    Case(
        row="3.2 Status by place",
        call=INTENTS,
        params={"customer": "X", **ONE},
        param="customer",
        message="No such customer: 'X'",
        code="resource_missing",
    ),
    _in_path("customer |", "customers", "customer", "id"),
    _in_path("charge |", "charges", "charge", "id"),
    _in_path("payment intent |", "payment_intents", "payment_intent", "intent"),
    _in_path("setup intent |", "setup_intents", "setupintent", "intent"),
    _in_path("payment method |", "payment_methods", "PaymentMethod", "payment_method", ON_ANOTHER_ACCOUNT),
    Case(
        row="3.2 price / plan / destination",
        call=INTENTS,
        params={"transfer_data": {"destination": "X"}, **ONE},
        param="transfer_data[destination]",
        message="No such destination: 'X'",
        code="resource_missing",
    ),
    Case(
        row="3.2 price / plan / destination",
        call="POST /v1/subscriptions",
        params={"customer": "{customer}", "items": [{"price": "price_X"}]},
        param="items[0][price]",
        message="No such price: 'price_X'",
        code="resource_missing",
    ),
    Case(
        row="3.2 price / plan / destination",
        call="GET /v1/plans/X",
        status=404,
        param="plan",
        message="No such plan: 'X'",
        code="resource_missing",
    ),
    _in_path("application fee, refund, dispute, event", "application_fees", "application fee", "id"),
    _in_path("application fee, refund, dispute, event", "refunds", "refund", "id"),
    _in_path("application fee, refund, dispute, event", "disputes", "dispute", "id"),
    _in_path("application fee, refund, dispute, event", "events", "event", "id"),
    _in_path(
        "Hint, PaymentMethod on the platform", "payment_methods", "PaymentMethod", "payment_method", ON_ANOTHER_ACCOUNT
    ),
    Case(
        row="3.2 Hint, PaymentMethod with a connected header",
        call="GET /v1/payment_methods/{saved}",
        account=SELLER,
        status=404,
        param="payment_method",
        message="No such PaymentMethod: '{saved}'" + PLATFORM_OWNED,
        code="resource_missing",
    ),
    Case(
        row="3.2 Customer of a connected account asked",
        call="GET /v1/customers/{theirs}",
        status=404,
        param="id",
        message="No such customer: '{theirs}'",
        code="resource_missing",
    ),
    Case(
        row="3.2 Mode hint",
        call="GET /v1/customers/{live one}",
        status=404,
        param="id",
        message="No such customer: '{live one}'; a similar object exists in live mode, but a test mode key was used to"
        " make this request.",
        code="resource_missing",
    ),
    Case(
        row="3.3 Update or use of a deleted one",
        call="POST /v1/customers/{deleted}",
        params={"name": "A"},
        status=404,
        param="id",
        message="No such customer: '{deleted}'",
        code="resource_missing",
    ),
    Case(
        row="3.3 Update or use of a deleted one",
        call=INTENTS,
        params={"customer": "{deleted}", **ONE},
        param="customer",
        message="No such customer: '{deleted}'",
        code="resource_missing",
    ),
]

REPEATS = [
    Case(
        row="4.1 Empty key",
        call=CUSTOMERS,
        idempotency_key=" ",
        message="Idempotency Key must be a non-empty string.",
    ),
    Case(
        row="4.1 Same key, other parameters",
        call=CUSTOMERS,
        params={"name": "Second"},
        given=("first request",),
        idempotency_key="K",
        type="idempotency_error",
        message="Keys for idempotent requests can only be used with the same parameters they were first used with. Try"
        " using a key other than 'K' if you meant to execute a different request.",
    ),
    Case(
        row="4.1 Same key, other endpoint",
        call=CUSTOMERS,
        params={"name": "First"},
        given=("first of products",),
        idempotency_key="K",
        type="idempotency_error",
        message=SAME_ENDPOINT,
        like=SAME_ENDPOINT.replace("/v1/customers", "/v1/a").replace("/v1/products", "/v1/b"),
    ),
    Case(
        row="4.1 Same key still running",
        call=CUSTOMERS,
        params={"name": "First"},
        given=("running request",),
        idempotency_key="K",
        status=409,
        type="idempotency_error",
        code="idempotency_key_in_use",
        message="There is currently another in-progress request using this Idempotent Key (that probably means you"
        " submitted twice, and the other request is still going through): K. Please try again later.",
    ),
]

LIMITS = [
    Case(
        row="5 429 body of the limiter",
        call="GET /v1/customers",
        given=("busy",),
        status=429,
        code="rate_limit",
        message="Testmode request rate limit exceeded, the rate limits in testmode are lower than livemode. You can"
        " learn more about rate limits here https://stripe.com/docs/rate-limits.",
        like="Request rate limit exceeded",
    ),
    Case(
        row="5 A 429 **without** that header",
        call=CUSTOMERS,
        given=("locked",),
        status=429,
        code="lock_timeout",
        message="This object cannot be accessed right now because another API request or Stripe process is currently"
        " accessing it. If you see this error intermittently, retry the request. If you see this error frequently and"
        " are making multiple concurrent requests to a single object, make your requests serially or at a lower rate.",
    ),
]

PARAMETERS = [
    Case(
        row="7.1 Empty string for one that can't be unset",
        call=INTENTS,
        params={"amount": 500, "currency": ""},
        code="parameter_invalid_empty",
        param="currency",
        message="You passed an empty string for 'currency'. We assume empty values are an attempt to unset a parameter;"
        " however 'currency' cannot be unset. You should remove 'currency' from your request or supply a non-empty"
        " value.",
        like="You passed an empty string for 'x'. We assume empty values are an attempt to unset a parameter; however"
        " 'x' cannot be unset. You should remove 'x' from your request or supply a non-empty value.",
    ),
    Case(
        row="7.2 unknown |",
        call=CUSTOMERS,
        params={"x": 1},
        code="parameter_unknown",
        param="x",
        message="Received unknown parameter: x",
    ),
    Case(
        row="7.2 unknown |",
        call=CUSTOMERS,
        params={"a": 1, "b": 2},
        code="parameter_unknown",
        param="a",
        message="Received unknown parameters: a, b",
    ),
    Case(
        row="7.2 missing |",
        call=INTENTS,
        params={"currency": "usd"},
        code="parameter_missing",
        param="amount",
        message="Missing required param: amount.",
        like="Missing required param: x.",
    ),
    Case(
        row="7.2 not an integer",
        call=INTENTS,
        params={"amount": "abc", "currency": "usd"},
        code="parameter_invalid_integer",
        param="amount",
        message="Invalid integer: abc",
    ),
    Case(
        row="7.2 below minimum",
        call="POST /v1/refunds",
        params={"charge": "{charge}", "amount": 0},
        code="parameter_invalid_integer",
        param="amount",
        message="This value must be greater than or equal to 1.",
    ),
    Case(
        row="7.2 not a boolean",
        call=INTENTS,
        params={"confirm": "v", **ONE},
        param="confirm",
        message="Invalid boolean: v",
    ),
    Case(
        row="7.2 scalar for a hash / array",
        call=CUSTOMERS,
        params={"shipping": "a"},
        param="shipping",
        message="Invalid object",
    ),
    Case(
        row="7.2 scalar for a hash / array",
        call=INTENTS,
        params={"payment_method_types": "card", **ONE},
        param="payment_method_types",
        message="Invalid array",
    ),
    Case(
        row="7.2 enum",
        call=INTENTS,
        params={"capture_method": "later", **ONE},
        param="capture_method",
        message="Invalid capture_method: must be one of automatic, automatic_async, or manual",
        like="Invalid x: must be one of a, b, or c",
    ),
    Case(
        row="7.2 currency",
        call=INTENTS,
        params={"amount": 500, "currency": "xyz"},
        param="currency",
        message=f"Invalid currency: xyz. Stripe currently supports these currencies: {CURRENCIES}",
        like="Invalid currency: xyz. Stripe currently supports these currencies: usd, aed, …",
    ),
    Case(
        row="7.2 e-mail",
        call=CUSTOMERS,
        params={"email": "x"},
        code="email_invalid",
        param="email",
        message="Invalid email address: x",
    ),
    Case(
        row="7.2 too long",
        call=CUSTOMERS,
        params={"payment_method": "abcd" + "-" * 4993 + "wxyz"},
        param="payment_method",
        message="Invalid string: abcd...wxyz; must be at most 5000 characters",
    ),
    Case(
        row="7.2 two exclusive parameters",
        call=INTENTS,
        params={"payment_method_types": ["card"], "automatic_payment_methods": {"enabled": True}, **ONE},
        code="parameters_exclusive",
        message="You may only specify one of these parameters: automatic_payment_methods, payment_method_types.",
        like="You may only specify one of these parameters: a, b.",
    ),
]

READING = [
    Case(
        row="7.3 Deeper: 400",
        call="GET /v1/charges",
        params={"expand": ["data.a.b.c.d.e"]},
        code="property_expansion_max_depth",
        param="expand",
        message="You cannot expand more than 4 levels of a property. Property: data.a.b.c.d.e",
        like="You cannot expand more than 4 levels of a property. Property: p",
    ),
    Case(
        row="7.3 Not expandable",
        call="GET /v1/customers/{customer}",
        params={"expand": ["foo"]},
        param="expand",
        message="This property cannot be expanded (foo).",
    ),
    Case(
        row="7.4 `limit` out of range",
        call="GET /v1/customers/search",
        params={"query": "name:'a'", "limit": 200},
        code="parameter_invalid_integer",
        param="limit",
        message="This value must be less than or equal to 100 (it currently is '200').",
    ),
    Case(
        row="7.4 `starting_after` / `ending_before`",
        call="GET /v1/customers",
        params={"starting_after": "{customer}", "ending_before": "{another}"},
        message="Received both starting_after and ending_before parameters. Please pass in only one.",
    ),
    Case(
        row="7.4 `starting_after` / `ending_before`",
        call="GET /v1/customers",
        params={"starting_after": "cus_X"},
        code="resource_missing",
        param="starting_after",
        message="No such customer: 'cus_X'",
        like="No such customer: 'X'",
    ),
]

CASES = ACCESS + IDS + REPEATS + LIMITS + PARAMETERS + READING
