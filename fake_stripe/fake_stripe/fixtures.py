"""Answers of operations that are not modelled, and of all operations in stateless mode.

They are built from the document's response shape: every member that Stripe always shows, the request's own parameters
where the object has members of their names, the path's ids, new ids with Stripe's prefixes. What is kept of them is the
business of `kept.py`.
"""

from collections.abc import Iterator
from typing import Any

from fake_stripe.errors import invalid
from fake_stripe.ids import derived
from fake_stripe.objects.registry import Call
from fake_stripe.openapi.catalog import Catalog, catalog
from fake_stripe.render.references import TYPES
from fake_stripe.scope import Wire

Shape = dict[str, Any]

_PREFIXES = {type_: prefix for prefix, type_ in reversed(TYPES.items())} | {
    "balance_settings": "",
    "billing.alert": "alrt",
    "billing.credit_grant": "credgr",
    "billing.meter": "mtr",
    "billing_portal.configuration": "bpc",
    "billing_portal.session": "bps",
    "checkout.session": "cs_test",
    "confirmation_token": "ctoken",
    "credit_note": "cn",
    "credit_note_line_item": "cnli",
    "customer_balance_transaction": "cbtxn",
    "discount": "di",
    "entitlements.feature": "feat",
    "ephemeral_key": "ephkey",
    "exchange_rate": "",
    "file_link": "link",
    "financial_connections.account": "fca",
    "financial_connections.session": "fcsess",
    "identity.verification_report": "vr",
    "identity.verification_session": "vs",
    "issuing.authorization": "iauth",
    "issuing.card": "ic",
    "issuing.cardholder": "ich",
    "issuing.dispute": "idp",
    "issuing.token": "intok",
    "issuing.transaction": "ipi",
    "line_item": "il",
    "payment_link": "plink",
    "payment_method_configuration": "pmc",
    "payment_method_domain": "pmd",
    "payout": "po",
    "quote": "qt",
    "radar.early_fraud_warning": "issfr",
    "radar.value_list": "rsl",
    "radar.value_list_item": "rsli",
    "reporting.report_run": "frr",
    "review": "prv",
    "scheduled_query_run": "sqr",
    "shipping_rate": "shr",
    "source_transaction": "srctxn",
    "subscription_schedule": "sub_sched",
    "tax.calculation": "taxcalc",
    "tax.registration": "taxreg",
    "tax.transaction": "tax",
    "tax_id": "txi",
    "terminal.configuration": "tmc",
    "terminal.location": "tml",
    "terminal.reader": "tmr",
    "topup": "tu",
    "treasury.financial_account": "fa",
    "treasury.inbound_transfer": "ibt",
    "treasury.outbound_payment": "obp",
    "treasury.outbound_transfer": "obt",
    "treasury.received_credit": "rc",
    "treasury.received_debit": "rd",
    "treasury.transaction": "trxn",
    "treasury.transaction_entry": "trxne",
}

# Among several words of an enum, the one of an object that works as it should.
_LIKELY = (
    "active", "succeeded", "complete", "enabled", "open", "available", "paid", "requires_payment_method", "verified",
    "pending", "card", "automatic", "self", "usd", "none",
)  # fmt: skip

_NUMBERS = {"amount": 1000, "unit_amount": 1000, "quantity": 1, "interval_count": 1, "exp_month": 12, "month": 1}
_TEXTS = {"currency": "usd", "default_currency": "usd", "country": "US", "last4": "4242", "timezone": "Etc/UTC"}


def answer(call: Call) -> Wire:
    """A well-shaped answer to a validated call."""
    known = catalog()
    operation = call.operation
    if not operation.shape:
        raise invalid("This answer is not JSON on Stripe, and fake_stripe does not make it.")
    return Fixture(call, known).root(known.facts(operation.shape))


def _is_list(shape: Shape) -> bool:
    members: dict[str, int] = shape.get("p", {})
    return "data" in members and "has_more" in members


class Fixture:
    """Builds one answer."""

    def __init__(self, call: Call, known: Catalog) -> None:
        self._call = call
        self._known = known
        self._open: list[str] = []
        self._at: list[str] = []
        self._expanded = {
            tuple(names[: depth + 1])
            for names in (path.split(".") for path in call.expand)
            for depth in range(len(names))
        }

    def root(self, shape: Shape) -> Wire:
        """The answer itself."""
        call = self._call
        shape = next(self._hashes(shape))
        members = shape.get("p", {})
        if _is_list(shape):
            return self._page(shape, call.url, [{}], at="data")
        given = {name: value for name, value in call.path.items() if name in members} | call.params
        id_ = self._path_id()
        made: Wire = self._hash(shape, given, root=True)
        if id_ is not None and "id" in members:
            made["id"] = id_
        return made

    def members(self, name: str, given: Wire) -> Wire:
        """Those parameters that a named object has members for, as it shows them."""
        shape = next(self._hashes(self._known.object_shape(name)))
        found: Wire = {}
        for member, number in shape.get("p", {}).items():
            below = self._known.facts(number)
            if member in given and self._fits(below, given[member]):
                found[member] = self._member(below, member, given[member])
        return found

    def _path_id(self) -> str | None:
        """The id in the path that names the answered object, not one that it belongs to."""
        call = self._call
        template = call.operation.path
        values = list(call.path.values())
        if not values:
            return None
        if template.endswith("}"):
            return values[-1]
        holder = self._known.match("GET", call.url.rpartition("/")[0])
        same = holder is not None and holder[0].response == call.operation.response
        return values[-1] if same and call.operation.response else None

    def _hashes(self, shape: Shape) -> Iterator[Shape]:
        """The hash behind a shape; of several the first that Stripe would answer to this method."""
        kind = shape["t"]
        if kind == "r":
            yield from self._hashes(self._known.object_shape(shape["v"]))
        elif kind == "x":
            for number in shape["v"]:
                yield from self._hashes(self._known.facts(number))
        else:
            yield shape

    def _page(self, shape: Shape, url: str, items: list[Wire], at: str) -> Wire:
        members = shape["p"]
        item = self._known.facts(self._known.facts(members["data"])["v"])
        kind = self._value(self._known.facts(members["object"]), "object", None)
        page: Wire = {"object": kind, "data": [self._member(item, at, given) for given in items], "has_more": False}
        if "next_page" in members:
            page |= {"next_page": None, "total_count": len(items)}
        return page | {"url": url} if "url" in members else page

    def _hash(self, shape: Shape, given: Wire, *, root: bool = False) -> Wire:
        members: dict[str, int] = shape.get("p", {})
        always = shape.get("q", ())
        type_ = self._type_of(members)
        made: Wire = {}
        for name in sorted(members, key=lambda name: (name != "id", name != "object", name)):
            below = self._known.facts(members[name])
            if name == "id" and below["t"] == "s":
                made[name] = given.get("id") or self._id(type_, new=root and self._call.operation.method == "POST")
            elif name in given and self._fits(below, given[name]):
                made[name] = self._member(below, name, given[name])
            elif (*self._at, name) in self._expanded or self._is_shown(below, name):
                made[name] = self._member(below, name, None)
            elif below.get("n"):
                made[name] = None
            elif name in always:
                made[name] = self._member(below, name, None)
        discriminated = made.get("type")
        if isinstance(discriminated, str) and discriminated in members and discriminated not in made:
            made[discriminated] = self._value(self._known.facts(members[discriminated]), discriminated, None)
        return made

    def _is_shown(self, shape: Shape, name: str) -> bool:
        """Members shown although they may be null: metadata, and in stateless mode lists, as stripe-mock does."""
        return name == "metadata" or (bool(self._call.world.stateless) and _is_list(shape))

    def _type_of(self, members: dict[str, int]) -> str:
        enum = self._known.facts(members["object"]).get("e") if "object" in members else None
        return str(enum[0]) if enum else ""

    def _id(self, type_: str, *, new: bool) -> str:
        prefix = _PREFIXES.get(type_, "".join(word[0] for word in type_.replace(".", "_").split("_") if word) or "id")
        if new and prefix:
            return self._call.scope.new_id(prefix)
        return f"{prefix}_1{derived(f'{type_}:{self._call.scope.account_id}', 23)}".lstrip("_")

    def _fits(self, shape: Shape, given: Any) -> bool:
        """Whether a parameter may be shown as this member."""
        kind = shape["t"]
        if given == "":
            return bool(shape.get("n"))
        if kind == "x":
            return any(self._fits(self._known.facts(number), given) for number in shape["v"])
        if kind == "r":
            if isinstance(given, str):
                return self._kept(shape["v"], given) is not None
            return isinstance(given, dict) and self._fits(self._known.object_shape(shape["v"]), given)
        if kind == "o" and _is_list(shape):
            return isinstance(given, list)
        if kind == "s":
            return isinstance(given, str) and given in (shape.get("e") or (given,))
        if kind == "b":
            return isinstance(given, bool)
        if kind in "in":
            return isinstance(given, int) and not isinstance(given, bool)
        if kind == "a":
            item = self._known.facts(shape["v"])
            return isinstance(given, list) and all(self._fits(item, one) for one in given)
        return isinstance(given, dict)

    def _member(self, shape: Shape, name: str, given: Any) -> Any:
        """A value, with the walk inside that member; a member whose expansion was asked for is an object, no id."""
        self._at.append(name)
        try:
            if "X" in shape and tuple(self._at) in self._expanded and not isinstance(given, dict):
                return self._named(shape["X"][0], {"id": given} if given else {})
            return self._value(shape, name, given)
        finally:
            self._at.pop()

    def _value(self, shape: Shape, name: str, given: Any) -> Any:
        if given == "":
            return None
        kind = shape["t"]
        if kind == "x":
            return self._variant(shape, name, given)
        if kind == "r":
            return self._named(shape["v"], given)
        if kind == "o":
            if _is_list(shape):
                return self._inner_page(shape, name, given)
            return self._hash(shape, given or {})
        if kind == "m":
            return {key: value for key, value in given.items() if value != ""} if given else {}
        if kind == "a":
            item = self._known.facts(shape["v"])
            return [self._value(item, name, one) for one in given or ()]
        return given if given is not None else self._scalar(shape, name)

    def _inner_page(self, shape: Shape, name: str, given: Any) -> Wire:
        """A list inside an object: an item for each that was given, else one, unless it would hold its own holder."""
        item = self._known.facts(self._known.facts(shape["p"]["data"])["v"])
        held = item["v"] if item["t"] == "r" else ""
        items = given if isinstance(given, list) else [] if held in self._open else [{}]
        return self._page(shape, f"{self._call.url}/{name}", items, at="data")

    def _variant(self, shape: Shape, name: str, given: Any) -> Any:
        variants = [self._known.facts(number) for number in shape["v"]]
        if given is not None:
            fitting = [variant for variant in variants if self._fits(variant, given)]
            return self._value((fitting or variants)[0], name, given)
        if "X" in shape:
            return self._id(self._type_of(self._known.object_shape(shape["X"][0]).get("p", {})), new=False)
        return self._value(variants[0], name, None)

    def _kept(self, name: str, id_: str) -> Wire | None:
        """The object of that type and id, if one was made before: it is shown where only its id was sent."""
        return None if self._call.world.stateless else self._call.scope.get(name, id_)

    def _named(self, name: str, given: Any) -> Any:
        if isinstance(given, str):
            return self._kept(name, given)
        if name in self._open and not given:
            return {}
        self._open.append(name)
        try:
            shape = self._known.object_shape(name)
            return self._value(shape, name, given)
        finally:
            self._open.pop()

    def _scalar(self, shape: Shape, name: str) -> Any:
        kind = shape["t"]
        enum = shape.get("e")
        if enum:
            return next((word for word in _LIKELY if word in enum), enum[0])
        if kind == "b":
            return self._call.livemode if name == "livemode" else name in ("deleted", "active")
        if kind in "in":
            return self._call.now if shape.get("f") == "unix-time" else _NUMBERS.get(name, 0)
        return self._text(shape, name)

    def _text(self, shape: Shape, name: str) -> str:
        if shape.get("f") == "decimal":
            return "0"
        if name in _TEXTS or shape.get("f") == "currency":
            return _TEXTS.get(name, "usd")
        if name == "url" or name.endswith("_url"):
            return f"{self._call.base_url}/fixture/{name}"
        if name.endswith("email"):
            return "fixture@example.com"
        return f"{name} of a fixture"[: shape.get("l") or 5000]
