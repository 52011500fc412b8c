"""A customer's tax ids."""

from __future__ import annotations

from fake_stripe.objects.registry import Call, expansion, operation
from fake_stripe.render.lists import first_page, paginate
from fake_stripe.scope import Scope, Wire

_EU = "eu_vat"
_COUNTRIES = {
    "gb_vat": "GB",
    "us_ein": "US",
    "au_abn": "AU",
    "ch_vat": "CH",
    "nz_gst": "NZ",
    "no_vat": "NO",
    "in_gst": "IN",
}


def add(scope: Scope, customer: str, type_: str, value: str) -> Wire:
    """A new tax id of a customer; its verification is pending where Stripe asks an authority."""
    country = value[:2].upper() if type_ == _EU else _COUNTRIES.get(type_, type_[:2].upper())
    asked = type_ in (_EU, "gb_vat", "au_abn")
    made = scope.insert(
        {
            "id": scope.new_id("txi"),
            "object": "tax_id",
            "country": country,
            "created": scope.world.now,
            "customer": customer,
            "customer_account": None,
            "livemode": scope.livemode,
            "owner": {"customer": customer, "type": "customer"},
            "type": type_,
            "value": value,
            "verification": {
                "status": "pending" if asked else "unavailable",
                "verified_address": None,
                "verified_name": None,
            },
        }
    )
    scope.emit("customer.tax_id.created", made)
    return made


def _customer(call: Call) -> str:
    return str(call.scope.require("customer", call.path["customer"], param="customer", in_path=True)["id"])


@operation("POST", "/v1/customers/{customer}/tax_ids")
def create(call: Call) -> Wire:
    """Adds a tax id to a customer."""
    return add(call.scope, _customer(call), call.params["type"], call.params["value"])


@operation("GET", "/v1/customers/{customer}/tax_ids")
def list_all(call: Call) -> Wire:
    """A customer's tax ids, newest first."""
    customer = _customer(call)
    return paginate(call, call.scope.list("tax_id", customer=customer), f"/v1/customers/{customer}/tax_ids")


def _own(call: Call) -> Wire:
    customer = _customer(call)
    found = call.scope.get("tax_id", call.path["id"])
    if found is None or found["customer"] != customer:
        raise call.scope.missing("tax_id", call.path["id"], param="id", in_path=True)
    return found


@operation("GET", "/v1/customers/{customer}/tax_ids/{id}")
def retrieve(call: Call) -> Wire:
    """One tax id."""
    return _own(call)


@operation("DELETE", "/v1/customers/{customer}/tax_ids/{id}")
def delete(call: Call) -> Wire:
    """Removes a tax id."""
    found = _own(call)
    left = call.scope.delete(found)
    call.scope.emit("customer.tax_id.deleted", found)
    return left


@expansion("customer", "tax_ids")
def expand_tax_ids(scope: Scope, customer: Wire) -> Wire:
    """The customer's tax ids."""
    items = list(scope.list("tax_id", customer=customer["id"]))
    url = f"/v1/customers/{customer['id']}/tax_ids"
    return first_page(items, url)
