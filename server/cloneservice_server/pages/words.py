"""How the ledger's values read on a page: amounts, times, states and steps, in words and in tones."""

from __future__ import annotations

from datetime import UTC, datetime

from markupsafe import Markup

from cloneservice_server.domain.values import Money, PaymentMethodSummary
from cloneservice_server.log_lines import scrubbed

_NO_DECIMALS = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF"
_THREE_DECIMALS = "BHD JOD KWD OMR TND"
_BRANDS = {"visa": "Visa", "mastercard": "Mastercard", "amex": "Amex", "jcb": "JCB", "unionpay": "UnionPay"}

_TONES = {
    "ok": "succeeded attached active done captured authorized",
    "info": "running processing creating intent pending capturing authorizing",
    "warn": "parked stale requires_action requires_confirmation requires_capture open canceling partially_failed void "
    "skipped",
    "bad": "failed indeterminate declined broken stuck",
}
TONES = {state: tone for tone, states in _TONES.items() for state in states.split()}
"""State to the tone of its badge; a state without one is quiet."""

STEPS = {
    "platform_customer": "Create the platform customer",
    "platform_attach": "Attach to the platform customer",
    "platform_default": "Make it the platform customer's default",
    "clone": "Clone to the connected account",
    "customer": "Create the connected customer",
    "attach": "Attach to the connected customer",
    "setup": "Create the SetupIntent",
    "platform_delete": "Delete the platform customer",
    "delete_customer": "Delete the connected customer",
    "detach": "Detach the clone",
    "connected_default": "Make it the connected customer's default",
    "intent": "Create the PaymentIntent",
    "confirm": "Confirm the PaymentIntent",
    "reconfirm": "Confirm the PaymentIntent again",
    "capture": "Capture the PaymentIntent",
    "cancel": "Cancel the PaymentIntent",
    "refund": "Refund the charge",
}
EFFECT_STATES = {"intent": "outcome open", "done": "done", "void": "refused"}


def tone(state: object) -> str:
    """The tone of a state's badge."""
    return TONES.get(str(state), "")


def state_name(state: object) -> str:
    """A state in words. What is changed or cut is searched for secrets before, while it still looks like one."""
    return scrubbed(str(state)).replace("_", " ")


def step_name(kind: str) -> str:
    """A kind of effect in words."""
    return STEPS.get(kind, kind.replace("_", " "))


def minor_units(amount: int, currency: str) -> str:
    """An amount as people write it, with its currency: 1099 USD is `10.99 USD`."""
    places = 0 if currency in _NO_DECIMALS else 3 if currency in _THREE_DECIMALS else 2
    whole, part = divmod(abs(amount), 10**places)
    sign = "-" if amount < 0 else ""
    fraction = f".{part:0{places}d}" if places else ""
    return f"{sign}{whole:,}{fraction} {currency}"


def money(value: Money) -> str:
    """`minor_units` of a Money."""
    return minor_units(value.minor_units, value.currency_code)


def card(summary: PaymentMethodSummary) -> str:
    """What a payment method is: `Visa •••• 4242`; its type where it has no digits."""
    name = _BRANDS.get(summary.brand, summary.brand.title()) or state_name(summary.type)
    return f"{name} •••• {summary.last4}" if summary.last4 else name


def expiry(summary: PaymentMethodSummary) -> str:
    """`12/2030`; "" for what does not expire."""
    return f"{summary.exp_month:02d}/{summary.exp_year}" if summary.exp_year else ""


def is_expired(summary: PaymentMethodSummary, now_us: int) -> bool:
    """Whether a card's month is over."""
    now = datetime.fromtimestamp(now_us // 1_000_000, UTC)
    return bool(summary.exp_year) and (summary.exp_year, summary.exp_month) < (now.year, now.month)


def moment(at_us: int, now_us: int) -> Markup:
    """A time of day in UTC; with its date when that is not today, and its year when that is not this one."""
    if not at_us:
        return Markup("&ndash;")
    then = datetime.fromtimestamp(at_us // 1_000_000, UTC)
    now = datetime.fromtimestamp(now_us // 1_000_000, UTC)
    usual = "%H:%M:%S" if then.date() == now.date() else "%b %-d, %H:%M"
    shown = then.strftime(usual if then.year == now.year else "%b %-d %Y, %H:%M")
    whole = f"{then:%Y-%m-%dT%H:%M:%S}.{at_us % 1_000_000 // 1000:03d}Z"
    return Markup('<time datetime="{0}" title="{0}">{1}</time>').format(whole, shown)


def span(microseconds: int) -> str:
    """A length of time at a glance: `340 ms`, `12 s`, `4 min`, `3 h`, `2 days`."""
    ms = abs(microseconds) // 1000
    for size, unit in ((86_400_000, "days"), (3_600_000, "h"), (60_000, "min"), (1000, "s")):
        if ms >= (2 if unit != "s" else 10) * size:
            return f"{ms // size} {unit}"
    return f"{ms // 1000}.{ms % 1000 // 100} s" if ms >= 1000 else f"{ms} ms"


def ago(at_us: int, now_us: int) -> str:
    """How long ago; "never" for 0."""
    return f"{span(now_us - at_us)} ago" if at_us else "never"


def count(number: int) -> str:
    """A number with its thousands apart."""
    return f"{number:,}"


def short(identifier: str, length: int = 22) -> str:
    """An id that is too long for its place, with its beginning and its end."""
    text = scrubbed(identifier)
    return text if len(text) <= length else f"{text[: length - 7]}…{text[-6:]}"
