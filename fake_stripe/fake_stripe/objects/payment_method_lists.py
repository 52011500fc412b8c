"""Lists of saved PaymentMethods, a customer's legacy cards among them."""

from __future__ import annotations

from fake_stripe.objects import legacy_views
from fake_stripe.objects.registry import Call, operation
from fake_stripe.render.lists import paginate
from fake_stripe.scope import Wire


def _listed(call: Call, customer: str, url: str) -> Wire:
    scope, type_ = call.scope, call.params.get("type")
    stored = [o for o in scope.list("payment_method", customer=customer) if type_ in (None, o["type"])]
    wanted = call.params.get("allow_redisplay")
    items = [*stored, *legacy_views.of_customer(scope, customer, type_)]
    items = [item for item in items if wanted is None or item["allow_redisplay"] == wanted]
    return paginate(call, sorted(items, key=lambda o: -o["created"]), url, type="payment_method")


@operation("GET", "/v1/payment_methods")
def list_all(call: Call) -> Wire:
    """The PaymentMethods of a customer, newest first; without `customer` those of every customer."""
    customer = call.params.get("customer")
    if customer:
        call.scope.require("customer", customer, param="customer")
        return _listed(call, customer, "/v1/payment_methods")
    type_ = call.params.get("type")
    found = (o for o in call.scope.list("payment_method") if o["customer"] and type_ in (None, o["type"]))
    return paginate(call, found, "/v1/payment_methods", type="payment_method")


@operation("GET", "/v1/customers/{customer}/payment_methods")
def list_of_customer(call: Call) -> Wire:
    """A customer's PaymentMethods, legacy cards among them."""
    customer = call.path["customer"]
    call.scope.require("customer", customer, param="customer", in_path=True)
    return _listed(call, customer, f"/v1/customers/{customer}/payment_methods")


@operation("GET", "/v1/customers/{customer}/payment_methods/{payment_method}")
def retrieve_of_customer(call: Call) -> Wire:
    """One PaymentMethod of a customer."""
    scope, customer = call.scope, call.path["customer"]
    scope.require("customer", customer, param="customer", in_path=True)
    wanted = call.path["payment_method"]
    found = scope.get("payment_method", wanted) or legacy_views.find(scope, wanted)
    if found is None or found["customer"] != customer:
        raise scope.missing("payment_method", wanted, in_path=True)
    return found
