"""Money as Stripe words and limits it. Amounts are integers in the currency's minor unit throughout."""

from __future__ import annotations

from fake_stripe.errors import ApiError, invalid

# In the order of Stripe's own message.
CURRENCIES = (
    "usd, aed, afn, all, amd, ang, aoa, ars, aud, awg, azn, bam, bbd, bdt, bgn, bhd, bif, bmd, bnd, bob, brl, bsd, bwp,"
    " byn, bzd, cad, cdf, chf, clp, cny, cop, crc, cve, czk, djf, dkk, dop, dzd, egp, etb, eur, fjd, fkp, gbp, gel,"
    " gip,"
    " gmd, gnf, gtq, gyd, hkd, hnl, hrk, htg, huf, idr, ils, inr, isk, jmd, jod, jpy, kes, kgs, khr, kmf, krw, kwd,"
    " kyd,"
    " kzt, lak, lbp, lkr, lrd, lsl, mad, mdl, mga, mkd, mmk, mnt, mop, mur, mvr, mwk, mxn, myr, mzn, nad, ngn, nio,"
    " nok,"
    " npr, nzd, omr, pab, pen, pgk, php, pkr, pln, pyg, qar, ron, rsd, rub, rwf, sar, sbd, scr, sek, sgd, shp, sle,"
    " sos,"
    " srd, std, szl, thb, tjs, tnd, top, try, ttd, twd, tzs, uah, ugx, uyu, uzs, vnd, vuv, wst, xaf, xcd, xof, xpf,"
    " yer,"
    " zar, zmw, usdc, btn, ghs, eek, lvl, svc, vef, ltl, sll, mro"
)
_KNOWN = frozenset(CURRENCIES.split(", "))

_NO_MINOR_UNIT = frozenset(
    ("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf")
)
_THOUSANDTHS = frozenset(("bhd", "jod", "kwd", "omr", "tnd"))

# docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
_MINIMUM = {
    "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250, "eur": 50, "gbp": 30,
    "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200, "nok": 300, "nzd": 50, "pln": 200,
    "ron": 200, "sek": 300, "sgd": 50, "thb": 1000, "usd": 50,
}  # fmt: skip
_LARGEST = 99_999_999

_SYMBOLS = {
    "usd": "$", "aud": "$", "cad": "$", "nzd": "$", "sgd": "$", "hkd": "$", "mxn": "$", "eur": "€", "gbp": "£",
    "jpy": "¥", "inr": "₹", "brl": "R$", "chf": "CHF", "sek": "kr", "nok": "kr", "dkk": "kr", "pln": "zł", "krw": "₩",
}  # fmt: skip

_ZERO = (
    "The amount must be greater than or equal to the minimum charge amount allowed for your account and the currency"
    " set"
    " (https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts).  If you want to save a Payment Method"
    " for"
    " future use without an immediate payment, use a Setup Intent instead:"
    " https://docs.stripe.com/payments/setup-intents"
)


def spelt(amount: int, currency: str) -> str:
    """An amount as Stripe's messages write it: 1100, usd -> "$11.00"; 500, jpy -> "¥500"."""
    symbol = _SYMBOLS.get(currency, "")
    if currency in _NO_MINOR_UNIT:
        return f"{symbol}{amount:,}"
    digits = 3 if currency in _THOUSANDTHS else 2
    whole, rest = divmod(amount, 10**digits)
    return f"{symbol}{whole:,}.{rest:0{digits}}"


def check_currency(currency: str) -> str:
    """The currency in lower case; raises Stripe's 400 with the list of those it supports."""
    lower = currency.lower()
    if lower not in _KNOWN:
        text = f"Invalid currency: {currency}. Stripe currently supports these currencies: {CURRENCIES}"
        raise invalid(text, param="currency")
    return lower


def check_amount(amount: int, currency: str) -> None:
    """Raises what Stripe answers to an amount that cannot be charged: zero, negative, too small, over eight digits."""
    if amount == 0:
        raise invalid(_ZERO, code="parameter_invalid_integer", param="amount")
    if amount < 0:
        raise below_one("amount")
    least = _MINIMUM.get(currency, 1)
    if amount < least:
        text = f"Amount must be at least {spelt(least, currency)} {currency}"
        raise invalid(text, code="amount_too_small", param="amount")
    if amount > _LARGEST:
        text = f"Amount must be no more than {spelt(_LARGEST, currency)} {currency}"
        raise invalid(text, code="amount_too_large", param="amount")


def below_one(param: str) -> ApiError:
    """The refusal of an amount under one minor unit."""
    text = "This value must be greater than or equal to 1."
    return invalid(text, code="parameter_invalid_integer", param=param)
