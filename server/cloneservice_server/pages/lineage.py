"""The drawing of one shopper's lineage: saved methods on the left, a band for each seller with its clones beside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cloneservice_server.domain.values import Charge, Clone, CloneState, ConnectedAccount, ConnectedCustomer
from cloneservice_server.pages import words

METHOD_WIDTH, BOX_WIDTH, BOX_HEIGHT = 208, 176, 48
ROW_HEIGHT = 64
MARGIN, EDGES_WIDTH, LABEL_WIDTH, STEP = 16, 72, 176, BOX_WIDTH + 28
BAND_GAP, BAND_PAD = 10, 8
BAND_X = MARGIN + METHOD_WIDTH + EDGES_WIDTH
CLONES_X = BAND_X + LABEL_WIDTH + 8
CHARGES_WIDTH = 156
TOP = 36
GENERATIONS_MAX = 3
"""Clones of one saved method on one account that are drawn; the newest."""
SELLERS_MAX = 60
_GONE = (CloneState.REVOKED, CloneState.ERASED, CloneState.CONSUMED, CloneState.FAILED)


@dataclass(slots=True)
class Method:
    """A saved payment method of the platform customer. `x` and `y` are pixels of the box's upper left corner."""

    id: str
    title: str
    is_default: bool = False
    x: int = MARGIN
    y: int = 0


@dataclass(frozen=True, slots=True)
class Box:
    """A clone in the drawing."""

    clone: Clone
    title: str
    expired: bool
    x: int
    y: int

    @property
    def gone(self) -> bool:
        """Whether it cannot be charged any more."""
        return self.clone.state in _GONE or bool(self.clone.superseded_by_clone_id)


@dataclass(slots=True)
class Band:
    """A seller: one row for each saved method that was cloned there."""

    account: str
    customer: str
    trouble: str
    """Why the platform may not charge there, as far as is known; "" for nothing."""
    y: int
    height: int = 0
    boxes: list[Box] = field(default_factory=list)
    chains: list[str] = field(default_factory=list)
    """Arrows from a superseded clone to the next, as SVG paths."""
    older: list[tuple[int, int, int]] = field(default_factory=list)
    """(x, y, how many) where older clones were left out."""
    charge_count: int = 0
    received: str = ""
    declined: int = 0


@dataclass(slots=True)
class Graph:
    """The drawing."""

    methods: list[Method] = field(default_factory=list)
    bands: list[Band] = field(default_factory=list)
    edges: list[str] = field(default_factory=list)
    """From a saved method to a seller's band, as SVG paths."""
    width: int = 0
    height: int = 0
    charges_x: int = 0
    sellers_left_out: int = 0
    band_x: int = BAND_X
    clones_x: int = CLONES_X
    method_width: int = METHOD_WIDTH
    box_width: int = BOX_WIDTH


def graph_of(
    clones: Sequence[Clone],
    charges: Sequence[Charge],
    customers: Iterable[ConnectedCustomer],
    accounts: Mapping[str, ConnectedAccount],
    *,
    default_method: str = "",
    now_us: int,
) -> Graph:
    """The drawing of one shopper's clones and charges; all of them belong to that shopper."""
    graph, rows = Graph(), _rows(clones)
    names = {customer.connected_account_id: customer.connected_customer_id for customer in customers}
    entries: dict[str, list[tuple[int, int]]] = {}
    sellers = list(rows)[:SELLERS_MAX]
    graph.sellers_left_out = len(rows) - len(sellers)
    y = TOP
    for account in sellers:
        band = Band(account, names.get(account, ""), _trouble(accounts.get(account)), y)
        for place, (original, family) in enumerate(rows[account].items()):
            row_y = y + BAND_PAD + place * ROW_HEIGHT
            _place(band, family, row_y, now_us)
            entries.setdefault(original, []).append((BAND_X, row_y + BOX_HEIGHT // 2))
        band.height = len(rows[account]) * ROW_HEIGHT - (ROW_HEIGHT - BOX_HEIGHT) + 2 * BAND_PAD
        _sum(band, charges)
        graph.bands.append(band)
        y += band.height + BAND_GAP
    graph.methods = _methods(clones, entries, default_method)
    for method in graph.methods:
        graph.edges += [_edge(method.x + METHOD_WIDTH, method.y + BOX_HEIGHT // 2, *end) for end in entries[method.id]]
    longest = max((len(family) for row in rows.values() for family in row.values()), default=1)
    graph.charges_x = CLONES_X + min(longest, GENERATIONS_MAX) * STEP - (STEP - BOX_WIDTH) + 20
    graph.width = graph.charges_x + CHARGES_WIDTH + MARGIN
    graph.height = max(y, *(method.y + ROW_HEIGHT for method in graph.methods), TOP) + 4
    return graph


def _rows(clones: Sequence[Clone]) -> dict[str, dict[str, list[Clone]]]:
    """Account to saved method to its clones there, oldest first; accounts in the order of their first clone."""
    rows: dict[str, dict[str, list[Clone]]] = {}
    for clone in sorted(clones, key=lambda clone: (clone.create_time_us, clone.clone_id)):
        rows.setdefault(clone.connected_account_id, {}).setdefault(clone.platform_payment_method_id, []).append(clone)
    return rows


def _place(band: Band, family: list[Clone], y: int, now_us: int) -> None:
    drawn = family[-GENERATIONS_MAX:]
    if len(family) > len(drawn):
        band.older.append((CLONES_X + BOX_WIDTH - 8, y + BOX_HEIGHT + 11, len(family) - len(drawn)))
    before: Box | None = None
    for place, clone in enumerate(drawn):
        expired = words.is_expired(clone.summary, now_us)
        box = Box(clone, words.card(clone.summary) or clone.flow.value, expired, CLONES_X + place * STEP, y)
        if before is not None and before.clone.superseded_by_clone_id == clone.clone_id:
            middle = y + BOX_HEIGHT // 2
            band.chains.append(f"M{before.x + BOX_WIDTH},{middle} L{box.x - 7},{middle}")
        band.boxes.append(box)
        before = box


def _sum(band: Band, charges: Sequence[Charge]) -> None:
    here = [charge for charge in charges if charge.connected_account_id == band.account]
    band.charge_count = len(here)
    band.declined = sum(charge.state == "declined" for charge in here)
    received: dict[str, int] = {}
    for charge in here:
        currency = charge.amount.currency_code
        received[currency] = received.get(currency, 0) + charge.amount_received - charge.amount_refunded
    shown = [words.minor_units(amount, currency) for currency, amount in sorted(received.items()) if amount]
    band.received = ", ".join(shown[:2]) + (", …" if len(shown) > 2 else "")


def _methods(
    clones: Sequence[Clone], entries: Mapping[str, list[tuple[int, int]]], default_method: str
) -> list[Method]:
    """Each beside the first of its clones, where the eye begins, and none upon another."""
    newest = {
        clone.platform_payment_method_id: clone for clone in sorted(clones, key=lambda clone: clone.create_time_us)
    }
    found = []
    for id_, ends in entries.items():
        title = words.card(newest[id_].summary) or newest[id_].flow.value
        found.append(Method(id_, title, id_ == default_method, y=ends[0][1] - BOX_HEIGHT // 2))
    found.sort(key=lambda method: (method.y, method.id))
    lowest = TOP
    for method in found:
        method.y = max(method.y, lowest)
        lowest = method.y + ROW_HEIGHT
    return found


def _trouble(account: ConnectedAccount | None) -> str:
    if account is None:
        return ""
    if not account.authorized:
        return "access withdrawn"
    return "" if account.charges_enabled else "charges disabled"


def _edge(x1: int, y1: int, x2: int, y2: int) -> str:
    """A curve that leaves and arrives level."""
    bend = EDGES_WIDTH // 2
    return f"M{x1},{y1} C{x1 + bend},{y1} {x2 - bend - 7},{y2} {x2 - 7},{y2}"
