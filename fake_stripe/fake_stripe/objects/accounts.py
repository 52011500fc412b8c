"""Accounts: the platform's own and those connected to it (docs.stripe.com/api/accounts).

Account objects are kept in the platform's scope, by id; what an account owns is in the scope of its own.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from fake_stripe.errors import ApiError, invalid
from fake_stripe.objects import account_requirements, account_shape, capabilities
from fake_stripe.objects.metadata import merged_metadata
from fake_stripe.objects.registry import Call, operation
from fake_stripe.render.lists import paginate
from fake_stripe.scope import Scope, Wire
from fake_stripe.world import World

_PLAIN = ("business_type", "email", "default_currency", "country")
_NOT_ACCOUNT = ("capabilities", "external_account", "bank_account", "individual", "requested_capabilities", "groups")


def account_of(world: World, account_id: str, *, livemode: bool = False) -> Wire:
    """The account object of any account in the world; the platform's own is made on first use."""
    home = world.platform_scope(livemode)
    found = home.get("account", account_id)
    if found is not None:
        return found
    home.hidden(account_id)["complete"] = True
    return home.insert(_grown_up(world, account_id))


def _grown_up(world: World, account_id: str) -> Wire:
    """An account that is fully set up: the platform itself, or one that was connected without POST /v1/accounts."""
    account = account_shape.build(account_id, {"type": "standard", "country": "US"}, created=world.clock.now())
    platform = account_id == world.platform
    if platform:
        account["controller"] = {"type": "account"}
    account["charges_enabled"] = account["payouts_enabled"] = account["details_submitted"] = True
    account["business_type"] = "company"
    account["company"] = account_shape.company("US")
    account["email"] = f"{'platform' if platform else 'seller'}@example.com"
    account["business_profile"] |= {
        "mcc": "5734",
        "name": "Example platform" if platform else "Example seller",
        "support_email": account["email"],
        "support_phone": "+15555550100",
        "support_url": "https://example.com/support",
        "url": "https://example.com",
    }
    account["settings"]["card_payments"]["statement_descriptor_prefix"] = "EXAMPLE"
    account["settings"]["dashboard"]["display_name"] = account["business_profile"]["name"]
    account["settings"]["payments"]["statement_descriptor"] = "EXAMPLE.COM"
    account["capabilities"] = {
        "card_payments": "active",
        "transfers": "active",
        "us_bank_account_ach_payments": "active",
    }
    return account


def _home(call: Call) -> Scope:
    return call.world.platform_scope(call.livemode)


def _named(call: Call) -> Wire:
    account_id = call.path.get("account", call.scope.account_id)
    if not call.world.reaches(account_id):
        raise _refused(account_id)
    return account_of(call.world, account_id, livemode=call.livemode)


def _refused(account_id: str) -> ApiError:
    message = (
        f"The provided key does not have access to account '{account_id}' (or that account does not exist)."
        " Application access may have been revoked."
    )
    return ApiError(403, "invalid_request_error", message, code="account_invalid")


@operation("GET", "/v1/account")
def retrieve_own(call: Call) -> Wire:
    """The account that the call acts on: the platform, or that of `Stripe-Account`."""
    return account_of(call.world, call.scope.account_id, livemode=call.livemode)


@operation("GET", "/v1/accounts/{account}")
def retrieve(call: Call) -> Wire:
    """One connected account, or the platform's own by its id."""
    return _named(call)


@operation("GET", "/v1/accounts")
def list_all(call: Call) -> Wire:
    """The connected accounts, newest first; the platform's own is not among them."""
    platform = call.world.platform
    return paginate(call, (a for a in _home(call).list("account") if a["id"] != platform), "/v1/accounts")


@operation("POST", "/v1/accounts")
def create(call: Call) -> Wire:
    """A new connected account; the platform may act on it from now on.

    Raises:
        ApiError: a custom account without a way to collect its requirements (400).
    """
    from fake_stripe.objects import external_accounts, files, persons  # noqa: PLC0415 - they build on this module

    params = call.params
    files.refuse_unknown(call.scope, params)
    if call.connect:
        raise invalid("Only Stripe Connect platforms can create accounts.", code="platform_account_required")
    _check(params)
    account = account_shape.build(call.scope.new_id("acct"), params, created=call.now)
    _apply(account, params)
    home = _home(call)
    home.insert(account)
    call.world.connect(account["id"])
    scope = call.world.scope(account["id"], livemode=call.livemode)
    capabilities.request(scope, account, params)
    persons.set_individual(scope, account, params.get("individual"))
    external_accounts.set_default(scope, account, params.get("external_account") or params.get("bank_account"))
    refresh(home, account)
    return account


@operation("POST", "/v1/accounts/{account}")
def update(call: Call) -> Wire:
    """Changes an account; emits account.updated on it."""
    from fake_stripe.objects import external_accounts, files, persons  # noqa: PLC0415 - they build on this module

    account = _named(call)
    files.refuse_unknown(call.world.scope(account["id"], call.livemode), call.params)
    _check(call.params)
    before = {name: value for name, value in account.items() if name != "external_accounts"}
    changed = dict(account)
    _apply(changed, call.params)
    home = _home(call)
    previous = home.update(account, **{name: value for name, value in changed.items() if value != before.get(name)})
    scope = call.world.scope(account["id"], livemode=call.livemode)
    capabilities.request(scope, account, call.params)
    persons.set_individual(scope, account, call.params.get("individual"))
    external_accounts.set_default(
        scope, account, call.params.get("external_account") or call.params.get("bank_account")
    )
    previous |= refresh(home, account)
    if previous:
        scope.emit("account.updated", account, previous)
    return account


@operation("DELETE", "/v1/accounts/{account}")
def delete(call: Call) -> Wire:
    """Removes a connected account; afterwards every call to it answers 403 account_invalid."""
    account = _named(call)
    if account["id"] == call.world.platform:
        raise invalid("You cannot delete your own account through the API.")
    call.world.disconnect(account["id"])
    return _home(call).delete(account)


@operation("POST", "/v1/accounts/{account}/reject")
def reject(call: Call) -> Wire:
    """Rejects an account for `reason` (fraud, terms_of_service, other): it can neither charge nor be paid out."""
    account = _named(call)
    reason = str(call.params.get("reason"))
    hidden = _home(call).hidden(account["id"])
    hidden["rejected"] = "rejected.other" if reason == "other" else f"rejected.{reason}"
    previous = refresh(_home(call), account)
    call.world.scope(account["id"], livemode=call.livemode).emit("account.updated", account, previous)
    return account


def deauthorize(world: World, account_id: str, *, livemode: bool = False) -> Wire:
    """Takes the platform's access away, as an account does in its dashboard; returns the event.

    Every later call with that Stripe-Account answers 403 account_invalid, and the platform's Connect
    endpoints hear account.application.deauthorized.
    """
    scope = world.scope(account_id, livemode=livemode)
    application = {"id": world.application, "object": "application", "name": "fake_stripe platform"}
    event = scope.emit("account.application.deauthorized", application)
    world.disconnect(account_id)
    return event


def ask_more(scope: Scope, kind: str) -> None:
    """What Connect's trigger tokens do to the account of `scope`: a document is asked for, or it is blocked.

    `kind` is verification, transfer_block or charge_block; nothing happens to the platform itself.
    """
    if scope.is_platform:
        return
    account = account_of(scope.world, scope.account_id, livemode=scope.livemode)
    due = sorted({*account["requirements"]["currently_due"], "individual.verification.document"})
    blocked = kind != "verification"
    reason = "requirements.past_due" if blocked else account["requirements"]["disabled_reason"]
    previous = scope.world.platform_scope(scope.livemode).update(
        account,
        requirements=account_shape.requirements(due, disabled_reason=reason),
        charges_enabled=account["charges_enabled"] and kind != "charge_block",
        payouts_enabled=account["payouts_enabled"] and not blocked,
    )
    if previous:
        scope.emit("account.updated", account, previous)


def refresh(home: Scope, account: Wire) -> Wire:
    """Works out again what is due and what is enabled; returns the former values of what changed.

    An account that was connected without POST /v1/accounts has met everything from the start.
    """
    rejected = home.hidden(account["id"]).get("rejected")
    if home.hidden(account["id"]).get("complete") and not rejected:
        return {}
    scope = home.world.scope(account["id"], livemode=home.livemode)
    wanted = capabilities.requested(scope)
    asked = account_requirements.of_account(account, list(scope.list("person")), wanted=bool(wanted))
    due, later = ([], []) if rejected else asked
    active = capabilities.settle(scope, account, due=due, rejected=bool(rejected))
    standard = account["type"] == "standard"
    ready = not due and not rejected and (standard or bool(wanted))
    return home.update(
        account,
        requirements=account_shape.requirements(due, later=later, disabled_reason=rejected or _disabled(due)),
        capabilities=active,
        details_submitted=not due and (standard or bool(wanted)),
        charges_enabled=ready and (standard or active.get("card_payments") == "active"),
        payouts_enabled=ready and (standard or active.get("transfers") == "active"),
    )


def _disabled(due: list[str]) -> str | None:
    return "requirements.past_due" if due else None


def _check(params: Wire) -> None:
    country = params.get("country")
    if isinstance(country, str) and (len(country) != 2 or not country.isalpha()):
        raise invalid(
            f"Country '{country}' is unknown. Try using a 2-character alphanumeric country code instead, such as"
            f" 'US', 'EG', or 'GB'.",
            code="country_unsupported",
            param="country",
        )
    if params.get("type") and params.get("controller"):
        raise invalid("You may only specify one of these parameters: type, controller.", code="parameters_exclusive")


def _apply(account: Wire, params: Wire) -> None:
    """Puts the parameters into the account; hashes are merged, an empty string unsets."""
    for name in _PLAIN:
        if name in params:
            account[name] = params[name] or None
    if account["business_type"] not in (None, "individual") and "company" not in account:
        account["company"] = account_shape.company(account["country"])
    for name in ("business_profile", "settings", "tos_acceptance"):
        if isinstance(params.get(name), dict):
            account[name] = merged(account[name], params[name])
    if isinstance(params.get("company"), dict):
        account["company"] = _company(account, params["company"])
    _name(account)
    if "metadata" in params:
        account["metadata"] = merged_metadata(account["metadata"], params["metadata"])


def _name(account: Wire) -> None:
    """What Stripe shows shoppers and the dashboard, worked out from the business's name and address on the web."""
    profile, shown = account["business_profile"], account["settings"]
    name = profile.get("name") or (account.get("company") or {}).get("name")
    if name and not shown["payments"]["statement_descriptor"]:
        plain = str(name).upper()
        shown["payments"] = shown["payments"] | {"statement_descriptor": plain[:22]}
        prefix = shown["card_payments"]["statement_descriptor_prefix"] or plain[:10]
        shown["card_payments"] = shown["card_payments"] | {"statement_descriptor_prefix": prefix}
    host = urlsplit(str(profile.get("url") or "")).hostname
    if host and not shown["dashboard"]["display_name"]:
        shown["dashboard"] = shown["dashboard"] | {"display_name": host.rpartition(".")[0] or host}


def _company(account: Wire, given: Wire) -> Wire:
    shown = {name: value for name, value in given.items() if name not in ("tax_id", "vat_id", "registration_number")}
    company = merged(account.get("company") or account_shape.company(account["country"]), shown)
    for secret in ("tax_id", "vat_id"):
        if given.get(secret):
            company[f"{secret}_provided"] = True
    return company


def merged(kept: Wire, given: Wire) -> Wire:
    """`kept` with the given members set, deep; an empty string becomes None."""
    result = dict(kept)
    for name, value in given.items():
        before = result.get(name)
        if isinstance(value, dict):
            result[name] = merged(before if isinstance(before, dict) else {}, value)
        else:
            result[name] = None if value == "" else value
    return result
