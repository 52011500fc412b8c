"""A Stripe double that knows Connect: stateful, offline, in Stripe's own words.

from fake_stripe import FakeStripe

with FakeStripe() as fake:
    ...  # point any Stripe client at fake.url with fake.api_key
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fake_stripe.app import FakeStripe

__all__ = ["FakeStripe"]


def __getattr__(name: str) -> Any:
    # Importing the package costs nothing: the double is loaded by whoever uses it.
    if name == "FakeStripe":
        from fake_stripe.extra import advice  # noqa: PLC0415 - see above

        if missing := advice():
            raise ImportError(missing, name="fake_stripe")
        from fake_stripe.app import FakeStripe  # noqa: PLC0415 - see above

        return FakeStripe
    raise AttributeError(f"module 'fake_stripe' has no attribute {name!r}")
