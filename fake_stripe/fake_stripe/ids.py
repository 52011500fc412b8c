"""Ids as Stripe mints them: prefix, length, account infix (measured on recorded ids), reproducible by seed.

Most objects have 24 characters after the prefix: a digit, five of time, the ten last of their account's own id, eight
of their own. Customers, products and requests have 14 and no infix.
"""

import hashlib

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS = tuple(a + b for a in ALPHABET for b in ALPHABET)
_SPAN = 62**7
_STRIDE = 2_147_483_647 * 911  # coprime to 62: a full cycle, so no id comes twice
_SHORT = {"cus": 14, "prod": 14, "req": 14, "si": 14, "sub_sched": 14, "promo": 14, "link": 14, "gcus": 14}
_LONG = {"whsec": 32, "ca": 32}
_THREE = frozenset({"pi", "ch", "py", "pyr", "re", "dp", "du"})
_TIME_ZERO = 1_300_000_000


def base62(number: int, width: int) -> str:
    """`number` in base 62, its last `width` digits."""
    digits = []
    for _ in range((width + 1) // 2):
        number, pair = divmod(number, 3844)
        digits.append(_PAIRS[pair])
    return "".join(reversed(digits))[-width:]


def derived(text: str, width: int) -> str:
    """`width` characters that depend on `text` alone."""
    number = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=32).digest(), "big")
    return base62(number, width)


def platform_account(name: str) -> str:
    """The platform's account id in the world called `name`: always the same for the same API key."""
    return "acct_1" + derived("platform:" + name, 15)


class Ids:
    """The ids of one world. With a seed they are the same on every run, whatever the clock says."""

    __slots__ = ("_base", "counter", "seed")

    def __init__(self, seed: str | None, name: str, counter: int = 0) -> None:
        self.seed = seed
        self.counter = counter
        text = f"seed:{seed}" if seed is not None else f"world:{name}"
        self._base = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")

    def text(self, width: int) -> str:
        """`width` characters that no earlier call returned (from seven on)."""
        self.counter += 1
        own = (self.counter * _STRIDE + self._base) % _SPAN
        if width <= 7:
            return base62(own, width)
        mixed = (self.counter * 0x9E3779B97F4A7C15F39CC0605CEDC835 + self._base * 0xD1B54A32D192ED03) >> 17
        return base62(mixed, width - 7) + base62(own, 7)

    def number(self, below: int) -> int:
        """A reproducible number in 0 .. below-1."""
        self.counter += 1
        return ((self.counter * 0x9E3779B97F4A7C15 + self._base) >> 21) % below

    def uuid(self) -> str:
        """A reproducible UUID, as Stripe gives requests that bring no idempotency key."""
        self.counter += 1
        mixed = (self.counter * 0x9E3779B97F4A7C15F39CC0605CEDC835 + self._base * 0xD1B54A32D192ED03) % (1 << 128)
        digits = f"{mixed:032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    def new(self, prefix: str, account: str, now: int, like: str | None = None) -> str:
        """A new id of `prefix` on `account`; `like` another id, it shares that one's middle, as one payment's do."""
        if prefix in _SHORT:
            return f"{prefix}_{self.text(_SHORT[prefix])}"
        if prefix in _LONG:
            return f"{prefix}_{self.text(_LONG[prefix])}"
        if like is not None:
            return f"{prefix}_{like.partition('_')[2][:17]}{self.text(7)}"
        when = base62(now - _TIME_ZERO if self.seed is None else self._base + self.counter, 5)
        digit = "3" if prefix in _THREE else "1"
        if prefix == "acct":
            return f"acct_1{when}{self.text(10)}"
        return f"{prefix}_{digit}{when}{account[-10:]}{self.counter % 3}{self.text(7)}"
