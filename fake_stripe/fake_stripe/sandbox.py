"""One world as a test handles it: its key, clock, faults, journal and events."""

from typing import TYPE_CHECKING, Any

from fake_stripe.control_worlds import events_of

if TYPE_CHECKING:
    from fake_stripe.app import FakeStripe
    from fake_stripe.world import World


class Sandbox:
    """A world of a `FakeStripe`, by its API key.

    Attributes:
        app: the double that the world belongs to.
        api_key: the secret key that opens the world.
    """

    def __init__(self, app: "FakeStripe", api_key: str) -> None:
        self.app = app
        self.api_key = api_key

    @property
    def url(self) -> str:
        """Where the double serves HTTP; starts a server on a free port on first use."""
        return self.app.start().url

    @property
    def world(self) -> "World":
        """The world itself."""
        return self.app.world(self.api_key)

    def stripe_client(self, **options: Any) -> Any:
        """A `stripe.StripeClient` that reaches this world without a socket; `options` are the SDK's own."""
        from fake_stripe.sdk import in_process_client  # noqa: PLC0415 - the only door that loads the SDK

        client_type = in_process_client()
        from stripe import StripeClient  # noqa: PLC0415 - see above

        return StripeClient(self.api_key, http_client=client_type(self.app), **options)

    # ---- state

    def reset(self, seed: str | None = None) -> None:
        """Begin anew: no objects, no faults, an empty journal, a real clock."""
        with self.app.lock:
            self.app.worlds.reset(self.world.name, seed)

    def snapshot(self, label: str = "default") -> None:
        """Keep the present state under a label."""
        with self.app.lock:
            self.app.worlds.snapshot(self.world.name, label)

    def restore(self, label: str = "default") -> None:
        """Put the state back to a snapshot; KeyError when there is none of that label."""
        with self.app.lock:
            self.app.worlds.restore(self.world.name, label)

    def policy(self, account: str | None = None, **switches: str) -> None:
        """Set switches of one account, or of all that have none of their own (see `Policy`)."""
        with self.app.lock:
            self.world.set_policy(switches, account)

    # ---- time

    def freeze(self, at: float | None = None) -> None:
        """Stop the clock at `at` unix seconds, or now."""
        self.world.clock.freeze(at)

    def advance(self, seconds: int) -> int:
        """Move the clock on; returns how many of the world's own jobs ran on the way."""
        with self.app.lock:
            count = self.world.advance(seconds)
            self.app.hand_over(self.app.deliveries(self.world))
        return count

    def settle(self) -> int:
        """Let everything that is pending happen now (bank debits, refunds, disputes); returns how many jobs ran."""
        with self.app.lock:
            count = self.world.settle()
            self.app.hand_over(self.app.deliveries(self.world))
        return count

    # ---- faults

    def fault(self, act: Any = None, **given: Any) -> str:
        """Install a fault and return its id: `fault("commit_then_drop", match={"path": "/v1/customers"}, times=1)`."""
        if act is not None:
            given["act"] = act
        with self.app.lock:
            return self.world.faults.add(given).id

    def clear_faults(self) -> None:
        """Take all faults away."""
        with self.app.lock:
            self.world.faults.clear()

    # ---- what happened

    @property
    def journal(self) -> list[dict[str, Any]]:
        """The calls of this world, oldest first."""
        with self.app.lock:
            return [entry.as_dict() for entry in self.world.journal]

    def events(self, type: str | None = None) -> list[dict[str, Any]]:  # noqa: A002 - Stripe's name
        """The events of all accounts of this world, oldest first, of one type if given."""
        with self.app.lock:
            return events_of(self.world, type)
