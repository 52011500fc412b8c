"""A world at a glance: its accounts as columns, with the customers, saved payment details and charges in each."""

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from fake_stripe.scope import Scope, Wire
from fake_stripe.ui import lineage
from fake_stripe.ui.naming import (
    INSTRUMENTS,
    account_name,
    charge_status,
    customer_name,
    details_of,
    expiry_of,
    money,
    scopes_in_order,
    tone_of,
)

if TYPE_CHECKING:
    from fake_stripe.world import World

MOST_COLUMNS = 24
MOST_CUSTOMERS = 10
MOST_LINES = 5
MOST_LOOSE = 8
_SEARCHED = 2_000
"""Objects of one type and account that a search looks at, newest first."""


@dataclass(slots=True)
class Tile:
    """A customer, or what belongs to none, with payment details and charges; `more` counts what is left out."""

    title: str
    id: str | None
    instruments: list[dict[str, Any]]
    charges: list[dict[str, Any]]
    more: int = 0


@dataclass(slots=True)
class Column:
    """One account in one mode."""

    account: str
    name: str | None
    platform: bool
    livemode: bool
    connected: bool
    customers: int
    charges: int
    tiles: list[Tile] = field(default_factory=list)
    more: int = 0


def columns(world: "World", query: str = "") -> tuple[list[Column], int]:
    """The columns, platform first, and how many accounts are left out; `query` keeps what holds that text."""
    families = lineage.counts(world)
    scopes = {(s.account_id, s.livemode): s for s in scopes_in_order(world)}
    places = [(world.platform, False), *((account, False) for account in world.connected), *scopes]
    found: list[Column] = []
    left_out = 0
    for account, livemode in dict.fromkeys(places):
        scope = scopes.get((account, livemode))
        if livemode and (
            scope is None or not any(scope.count(type_) for type_ in ("customer", *INSTRUMENTS, "charge"))
        ):
            continue
        if len(found) == MOST_COLUMNS:
            left_out += 1
            continue
        column = _column(world, account, scope, families, query.lower(), livemode=livemode)
        if not query or column.tiles or query.lower() in f"{account} {column.name}".lower():
            found.append(column)
    return found, left_out


def _column(
    world: "World", account: str, scope: Scope | None, families: dict[str, int], query: str, *, livemode: bool
) -> Column:
    column = Column(
        account,
        account_name(world, account),
        account == world.platform,
        livemode,
        world.reaches(account),
        scope.count("customer") if scope else 0,
        scope.count("charge") if scope else 0,
    )
    if scope is None:
        return column
    shown = 0
    for customer in islice(scope.list("customer"), _SEARCHED if query else MOST_CUSTOMERS):
        tile = _customer_tile(scope, customer, families)
        if query and query not in _text_of(customer, tile):
            continue
        if shown == MOST_CUSTOMERS:
            column.more += 1
            continue
        column.tiles.append(tile)
        shown += 1
    if not query:
        column.more = max(0, column.customers - MOST_CUSTOMERS)
    loose = _loose_tile(scope, families, query)
    if loose.instruments or loose.charges:
        column.tiles.append(loose)
    return column


def _customer_tile(scope: Scope, customer: Wire, families: dict[str, int]) -> Tile:
    id_ = customer["id"]
    owned = [obj for type_ in INSTRUMENTS for obj in scope.list(type_, customer=id_)]
    charges = list(islice(scope.list("charge", customer=id_), MOST_LINES + 1))
    default = (customer.get("invoice_settings") or {}).get("default_payment_method") or customer.get("default_source")
    return Tile(
        customer_name(customer),
        id_,
        [_instrument(scope, obj, families, default=obj["id"] == default) for obj in owned[:MOST_LINES]],
        [_charge(charge) for charge in charges[:MOST_LINES]],
        max(0, len(owned) - MOST_LINES) + max(0, len(charges) - MOST_LINES),
    )


def _loose_tile(scope: Scope, families: dict[str, int], query: str) -> Tile:
    """What belongs to no customer: clones on their way to a payment, and the charges of guests."""
    tile = Tile("Without a customer", None, [], [])
    for type_ in INSTRUMENTS:
        for obj in islice(scope.list(type_), _SEARCHED):
            if obj.get("customer") is None and (not query or query in f"{obj['id']} {details_of(obj)}".lower()):
                if len(tile.instruments) < MOST_LOOSE:
                    tile.instruments.append(_instrument(scope, obj, families, default=False))
                else:
                    tile.more += 1
    for charge in islice(scope.list("charge"), _SEARCHED):
        if charge.get("customer") is None and (not query or query in charge["id"].lower()):
            if len(tile.charges) < MOST_LOOSE:
                tile.charges.append(_charge(charge))
            else:
                tile.more += 1
    return tile


def _instrument(scope: Scope, obj: Wire, families: dict[str, int], *, default: bool) -> dict[str, Any]:
    hidden = scope.hidden_if_any(obj["id"])
    return {
        "id": obj["id"],
        "title": details_of(obj),
        "expiry": expiry_of(obj),
        "default": default,
        "original": hidden.get("original"),
        "clones": families.get(obj["id"], 0) if scope.is_platform else 0,
        "consumed": bool(hidden.get("consumed")) and obj.get("customer") is None,
    }


def _charge(charge: Wire) -> dict[str, Any]:
    status = charge_status(charge)
    return {
        "id": charge["id"],
        "amount": money(charge["amount"], charge["currency"]),
        "status": status,
        "tone": tone_of(status),
        "intent": charge.get("payment_intent"),
    }


def _text_of(customer: Wire, tile: Tile) -> str:
    parts = [customer["id"], customer.get("name"), customer.get("email"), customer.get("description")]
    parts += [f"{line['id']} {line['title']}" for line in tile.instruments]
    parts += [f"{line['id']} {line['amount']} {line['intent']}" for line in tile.charges]
    return " ".join(str(part) for part in parts if part).lower()
