"""The drawings of the concept pages, as SVG in docs/drawings.

    python -m docs.site.drawings             # write them; a test compares them with what is committed

On the site they stand in the page itself and take its colours, in the dark too; elsewhere they bring their own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "drawings"
STYLE = """
.dw text { fill: var(--drawing-ink, #26304a); font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; }
.dw .strong { font-weight: 650; }
.dw .soft { fill: var(--drawing-soft, #66718c); font-size: 11.5px; }
.dw .code { font: 12px ui-monospace, Menlo, Consolas, monospace; }
.dw .accent { fill: var(--drawing-accent, #4b3fd4); }
.dw .good { fill: var(--drawing-good, #14794e); }
.dw .bad { fill: var(--drawing-bad, #b3261e); }
.dw rect { fill: var(--drawing-paper, #fff); stroke: var(--drawing-line, #c5cbda); stroke-width: 1.3; }
.dw rect.band { fill: var(--drawing-fill, #f5f6fa); stroke: none; }
.dw rect.accent { fill: var(--drawing-accent-fill, #ecebfb); stroke: var(--drawing-accent, #4b3fd4); }
.dw rect.good { fill: var(--drawing-good-fill, #e4f4ec); stroke: var(--drawing-good, #14794e); }
.dw rect.bad { fill: var(--drawing-bad-fill, #fbeae9); stroke: var(--drawing-bad, #b3261e); }
.dw rect.paper { fill: none; stroke: none; }
.dw path { fill: none; stroke: var(--drawing-soft, #66718c); stroke-width: 1.5; }
.dw path.head { fill: var(--drawing-soft, #66718c); stroke: none; }
.dw path.dashed { stroke-dasharray: 4 4; }
.dw path.lane { stroke: var(--drawing-line, #c5cbda); }
.dw circle { fill: var(--drawing-accent, #4b3fd4); }
.dw .knockout { fill: var(--drawing-paper, #fff); font-weight: 650; font-size: 12px; }
svg:root .paper { fill: #fff; }
@media (prefers-color-scheme: dark) {
svg:root { --drawing-ink: #e2e6f2; --drawing-soft: #9aa5c0; --drawing-line: #46506b; --drawing-fill: #262d42; \
--drawing-paper: #1e2335; --drawing-accent: #a9a2ff; --drawing-accent-fill: #2e2d55; --drawing-good: #66d19e; \
--drawing-good-fill: #1f3b33; --drawing-bad: #ff9c94; --drawing-bad-fill: #472a2e; }
svg:root .paper { fill: #1e2335; }
}
""".strip()
Point = tuple[float, float]


class Drawing:
    """One picture: boxes, arrows and words on a sheet, in user units of one pixel."""

    def __init__(self, name: str, width: int, height: int, title: str, description: str) -> None:
        self.name = name
        self._size = (width, height)
        self._told = (title, description)
        self._parts: list[str] = []

    def svg(self) -> str:
        """The whole document."""
        width, height = self._size
        title, description = (escape(text) for text in self._told)
        head = (
            f'<svg class="dw" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
            f'role="img" aria-labelledby="{self.name}-title {self.name}-desc">\n'
            f'<title id="{self.name}-title">{title}</title>\n<desc id="{self.name}-desc">{description}</desc>\n'
        )
        head += f'<style>\n{STYLE}\n</style>\n<rect class="paper" width="{width}" height="{height}"/>\n'
        return head + "\n".join(self._parts) + "\n</svg>\n"

    def band(self, x: float, y: float, width: float, height: float, label: str = "") -> None:
        """A region with its name in the corner."""
        self._parts.append(f'<rect class="band" x="{x}" y="{y}" width="{width}" height="{height}" rx="10"/>')
        if label:
            self.text(x + 14, y + 21, label, "soft")

    def box(self, x: float, y: float, width: float, height: float, *lines: str, kind: str = "") -> None:
        """A box with its lines in the middle; the first says what it is."""
        self._parts.append(f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="7"/>')
        top = y + height / 2 - 8.5 * (len(lines) - 1) + 4.5
        for number, line in enumerate(lines):
            self.text(x + width / 2, top + 17 * number, line, "strong" if number == 0 else "soft", "middle")

    def text(self, x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> None:
        """Words on one line."""
        self._parts.append(f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>')

    def arrow(self, *points: Point, dashed: bool = False, head: bool = True, lane: bool = False) -> None:
        """A line through the points, with a head at its end; the last part is horizontal or vertical."""
        path = " ".join(f"{'ML'[number > 0]}{x} {y}" for number, (x, y) in enumerate(points))
        self._parts.append(f'<path class="{"dashed" if dashed else ""}{" lane" if lane else ""}" d="{path}"/>')
        if head and not lane:
            (x0, y0), (x, y) = points[-2], points[-1]
            dx, dy = (x > x0) - (x < x0), (y > y0) - (y < y0)
            left, right = (x - 8 * dx - 4 * dy, y - 8 * dy - 4 * dx), (x - 8 * dx + 4 * dy, y - 8 * dy + 4 * dx)
            corners = f"M{x} {y} L{left[0]} {left[1]} L{right[0]} {right[1]} Z"
            self._parts.append(f'<path class="head" d="{corners}"/>')

    def number(self, x: float, y: float, number: int) -> None:
        """A number in a disc, to speak about a place."""
        self._parts.append(f'<circle cx="{x}" cy="{y}" r="10"/>')
        self.text(x, y + 4.3, str(number), "knockout", "middle")


def overview() -> Drawing:
    """What the service stands between."""
    sheet = Drawing(
        "overview",
        860,
        262,
        "One saved card, many sellers",
        "Your backend calls CloneService, which makes a clone, a customer and a charge on each seller's account, and "
        "keeps in its ledger how they belong together.",
    )
    sheet.box(14, 92, 166, 78, "your backend", "any language, gRPC", "one request_id per order")
    sheet.arrow((180, 131), (248, 131))
    sheet.box(250, 68, 196, 126, "CloneService", "clone, attach, charge", "exactly once", kind="accent")
    sheet.arrow((348, 194), (348, 212), head=False)
    sheet.box(268, 212, 160, 42, "ledger", "SQLite or PostgreSQL")
    sheet.text(348, 24, "saved once, on the platform", "soft", "middle")
    sheet.text(348, 44, "cus_… visa 4242", "strong", "middle")
    sheet.arrow((348, 52), (348, 66))
    for y, seller, amount in ((20, "bakery", "19.99 USD"), (104, "florist", "25.00 USD"), (188, "grocer", "7.50 USD")):
        sheet.band(540, y, 306, 66, f"acct_… {seller}")
        sheet.box(556, y + 28, 84, 28, "clone")
        sheet.box(654, y + 28, 84, 28, "customer")
        sheet.box(752, y + 28, 84, 28, amount, kind="good")
        sheet.arrow((446, 131), (492, 131), (492, y + 42), (554, y + 42))
        sheet.arrow((640, y + 42), (652, y + 42))
        sheet.arrow((738, y + 42), (750, y + 42))
    return sheet


def basket() -> Drawing:
    """All sellers are paid, or none."""
    sheet = Drawing(
        "basket",
        860,
        262,
        "A basket is paid whole or not at all",
        "All parts are authorised; the decision is committed; then all are captured, or all are released.",
    )
    sheet.box(14, 100, 150, 62, "AUTHORIZING", "every seller's part", "is held, none taken")
    sheet.box(300, 100, 190, 62, "the decision", "is committed: the point", "of no return", kind="accent")
    sheet.arrow((164, 131), (298, 131))
    sheet.text(231, 122, "asked all", "soft", "middle")
    sheet.box(560, 28, 130, 50, "CAPTURING", "one by one")
    sheet.box(560, 184, 130, 50, "CANCELING", "one by one")
    sheet.arrow((490, 131), (525, 131), (525, 53), (558, 53))
    sheet.arrow((490, 131), (525, 131), (525, 209), (558, 209))
    sheet.text(517, 96, "all held", "soft", "end")
    sheet.text(517, 190, "one refused", "soft", "end")
    sheet.box(738, 28, 108, 50, "SUCCEEDED", "all are paid", kind="good")
    sheet.box(738, 184, 108, 50, "CANCELED", "nobody is", kind="bad")
    sheet.arrow((690, 53), (736, 53))
    sheet.arrow((690, 209), (736, 209))
    sheet.arrow((625, 78), (625, 182), dashed=True)
    sheet.text(634, 124, "Stripe refuses a capture:", "soft")
    sheet.text(634, 142, "what was taken is refunded", "soft")
    return sheet


def flows() -> Drawing:
    """Stripe's three ways to clone."""
    sheet = Drawing(
        "flows",
        860,
        432,
        "The three cloning flows",
        "A PaymentMethod, a card or a Source saved on the platform becomes a new object on the seller's account, which "
        "is then attached to a customer there.",
    )
    sheet.band(10, 34, 840, 106, "your platform account")
    sheet.band(10, 232, 840, 190)
    sheet.text(332, 253, "the seller's account (Stripe-Account: acct_…)", "soft")
    columns = (
        ("PaymentMethod", "the default", "pm_…", "attached to cus_…", "POST /v1/payment_methods",
         "customer=cus_… payment_method=pm_…", "pm_… (new)", "one attempt, unless attached", "payment_method=pm_…"),
        ("Token", "legacy", "card_…", "a card on cus_…", "POST /v1/tokens",
         "customer=cus_… card=card_…", "tok_…", "single use", "source=tok_…"),
        ("Source", "legacy", "src_…", "reusable, on cus_…", "POST /v1/sources",
         "customer=cus_… original_source=src_…", "src_… (new)", "usage=reusable", "source=src_…"),
    )  # fmt: skip
    for column, (name, age, original, where, call, body, clone, life, customer) in enumerate(columns):
        x = 26 + column * 275
        accent = "accent" if column == 0 else ""
        sheet.text(x, 22, f"{name} ({age})", "strong")
        sheet.box(x, 68, 258, 56, original, where, kind=accent)
        sheet.arrow((x + 16, 124), (x + 16, 264))
        sheet.text(x + 30, 176, call, "code")
        sheet.text(x + 30, 198, body, "soft")
        sheet.box(x, 266, 258, 50, clone, life, kind=accent)
        sheet.arrow((x + 16, 316), (x + 16, 356))
        sheet.text(x + 30, 341, f"with {customer}", "soft")
        sheet.box(x, 358, 258, 50, "cus_… (another one)", "keeps it for charge after charge", kind=accent)
    return sheet


def saga() -> Drawing:
    """One first charge, commit by commit."""
    sheet = Drawing(
        "saga",
        860,
        526,
        "A first charge: six commits and four calls",
        "Before each call to Stripe its exact parameters are committed; its outcome is committed together with the "
        "next intent; the answer is committed before the caller gets it.",
    )
    caller, service, stripe = 50, 180, 800
    for x, name in ((caller, "caller"), (service, "CloneService"), (415, "ledger, a commit each"), (stripe, "Stripe")):
        sheet.text(x, 20, name, "strong", "middle")
    for x in (caller, service, stripe):
        sheet.arrow((x, 32), (x, 520), lane=True)
    steps = (
        ("request R: running", "claimed, with a fence and a lease", "", "", ""),
        ("clone:acct_…:pm_… intent", "its exact parameters", "POST /v1/payment_methods", "pm_…", ""),
        ("clone done, customer intent", "one transaction", "POST /v1/customers", "cus_…", ""),
        ("customer done, intent:R intent", "from here on R is named", "POST /v1/payment_intents",
         "pi_…  no money moves", ""),
        ("intent:R done, confirm:R intent", "the PaymentIntent is on record", "POST …/pi_…/confirm",
         "succeeded, or declined", "accent"),
        ("confirm:R done, charge, answer", "request R: succeeded", "", "", "good"),
    )  # fmt: skip
    for number, (first, second, call, back, kind) in enumerate(steps):
        y = 46 + number * 82
        sheet.box(268, y, 292, 52, first, second, kind=kind)
        sheet.number(268, y, number + 1)
        sheet.arrow((service, y + 26), (266, y + 26))
        if call:
            sheet.arrow((560, y + 20), (stripe - 2, y + 20))
            sheet.text(680, y + 13, call, "code", "middle")
            sheet.arrow((stripe, y + 64), (service + 2, y + 64), dashed=True)
            sheet.text(680, y + 57, back, "accent" if kind else "soft", "middle")
    sheet.arrow((caller, 72), (service - 2, 72))
    sheet.text(115, 64, "request_id R", "soft", "middle")
    sheet.arrow((service, 482), (caller + 2, 482), dashed=True)
    sheet.text(115, 474, "answer", "soft", "middle")
    return sheet


def failure_windows() -> Drawing:
    """Where one step can stop, and what the next process makes of it."""
    sheet = Drawing(
        "failure-windows",
        860,
        326,
        "Where a step can stop",
        "Six windows between the commit of the request and the answer in the caller's hands, with what is found in "
        "each and what is done then.",
    )
    stations = ("request", "intent", "call", "Stripe", "outcome", "answer", "caller")
    words = ("committed", "committed", "sent", "has acted", "committed", "committed", "has it")
    places = [130 + number * 114 for number in range(7)]
    sheet.arrow((20, 62), (places[-1] + 14, 62))
    for x, first, second in zip(places, stations, words, strict=True):
        sheet.arrow((x, 55), (x, 69), head=False)
        sheet.text(x, 30, first, "strong", "middle")
        sheet.text(x, 46, second, "soft", "middle")
    windows = (
        (73, 10, 130, ("nothing", "was sent: repeat", "freely"), ""),
        (187, 148, 112, ("the request", "taken up when the", "lease has run out"), ""),
        (358, 268, 180, ("the intent", "sent again: same parameters,", "same key. Stripe does it now,",
         "or replays its answer"), "accent"),
        (529, 456, 128, ("the intent", "as 3: Stripe", "replays its answer"), "accent"),
        (643, 592, 112, ("the outcome", "the next step", "goes on from it"), ""),
        (757, 712, 130, ("the answer", "is replayed to", "whoever asks"), "good"),
    )  # fmt: skip
    for number, (x, left, width, lines, kind) in enumerate(windows):
        sheet.number(x, 62, number + 1)
        sheet.arrow((x, 72), (x, 96), dashed=True, head=False)
        sheet.box(left, 96, width, 92, *lines, kind=kind)
    late = ("after 23 hours, or behind a stored 500", "the key is no longer trusted: the account's objects")
    look = ("are read, and matched by our metadata.", "Until then: INDETERMINATE, and said so")
    sheet.box(268, 212, 316, 92, *late, *look, kind="bad")
    sheet.arrow((358, 188), (358, 210))
    sheet.arrow((520, 188), (520, 210))
    return sheet


def lineage() -> Drawing:
    """One shopper over two sellers."""
    sheet = Drawing(
        "lineage",
        860,
        372,
        "The lineage of one shopper",
        "A platform customer's card, its clones on two accounts, the customers that hold them there, and the charges; "
        "a renewed card leaves a stale clone that names its successor.",
    )
    sheet.band(10, 10, 210, 352, "platform")
    sheet.band(240, 10, 610, 226, "acct_… bakery")
    sheet.band(240, 246, 610, 116, "acct_… florist")
    sheet.box(30, 60, 170, 50, "cus_…", "the shopper")
    sheet.arrow((115, 110), (115, 158))
    sheet.box(30, 160, 170, 50, "pm_…", "visa 4242, 11/27", kind="accent")
    sheet.box(262, 42, 170, 62, "cln_… STALE", "of the card that expired", "superseded by the next", kind="bad")
    sheet.box(262, 152, 170, 62, "cln_… ATTACHED", "pm_… on the bakery", kind="accent")
    sheet.arrow((347, 104), (347, 150), dashed=True)
    sheet.box(470, 152, 150, 62, "cus_…", "made once per shopper", "and account")
    sheet.arrow((432, 183), (468, 183))
    sheet.box(662, 60, 172, 56, "chg_… SUCCEEDED", "19.99 USD, fee 1.99", kind="good")
    sheet.box(662, 152, 172, 62, "chg_… SUCCEEDED", "25.00 USD", "rfd_… 5.00 USD back", kind="good")
    sheet.arrow((620, 172), (641, 172), (641, 88), (660, 88))
    sheet.arrow((620, 190), (660, 190))
    sheet.box(262, 282, 170, 62, "cln_… ATTACHED", "pm_… on the florist", kind="accent")
    sheet.box(470, 282, 150, 62, "cus_…", "another customer")
    sheet.box(662, 282, 172, 62, "chg_… DECLINED", "insufficient_funds", kind="bad")
    sheet.arrow((200, 178), (260, 178))
    sheet.arrow((200, 192), (230, 192), (230, 313), (260, 313))
    sheet.arrow((432, 313), (468, 313))
    sheet.arrow((620, 313), (660, 313))
    return sheet


def charge_states() -> Drawing:
    """The life of a charge."""
    sheet = Drawing(
        "charge-states",
        860,
        344,
        "The states of a charge",
        "From CREATING through confirmation to a final state; INDETERMINATE is left by itself.",
    )
    sheet.box(14, 130, 110, 44, "CREATING")
    sheet.box(154, 130, 206, 44, "REQUIRES_CONFIRMATION", "PaymentIntent made, no money")
    sheet.box(452, 24, 170, 44, "REQUIRES_ACTION", "3-D Secure")
    sheet.box(452, 96, 170, 44, "PROCESSING", "bank debits, for days")
    sheet.box(452, 168, 170, 44, "REQUIRES_CAPTURE", "authorised, held")
    sheet.box(452, 262, 170, 56, "INDETERMINATE", "the answer was lost;", "read until it is known", kind="accent")
    sheet.box(704, 60, 142, 44, "SUCCEEDED", "money moved, once", kind="good")
    sheet.box(704, 132, 142, 44, "DECLINED", "an answer, not an error", kind="bad")
    sheet.box(704, 204, 142, 44, "CANCELED", "nothing is held")
    sheet.arrow((124, 154), (152, 154))
    sheet.arrow((360, 154), (412, 154), (412, 46), (450, 46))
    sheet.arrow((360, 154), (412, 154), (412, 118), (450, 118))
    sheet.arrow((360, 154), (412, 154), (412, 190), (450, 190))
    sheet.arrow((270, 174), (270, 290), (450, 290), dashed=True)
    sheet.text(282, 282, "answer lost", "soft")
    sheet.text(387, 142, "confirm", "soft", "middle")
    sheet.arrow((412, 154), (662, 154), head=False)
    for y in (46, 118, 190):
        sheet.arrow((622, y), (662, y), head=False)
    sheet.arrow((622, 290), (662, 290), head=False)
    sheet.arrow((662, 46), (662, 290), head=False)
    for y in (82, 154, 226):
        sheet.arrow((662, y), (702, y))
    return sheet


DRAWINGS: Sequence[Callable[[], Drawing]] = (overview, basket, flows, saga, failure_windows, lineage, charge_states)


def main() -> int:
    """Write all drawings; the exit code."""
    FOLDER.mkdir(exist_ok=True)
    for draw in DRAWINGS:
        drawing = draw()
        (FOLDER / f"{drawing.name}.svg").write_text(drawing.svg(), encoding="utf-8")
        print(f"wrote docs/drawings/{drawing.name}.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
