"""Customers: create, get, update, delete, list, search, and what shows only when expanded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fake_stripe.errors import invalid, state_error
from fake_stripe.objects import customer_sources, payment_methods, tax_ids
from fake_stripe.objects.metadata import address, merged_metadata, unset_to_none
from fake_stripe.objects.registry import Call, expansion, operation
from fake_stripe.render.lists import first_page, paginate, search
from fake_stripe.scope import Scope, Wire

_TEXTS = ("description", "email", "name", "phone", "business_name", "individual_name")
_SEARCHED = {"created": "created", "email": "email", "metadata": "metadata", "name": "name", "phone": "phone"}


@operation("POST", "/v1/customers")
def create(call: Call) -> Wire:
    """A new customer, with a PaymentMethod attached or a source saved if one is named.

    Neither becomes `invoice_settings.default_payment_method` by itself; a source becomes `default_source`. A declining
    card is refused with 402 before anything is made.
    """
    scope, params = call.scope, call.params
    save = _payment_details(scope, params)
    default = _asked_default(params)
    named = params.get("payment_method")
    if default and default != named:
        _refuse_unattached_default(scope, default, None)
    customer = scope.insert(_shape(scope))
    customer_changes = _changes(scope, customer, params)
    scope.update(customer, **customer_changes)
    saved = save(customer["id"])
    if default and saved is not None and saved["object"] == "payment_method":
        settings = {**customer["invoice_settings"], "default_payment_method": saved["id"]}
        scope.update(customer, invoice_settings=settings)
    scope.emit("customer.created", customer)
    if saved is not None:
        _announce(scope, saved)
    for given in params.get("tax_id_data") or ():
        tax_ids.add(scope, customer["id"], given["type"], given["value"])
    return customer


def _payment_details(scope: Scope, params: Wire) -> Callable[[str], Wire | None]:
    """Checks the payment details of a new customer, and returns what saves them to it."""
    named = params.get("payment_method")
    if named:
        found = payment_methods.require(scope, named)
        payment_methods.refuse_attachment(scope, found, None)
        payment_methods.refuse_declining(scope, found)

        def save(customer: str) -> Wire:
            payment_methods.verify(scope, found)
            scope.update(found, customer=customer)
            return found

        return save
    given = params.get("source") or params.get("card") or params.get("bank_account")
    if not given:
        return lambda _: None
    param = next(name for name in ("source", "card", "bank_account") if params.get(name))
    entered = customer_sources.check(scope, given, param=param)
    return lambda customer: customer_sources.save(scope, entered, customer, default=True)


def _announce(scope: Scope, saved: Wire) -> None:
    if saved["object"] == "payment_method":
        scope.emit("payment_method.attached", saved)
    else:
        scope.emit("customer.source.created", saved)


def _asked_default(params: Wire) -> str | None:
    settings = params.get("invoice_settings")
    asked = settings.get("default_payment_method") if isinstance(settings, dict) else None
    return asked or None


def _refuse_unattached_default(scope: Scope, default: str, customer: str | None) -> None:
    found = payment_methods.require(scope, default, param="invoice_settings[default_payment_method]")
    if customer is None or found["customer"] != customer:
        text = (
            f"The customer does not have a payment method with the ID {found['id']}. The payment method must be"
            " attached to the customer."
        )
        raise invalid(text, param="invoice_settings[default_payment_method]")


def _shape(scope: Scope) -> Wire:
    return {
        "id": scope.new_id("cus"),
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": scope.world.now,
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": scope.world.ids.text(8).upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": scope.livemode,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }


def _changes(scope: Scope, customer: Wire, params: Wire) -> Wire:
    """The members that the parameters set; the payment details are not among them."""
    changes: Wire = {name: unset_to_none(params[name]) for name in _TEXTS if name in params}
    for name in ("balance", "next_invoice_sequence", "preferred_locales", "invoice_prefix"):
        if params.get(name) not in (None, ""):
            changes[name] = params[name]
    if "tax_exempt" in params:
        changes["tax_exempt"] = params["tax_exempt"] or "none"
    if "metadata" in params:
        changes["metadata"] = merged_metadata(customer["metadata"], params["metadata"])
    if "address" in params:
        given = params["address"]
        changes["address"] = address({**(customer["address"] or {}), **given} if given else None)
    if "shipping" in params:
        changes["shipping"] = _shipping(params["shipping"])
    if params.get("invoice_settings"):
        changes["invoice_settings"] = _invoice_settings(customer, params["invoice_settings"])
    if params.get("test_clock"):
        clock = scope.get("test_helpers.test_clock", params["test_clock"])
        if clock is None:
            raise scope.missing("test_helpers.test_clock", params["test_clock"], param="test_clock")
        changes["test_clock"] = clock["id"]
    if isinstance(params.get("tax"), dict):
        scope.hidden(customer["id"])["tax_ip"] = unset_to_none(params["tax"].get("ip_address"))
    return changes


def _shipping(given: Any) -> Wire | None:
    if not given:
        return None
    phone = unset_to_none(given.get("phone"))
    return {"address": address(given.get("address")), "name": given.get("name"), "phone": phone}


def _invoice_settings(customer: Wire, given: Wire) -> Wire:
    settings = {name: unset_to_none(value) for name, value in given.items() if name != "default_payment_method"}
    if given.get("default_payment_method") == "":
        settings["default_payment_method"] = None
    return {**customer["invoice_settings"], **settings}


@operation("GET", "/v1/customers/{customer}")
def retrieve(call: Call) -> Wire:
    """One customer; of a deleted one what is left: id, object, deleted."""
    scope, id_ = call.scope, call.path["customer"]
    return scope.tombstone("customer", id_) or scope.require("customer", id_, in_path=True)


@operation("POST", "/v1/customers/{customer}")
def update(call: Call) -> Wire:
    """Changes a customer; `source` saves payment details and makes them the default."""
    scope, params = call.scope, call.params
    customer = scope.require("customer", call.path["customer"], in_path=True)
    default = _asked_default(params)
    if default:
        _refuse_unattached_default(scope, default, customer["id"])
    source = params.get("default_source")
    if source:
        customer_sources.require_own(scope, customer["id"], source, param="default_source")
    given = params.get("source") or params.get("card") or params.get("bank_account")
    entered = None
    if given:
        entered = customer_sources.check(scope, given, param="source", customer=customer["id"])
    changes = _changes(scope, customer, params)
    if default:
        settings = changes.get("invoice_settings") or customer["invoice_settings"]
        changes["invoice_settings"] = {**settings, "default_payment_method": default}
    if source:
        changes["default_source"] = source
    previous = scope.update(customer, **changes)
    if entered is not None:
        before = customer["default_source"]
        saved = customer_sources.save(scope, entered, customer["id"], default=True)
        previous = {**previous, "default_source": before}
        scope.emit("customer.source.created", saved)
    if previous:
        scope.emit("customer.updated", customer, previous)
    return customer


@operation("DELETE", "/v1/customers/{customer}")
def delete(call: Call) -> Wire:
    """Deletes a customer for good: its PaymentMethods are detached and used up, its sources and subscriptions gone."""
    return remove(call.scope, call.scope.require("customer", call.path["customer"], in_path=True))


def remove(scope: Scope, customer: Wire) -> Wire:
    """`delete`, of a customer at hand; returns what is left of it."""
    for found in list(scope.list("payment_method", customer=customer["id"])):
        payment_methods.release(scope, found)
    customer_sources.remove_all(scope, customer["id"])
    for subscription in list(scope.list("subscription", customer=customer["id"], status="active")):
        scope.update(subscription, status="canceled", canceled_at=scope.world.now, ended_at=scope.world.now)
        scope.emit("customer.subscription.deleted", subscription)
    left = scope.delete(customer)
    scope.emit("customer.deleted", customer)
    return left


@operation("DELETE", "/v1/customers/{customer}/discount")
def delete_discount(call: Call) -> Wire:
    """Takes the discount away; a customer without one is refused."""
    customer = call.scope.require("customer", call.path["customer"], param="customer", in_path=True)
    raise state_error(f"No active discount for customer: {customer['id']}", code="resource_missing")


@operation("GET", "/v1/customers")
def list_all(call: Call) -> Wire:
    """Customers, newest first; `email` is compared exactly. Those with a test clock show only when it is named."""
    asked = {name: call.params.get(name) or None for name in ("email", "test_clock")}
    found = call.scope.list("customer", **asked)
    if asked["test_clock"] is None:
        found = (customer for customer in found if customer["test_clock"] is None)
    return paginate(call, found, "/v1/customers", type="customer")


@operation("GET", "/v1/customers/search")
def search_all(call: Call) -> Wire:
    """Customers that match a query."""
    return search(call, call.scope.list("customer"), "/v1/customers/search", fields=_SEARCHED)


# ---- what shows only when expanded


@expansion("customer", "sources")
def expand_sources(scope: Scope, customer: Wire) -> Wire:
    """The customer's legacy cards, bank accounts and Sources (the first ten), with their count."""
    items = customer_sources.all_of(scope, customer["id"])
    customer.setdefault("default_currency", None)
    url = f"/v1/customers/{customer['id']}/sources"
    return first_page(items, url)


@expansion("customer", "subscriptions")
def expand_subscriptions(scope: Scope, customer: Wire) -> Wire:
    """The customer's subscriptions that are not over."""
    items = list(scope.list("subscription", customer=customer["id"]))
    url = f"/v1/customers/{customer['id']}/subscriptions"
    return first_page(items, url)


@expansion("customer", "invoice_credit_balance")
def expand_invoice_credit_balance(scope: Scope, customer: Wire) -> Wire:  # noqa: ARG001 - an expander's signature
    """Credit by currency: none, until credit notes are modelled."""
    return {}


@expansion("customer", "tax")
def expand_tax(scope: Scope, customer: Wire) -> Wire:
    """Where the customer is taxed: known from its address alone."""
    place = customer.get("address") or customer.get("shipping", {}) or {}
    country = (place.get("address") or place).get("country")
    location = None
    if country:
        location = {"country": country, "source": "billing_address", "state": place.get("state")}
    return {
        "automatic_tax": "supported" if location else "unrecognized_location",
        "ip_address": scope.hidden(customer["id"]).get("tax_ip"),
        "location": location,
        "provider": "stripe",
    }
