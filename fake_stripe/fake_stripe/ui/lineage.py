"""Where saved payment details came from: clones, and the graph of them over all accounts."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fake_stripe.scope import Scope, Wire
from fake_stripe.ui.naming import INSTRUMENTS, account_name, details_of, scopes_in_order

if TYPE_CHECKING:
    from fake_stripe.world import World

BOX_WIDTH, BOX_HEIGHT = 208, 48
LANE_WIDTH, ROW_HEIGHT, TOP = 288, 64, 40
MOST_CLONES = 150
"""Clones that one drawing shows; the newest are kept."""

Clone = tuple[Scope, Wire, str]
"""Where the clone lives, the clone, the id of its original on the platform."""


@dataclass(slots=True)
class Box:
    """One PaymentMethod, Source or card in the drawing; `x` and `y` are pixels of its upper left corner."""

    account: str
    id: str
    title: str
    first: bool
    gone: bool = False
    x: int = 0
    y: int = 0


@dataclass(slots=True)
class Graph:
    """The drawing: lanes (x, name, id), boxes and edges as SVG paths."""

    lanes: list[tuple[int, str, str]] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    edges: list[str] = field(default_factory=list)
    width: int = 0
    height: int = 0
    left_out: int = 0


def original_of(scope: Scope, id_: str) -> str | None:
    """The id on the platform that this one was cloned from."""
    found = scope.hidden_if_any(id_).get("original")
    return str(found) if found else None


def clones_of(world: "World") -> list[Clone]:
    """Every clone with its original's id, in the order in which they were made."""
    found = []
    for scope in world.scopes():
        if scope.is_platform:
            continue
        found += [
            (scope, obj, original)
            for type_ in ("payment_method", "source")
            for obj in scope.list(type_)
            if (original := original_of(scope, obj["id"]))
        ]
        found += _legacy_clones(scope)
    return sorted(found, key=lambda clone: clone[0].sequence_of(clone[1]["id"]))


def _legacy_clones(scope: Scope) -> list[Clone]:
    """Clones made as tokens: shown as the card they became, or as the token while nobody has used it."""
    found = []
    for token in scope.list("token"):
        original = original_of(scope, token["id"])
        details = token.get("card") or token.get("bank_account")
        if original and details:
            saved = scope.get(details["object"], details["id"])
            found.append((scope, saved or {**details, "id": token["id"]}, original))
    return found


def counts(world: "World") -> dict[str, int]:
    """How many clones each original has."""
    found: dict[str, int] = {}
    for _, _, original in clones_of(world):
        found[original] = found.get(original, 0) + 1
    return found


def graph_of(world: "World", only: str | None = None) -> Graph:
    """The drawing of all lineage, or of one original's family."""
    clones = clones_of(world)
    if only is not None:
        root = next((original for _, obj, original in clones if obj["id"] == only), only)
        clones = [clone for clone in clones if clone[2] == root]
    layout = _Layout(world, clones[-MOST_CLONES:])
    graph = layout.graph
    graph.left_out = max(0, len(clones) - MOST_CLONES)
    return graph


def _short(world: "World", account: str) -> str:
    return "Platform" if account == world.platform else account


def _lanes(world: "World", used: set[str]) -> dict[str, int]:
    accounts = [world.platform]
    accounts += [s.account_id for s in scopes_in_order(world) if s.account_id in used]
    return {account: place * LANE_WIDTH + 16 for place, account in enumerate(dict.fromkeys(accounts))}


class _Layout:
    """Puts families one below the other, each in the first rows that are free in every lane that it needs."""

    def __init__(self, world: "World", clones: list[Clone]) -> None:
        self.world = world
        self.lanes = _lanes(world, {scope.account_id for scope, _, _ in clones})
        self.rows = dict.fromkeys(self.lanes, 0)
        self.boxes: dict[str, Box] = {}
        self.graph = Graph()
        families: dict[str, list[Clone]] = {}
        for clone in clones:
            families.setdefault(clone[2], []).append(clone)
        for original, family in families.items():
            self._place(original, family)
        graph = self.graph
        graph.boxes = list(self.boxes.values())
        graph.lanes = [(x, account_name(world, a) or _short(world, a), a) for a, x in self.lanes.items()]
        graph.width = len(self.lanes) * LANE_WIDTH - (LANE_WIDTH - BOX_WIDTH) + 32
        graph.height = TOP + max(self.rows.values()) * ROW_HEIGHT + 8

    def _place(self, original: str, family: list[Clone]) -> None:
        world = self.world
        row = max(self.rows[account] for account in (world.platform, *(scope.account_id for scope, _, _ in family)))
        kept = _find(world, original, livemode=family[0][0].livemode)
        first = Box(world.platform, original, details_of(kept or family[0][1]), first=True, gone=kept is None)
        self._put(first, row)
        taken: dict[str, int] = {}
        for scope, obj, _ in family:
            box = Box(scope.account_id, obj["id"], details_of(obj), first=False)
            self._put(box, row + taken.get(scope.account_id, 0))
            taken[scope.account_id] = taken.get(scope.account_id, 0) + 1
            self.graph.edges.append(_edge(first, box))

    def _put(self, box: Box, row: int) -> None:
        box.x, box.y = self.lanes[box.account], TOP + row * ROW_HEIGHT
        self.rows[box.account] = row + 1
        self.boxes[box.id] = box


def _find(world: "World", id_: str, *, livemode: bool) -> Wire | None:
    home = world.platform_scope(livemode)
    return next((found for type_ in INSTRUMENTS if (found := home.get(type_, id_))), None)


def _edge(start: Box, end: Box) -> str:
    """A curve from the right side of one box to the left side of another, clear of the boxes between them."""
    x1, y1 = start.x + BOX_WIDTH, start.y + BOX_HEIGHT // 2
    x2, y2 = end.x - 7, end.y + BOX_HEIGHT // 2
    bend = (LANE_WIDTH - BOX_WIDTH) // 2
    if end.x - start.x <= LANE_WIDTH:
        return f"M{x1},{y1} C{x1 + bend},{y1} {x2 - bend},{y2} {x2},{y2}"
    # Over the boxes in between: up into the gap above this family's row, along, and down again.
    over = start.y - (ROW_HEIGHT - BOX_HEIGHT) // 2
    r = 8
    return (
        f"M{x1},{y1} C{x1 + r},{y1} {x1 + r},{over} {x1 + 3 * r},{over}"
        f" L{x2 - 4 * r},{over} C{x2 - 2 * r},{over} {x2 - 2 * r},{y2} {x2},{y2}"
    )
