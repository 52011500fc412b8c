"""Tokens: single-use stand-ins for a card or a bank account, and the legacy clone of a platform customer's source.

(docs.stripe.com/connect/cloning-customers-across-accounts, the legacy guide.)
"""

from __future__ import annotations

from typing import Any

from fake_stripe import cards
from fake_stripe.errors import ApiError, invalid, state_error
from fake_stripe.objects.bank_details import bank_account_object
from fake_stripe.objects.card_details import Entered, entered_by, fingerprint, legacy_card, magic
from fake_stripe.objects.registry import Call, operation
from fake_stripe.scope import Scope, Wire, plain_clone

_NOTHING_GIVEN = (
    "You must supply either a card, customer, PII data, bank account, or account legal entity to create a token. If"
    " you're making this request with a library, be sure to pass all of the required parameters for creating a token."
    " If you're making this request manually, be sure your POST parameters begin with the token type. For example, a"
    " PII token would require `pii[personal_id_number]`, while an account token would require a parameter beginning"
    " with `account[legal_entity]`. See the API reference for more information: https://stripe.com/docs/api#tokens."
)
_SOURCE_IS_DEFAULT = (
    "You provided a customer without specifying a source. The default source of the customer is a source and cannot be"
    " shared from existing customers."
)
_NO_SOURCE = "The customer must have an active payment source attached."
_CONNECT_ONLY = (
    "You can only create a token from a customer with an OAuth access token or the Stripe-Account header of a connected"
    " account."
)
_LEGACY_REFUSED = (
    "This account cannot create or use legacy tokens. Use the PaymentMethods API instead; see"
    " https://docs.stripe.com/payments/payment-methods."
)
_BANK_TOKENS = {
    "btok_us": "verified",
    "btok_us_verified": "verified",
    "btok_us_verified_pending": "verified",
    "btok_us_unverified": "new",
    "btok_us_account_closed": "verified",
    "btok_eu_verified": "verified",
}


@operation("GET", "/v1/tokens/{token}")
def retrieve(call: Call) -> Wire:
    """One token, used or not."""
    return call.scope.require("token", call.path["token"], param="token", in_path=True)


@operation("POST", "/v1/tokens")
def create(call: Call) -> Wire:
    """A token of a card, a bank account or personal data; on a connected account also of the platform's customer."""
    scope, params = call.scope, call.params
    if scope.world.policy(scope.account_id).legacy_tokens == "refused":
        raise state_error(_LEGACY_REFUSED, code=None)
    _refuse_unready(scope)
    if params.get("customer"):
        return _clone(call, params["customer"])
    card, bank = params.get("card"), params.get("bank_account")
    if isinstance(card, dict) and card:
        entered = entered_by(scope, _required(card, "card", ("number", "exp_month", "exp_year")))
        return _card_token(scope, legacy_card(scope, entered, card), entered)
    if isinstance(bank, dict) and bank:
        return _bank_token(scope, _bank(scope, bank), {"number": str(bank.get("account_number") or "")})
    if isinstance(card, str) and card:
        raise invalid("Invalid object", param="card")
    for kind, holder in (("pii", "pii"), ("account", "account"), ("person", "person"), ("cvc_update", "cvc_update")):
        if params.get(holder):
            return _keep(scope, kind, {})
    raise invalid(_NOTHING_GIVEN, code="parameter_missing")


def _refuse_unready(scope: Scope) -> None:
    """A live account that cannot charge makes no tokens either, where the policy enforces capabilities."""
    if not scope.livemode or scope.is_platform or scope.world.policy(scope.account_id).capabilities != "enforced":
        return
    from fake_stripe.objects import accounts  # noqa: PLC0415 - the live twin of a world only

    if not accounts.account_of(scope.world, scope.account_id, livemode=True)["charges_enabled"]:
        raise state_error("Your account cannot currently make live charges.", code=None)


def _required(given: Wire, at: str, names: tuple[str, ...]) -> Wire:
    for name in names:
        if given.get(name) in (None, ""):
            param = f"{at}[{name}]"
            raise invalid(f"Missing required param: {param}.", code="parameter_missing", param=param)
    return given


def _bank(scope: Scope, bank: Wire) -> Wire:
    named = bank.get("payment_method")
    if named:
        from fake_stripe.objects import payment_methods  # noqa: PLC0415 - one rare parameter

        found = payment_methods.require(scope, named, param="bank_account[payment_method]")
        number = scope.hidden(found["id"]).get("instrument", {}).get("number")
        return bank_account_object(scope, {"account_number": number, "country": "US", "currency": "usd"})
    return bank_account_object(scope, _required(bank, "bank_account", ("country", "currency", "account_number")))


def _keep(scope: Scope, type_: str, members: Wire) -> Wire:
    # The address of the client is a documentation address: it must never be one of a real machine.
    made = {
        "id": scope.new_id({"bank_account": "btok", "person": "cpt", "account": "ct"}.get(type_, "tok")),
        "object": "token",
        "client_ip": "203.0.113.1",
        "created": scope.world.now,
        "livemode": scope.livemode,
        "type": type_,
        "used": False,
    }
    return scope.insert(made | members)


def _card_token(scope: Scope, card: Wire, entered: Entered) -> Wire:
    token = _keep(scope, "card", {"card": card})
    scope.hidden(token["id"])["instrument"] = {**entered.instrument(), "cvc": entered.cvc}
    return token


def _bank_token(scope: Scope, bank: Wire, kept: Wire) -> Wire:
    token = _keep(scope, "bank_account", {"bank_account": bank})
    account = cards.bank_account(kept["number"])
    verified = bank["status"] == "verified"
    scope.hidden(token["id"])["instrument"] = {
        "type": "us_bank_account",
        "number": account.number,
        "behaviour": account.behaviour,
        "verified": verified,
    }
    return token


# ---- use


def redeem(scope: Scope, token_id: str, *, param: str, other: Scope | None = None) -> Wire:
    """Uses a token up and returns it; magic ids (`tok_visa`, `btok_us`) make one first.

    `other` is a second account to look on. Raises ApiError: unknown (400 resource_missing), `token_already_used`.
    """
    found, home = _find(scope, token_id), scope
    if found is None and other is not None:
        found, home = _find(other, token_id), other
    if found is None:
        raise scope.missing("token", token_id, param=param)
    refuse_used(found)
    home.update(found, used=True)
    if home is not scope:
        scope.hidden(found["id"]).update(home.hidden(found["id"]))
    return found


def refuse_used(token: Wire) -> None:
    """Raises `token_already_used`."""
    if token["used"]:
        text = f"You cannot use a Stripe token more than once: {token['id']}."
        raise state_error(text, code="token_already_used")


def peek(scope: Scope, token_id: str, *, param: str) -> Wire:
    """The token that `redeem` would use, not yet used up; same errors."""
    found = _find(scope, token_id)
    if found is None:
        raise scope.missing("token", token_id, param=param)
    refuse_used(found)
    return found


def redeem_card(scope: Scope, token_id: str, *, param: str) -> tuple[Wire, Entered]:
    """The card in a token, used up by this, and the card as it was entered. Raises as `redeem`, or for another type."""
    token = peek(scope, token_id, param=param)
    if token["type"] != "card":
        raise invalid(f"The token {token_id} is not a card token.", param=param)
    redeem(scope, token["id"], param=param)
    return token["card"], entered_in(scope, token)


def entered_in(scope: Scope, token: Wire) -> Entered:
    """The card as it was entered into a card token."""
    kept = scope.hidden(token["id"])["instrument"]
    shown = token["card"]
    known = cards.by_number(kept["number"])
    brand, funding, country = (known.brand, known.funding, known.country) if known else ("visa", "credit", "US")
    card = cards.Card(kept["number"], brand, funding, country, kept["behaviour"])
    return Entered(card, shown["exp_month"], shown["exp_year"], cvc=kept.get("cvc", True))


def _find(scope: Scope, token_id: str) -> Wire | None:
    found = scope.get("token", token_id)
    if found is not None:
        return found
    known = cards.magic_token(token_id)
    if known is not None:
        entered = magic(known, scope.world.now)
        return _card_token(scope, legacy_card(scope, entered, {}), entered)
    if token_id in _BANK_TOKENS:
        number = "000111111113" if token_id.endswith("closed") else "000123456789"
        bank = bank_account_object(scope, {"account_number": number}, status=_BANK_TOKENS[token_id])
        return _bank_token(scope, bank, {"number": number})
    return None


# ---- the legacy clone


def _clone(call: Call, customer_id: str) -> Wire:
    """A token on the connected account of a card or bank account that the platform's customer has."""
    if not call.connect or call.scope is call.platform:
        raise invalid(_CONNECT_ONLY, param="customer")
    customer = call.platform.require("customer", customer_id, param="customer")
    named = call.params.get("card") or call.params.get("bank_account")
    noun = "bank account" if call.params.get("bank_account") and not call.params.get("card") else "card"
    if isinstance(named, dict):
        named = named.get("id") or named.get("payment_method")
    original = _default_source(call.platform, customer) if not named else _source(call.platform, customer, named, noun)
    if original["object"] == "card":
        return _clone_card(call.platform, call.scope, original)
    return _clone_bank(call.platform, call.scope, original)


def _default_source(platform: Scope, customer: Wire) -> Wire:
    default = customer["default_source"]
    if default is None:
        raise state_error(_NO_SOURCE, code=None)
    if default.startswith("src_"):
        raise state_error(_SOURCE_IS_DEFAULT, code=None)
    found = platform.get("card", default) or platform.get("bank_account", default)
    if found is None:
        raise state_error(_NO_SOURCE, code=None)
    return found


def _source(platform: Scope, customer: Wire, named: Any, noun: str) -> Wire:
    found = platform.get("card", str(named)) or platform.get("bank_account", str(named))
    if found is None or found.get("customer") != customer["id"]:
        text = f"Customer {customer['id']} does not have {noun} with ID {named}"
        raise invalid(text, code="missing" if noun == "bank account" else None, param=noun.replace(" ", "_"))
    return found


def _clone_card(platform: Scope, scope: Scope, original: Wire) -> Wire:
    kept = platform.hidden(original["id"])["instrument"]
    card: Wire = plain_clone({name: value for name, value in original.items() if name != "customer"})
    card.pop("allow_redisplay", None)
    card |= {
        "id": scope.new_id("card"),
        "fingerprint": fingerprint(scope, kept["number"]),
        "metadata": {},
        "networks": {"preferred": None},
    }
    token = _keep(scope, "card", {"card": card})
    scope.hidden(token["id"])["instrument"] = dict(kept)
    scope.hidden(token["id"])["original"] = original["id"]
    return token


def _clone_bank(platform: Scope, scope: Scope, original: Wire) -> Wire:
    if original["status"] != "verified":
        raise unverified()
    kept = platform.hidden(original["id"])["instrument"]
    bank: Wire = plain_clone({name: value for name, value in original.items() if name not in ("customer", "metadata")})
    bank["id"] = scope.new_id("ba")
    bank["fingerprint"] = fingerprint(scope, f"{original['routing_number']}:{kept['number']}")
    token = _keep(scope, "bank_account", {"bank_account": bank})
    scope.hidden(token["id"])["instrument"] = dict(kept)
    scope.hidden(token["id"])["original"] = original["id"]
    return token


def unverified() -> ApiError:
    """400 `bank_account_unverified` (docs.stripe.com/error-codes; the words are this double's own)."""
    text = "The bank account cannot be shared with a connected account, because it has not been verified."
    return state_error(text, code="bank_account_unverified", param="bank_account")
