"""What workflows need from the outside: Stripe, a ledger, a clock. Adapters implement these; workflows know no other.

Concurrency contract of the ledger, on which exactly-once rests:

- Each method is one transaction: all of it is durable when the method returns, or none of it is.
- A request has a `fence`, a number that grows with each claim, and by steps that no other claim takes: a fence is never
  given twice, not even when a fail-over has lost the first of two claims. Every write of a run names the fence it was
  claimed with; when another owner has claimed the request since, the whole transaction is rolled back and `Fenced`
  raised.
- An effect is settled by its first writer. A later writer of the same epoch gets `EffectTaken` and must read again.
- Leases use the ledger's own clock. They save work only; no safety rests on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from cloneservice_server.domain.baskets import Basket
from cloneservice_server.domain.errors import DomainError
from cloneservice_server.domain.values import (
    Charge,
    ChargeState,
    Clone,
    CloneFlow,
    CloneState,
    ConnectedAccount,
    ConnectedCustomer,
    PlatformCustomer,
    Refund,
    RequestState,
)
from cloneservice_server.ports_observer import Unfinished

# ---------------------------------------------------------------------------------------------------------- clock


class Clock(Protocol):
    """Time, so that tests and the simulation can own it."""

    def now_us(self) -> int:
        """Microseconds since the Unix epoch."""
        ...

    def monotonic_s(self) -> float:
        """Seconds that never go back."""
        ...

    async def sleep(self, delay_s: float) -> None:
        """Wait `delay_s` seconds."""
        ...


# --------------------------------------------------------------------------------------------------------- stripe


@dataclass(frozen=True, slots=True)
class StripeCall:
    """One call to Stripe, as it is stored before it is sent.

    `account` is the connected account to act on (Stripe-Account), or "" for the platform. `params` are nested, with
    Stripe's own names; values are str, int, bool, list or dict. A POST has an `idempotency_key`, a GET has none.
    """

    method: str
    path: str
    account: str = ""
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StripeAnswer:
    """A 2xx answer: the decoded body, Stripe's Request-Id, and whether Stripe replayed it for our key."""

    body: dict[str, Any]
    stripe_request_id: str = ""
    replayed: bool = False


class StripeFault(Exception):  # noqa: N818 - reads as what happened
    """Stripe did not do what was asked, or we do not know whether it did. Raised by a gateway, see its subclasses."""


class NotSent(StripeFault):
    """The connection failed before the request left: nothing was done."""


class AnswerLost(StripeFault):
    """The request left and no usable answer came (time-out, dropped connection, truncated body): outcome unknown."""


@dataclass(eq=False)
class Refused(StripeFault):
    """Stripe answered with an error.

    `status` is HTTP's; `type`, `code`, `decline_code`, `param` and `message` are Stripe's; `body` is the whole error
    object (its `payment_intent` among it) and may hold secrets: never log or store it. `rate_limited_reason` is the
    Stripe-Rate-Limited-Reason header of a 429. `replayed`: Stripe repeated an answer stored for our key. `account` is
    the connected account that was acted on, or "".
    """

    status: int
    type: str = ""
    code: str = ""
    message: str = field(default="", repr=False)
    param: str = ""
    decline_code: str = ""
    body: dict[str, Any] = field(default_factory=dict, repr=False)
    stripe_request_id: str = ""
    replayed: bool = False
    rate_limited_reason: str = ""
    account: str = ""

    def __str__(self) -> str:
        return f"Stripe {self.status} {self.type} {self.code} (request {self.stripe_request_id})"


class StripeGateway(Protocol):
    """The only way to Stripe. One call is one HTTP request: repeating is the engine's business, not the gateway's."""

    async def send(self, call: StripeCall, *, idempotency_key: str = "", timeout_s: float = 30.0) -> StripeAnswer:
        """Make one call. Raises NotSent, AnswerLost or Refused."""
        ...

    def explain(self, refused: Refused, step: str) -> DomainError:
        """What a refusal means to a caller; `step` is the kind of call (an effect's kind, or a read's)."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


# --------------------------------------------------------------------------------------------------------- ledger


class Fenced(Exception):  # noqa: N818 - reads as what happened
    """Another owner has claimed the request: this run must stop. Nothing was written."""


class EffectTaken(Exception):  # noqa: N818 - reads as what happened
    """The effect was settled, voided or moved to another epoch by somebody else. Nothing was written; read again."""


class LedgerUnavailable(Exception):  # noqa: N818 - reads as what happened
    """The ledger cannot be written or reached (disk full, database down). Nothing is known to be written."""


@dataclass(frozen=True, slots=True)
class NewRequest:
    """A request to insert: `command` is its JSON (codec.dumps), `request_hash` the hex sha256 of its parameters."""

    request_id: str
    method: str
    request_hash: str
    command: str
    caller: str = ""
    charge_id: str = ""
    """The charge that this request_id stands for. If the ledger has it, from a request forgotten since, the new row
    names it."""


@dataclass(frozen=True, slots=True)
class RequestRow:
    """A request as stored. `lease_until_us` 0 means nobody works on it. `fence` grows with every claim."""

    request_id: str
    method: str
    request_hash: str
    command: str
    state: RequestState
    fence: int
    owner: str = ""
    lease_until_us: int = 0
    caller: str = ""
    result: str = ""
    """JSON of the domain result, once SUCCEEDED."""
    error: str = ""
    """JSON of the domain error, once FAILED; the last error when PARKED or INDETERMINATE."""
    clone_id: str = ""
    charge_id: str = ""
    batch_id: str = ""
    attempts: int = 1
    """How often it was claimed."""
    create_time_us: int = 0
    update_time_us: int = 0
    retry_time_us: int = 0
    """INDETERMINATE only: not before this time does the reconciler take it up."""


class EffectState(StrEnum):
    """Life of one change at Stripe."""

    INTENT = "intent"
    """Recorded; may have been sent, may have been done."""
    DONE = "done"
    """Stripe did it; `result` says what."""
    VOID = "void"
    """This epoch certainly did nothing and never will; the next intent takes the next epoch, so another key."""


@dataclass(frozen=True, slots=True)
class NewEffect:
    """The intent to change something at Stripe: the exact call, stored before it is first sent."""

    effect_id: str
    """What it makes, not who asked (`customer:<acct>:<cus>`); `intent:<request_id>` for what is one request's own."""
    kind: str
    """Which step (clone, customer, attach, intent, confirm, ...); the reconciler knows how to look for each."""
    call: StripeCall


@dataclass(frozen=True, slots=True)
class EffectRow:
    """An effect as stored. `intent_time_us` is when this epoch was first recorded, on the ledger's clock."""

    effect_id: str
    kind: str
    epoch: int
    state: EffectState
    call: StripeCall
    request_id: str
    """Whose intent it is."""
    stripe_id: str = ""
    result: dict[str, Any] = field(default_factory=dict)
    """What later steps need of Stripe's answer; never a secret."""
    error: str = ""
    """Why the last epoch was voided (errors.encode)."""
    intent_time_us: int = 0
    settle_time_us: int = 0
    stripe_request_id: str = ""
    """Stripe's Request-Id (req_...) of the answer that settled or voided it; "" when a look at Stripe did."""


@dataclass(frozen=True, slots=True)
class SettleEffect:
    """INTENT -> DONE of this epoch. Raises EffectTaken unless the row is (epoch, INTENT).

    `scrubbed` replaces the stored call when its parameters held personal data.
    """

    effect_id: str
    epoch: int
    stripe_id: str
    result: dict[str, Any]
    scrubbed: StripeCall | None = None
    stripe_request_id: str = ""


@dataclass(frozen=True, slots=True)
class VoidEffect:
    """INTENT -> VOID, epoch + 1. Raises EffectTaken unless the row is (epoch, INTENT)."""

    effect_id: str
    epoch: int
    error: str = ""
    stripe_request_id: str = ""


@dataclass(frozen=True, slots=True)
class PutClone:
    """Insert or replace a clone. With version > 1 the stored row must have version - 1, or EffectTaken is raised.

    At most one clone of (account, payment method, flow) has `reusable` true: an insert that would make a second
    raises EffectTaken.
    """

    clone: Clone


@dataclass(frozen=True, slots=True)
class PutCharge:
    """Insert or replace a charge, guarded by version as PutClone."""

    charge: Charge


@dataclass(frozen=True, slots=True)
class PutRefund:
    """Insert or replace a refund, guarded by version as PutClone."""

    refund: Refund


@dataclass(frozen=True, slots=True)
class PutBasket:
    """Insert or replace a basket, guarded by version as PutClone."""

    basket: Basket


@dataclass(frozen=True, slots=True)
class PutPlatformCustomer:
    """Insert or replace a platform customer; `external_reference` is unique when set, or EffectTaken."""

    customer: PlatformCustomer


@dataclass(frozen=True, slots=True)
class PutConnectedCustomer:
    """Insert the connected customer of (account, platform customer), or replace it."""

    customer: ConnectedCustomer


@dataclass(frozen=True, slots=True)
class PutConnectedAccount:
    """Insert or replace what is known of a connected account."""

    account: ConnectedAccount


@dataclass(frozen=True, slots=True)
class DropConnectedCustomer:
    """Delete the row of a connected customer, if it is there."""

    connected_account_id: str
    platform_customer_id: str


@dataclass(frozen=True, slots=True)
class DropPlatformCustomer:
    """Delete the row of a platform customer, if it is there."""

    platform_customer_id: str


@dataclass(frozen=True, slots=True)
class ForgetEffects:
    """Delete these effects (at least one named), whichever are there and settled: what they made is erased."""

    effect_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StrikeBatchItems:
    """Put a pseudonym in the place of an erased customer in all items of batches that are over."""

    platform_customer_id: str
    pseudonym: str


@dataclass(frozen=True, slots=True)
class FinishRequest:
    """The request's last write: its final state with result or error, or PARKED/INDETERMINATE with the error so far.

    Releases the lease. `scrubbed_command` replaces the stored command when it held personal data.
    """

    state: RequestState
    result: str = ""
    error: str = ""
    clone_id: str = ""
    charge_id: str = ""
    batch_id: str = ""
    retry_after_us: int = 0
    """INDETERMINATE only: microseconds from now, on the ledger's clock."""
    scrubbed_command: str = ""


@dataclass(frozen=True, slots=True)
class LinkRequest:
    """Record which clone or charge a running request is making, so that LookupRequest can tell."""

    clone_id: str = ""
    charge_id: str = ""


Write = (
    SettleEffect
    | VoidEffect
    | PutClone
    | PutCharge
    | PutRefund
    | PutBasket
    | PutPlatformCustomer
    | PutConnectedCustomer
    | PutConnectedAccount
    | DropConnectedCustomer
    | DropPlatformCustomer
    | ForgetEffects
    | StrikeBatchItems
    | FinishRequest
    | LinkRequest
)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to write for a request."""

    request_id: str
    fence: int


@dataclass(frozen=True, slots=True)
class Page:
    """Which rows of a list, newest first: at most `limit`, those older than (`before_us`, `before_id`) if given."""

    limit: int
    before_us: int = 0
    before_id: str = ""


@dataclass(frozen=True, slots=True)
class CloneFilter:
    """All given fields must match; empty `states` means all but ERASED."""

    platform_customer_id: str = ""
    platform_payment_method_id: str = ""
    connected_account_id: str = ""
    states: tuple[CloneState, ...] = ()
    accounts: tuple[str, ...] | None = None
    """Only rows of these accounts, whatever else is asked; None means any."""
    from_us: int = 0
    before_us: int = 0
    """Made at or after `from_us`, and before `before_us`; 0 is no limit."""


@dataclass(frozen=True, slots=True)
class ChargeFilter:
    """All given fields must match; empty `states` means all."""

    platform_customer_id: str = ""
    clone_id: str = ""
    connected_account_id: str = ""
    states: tuple[ChargeState, ...] = ()
    accounts: tuple[str, ...] | None = None
    """Only rows of these accounts, whatever else is asked; None means any."""
    platform_payment_method_id: str = ""
    """That of the charge's clone."""
    from_us: int = 0
    before_us: int = 0
    """Made at or after `from_us`, and before `before_us`; 0 is no limit."""


class Ledger(Protocol):
    """The durable store of requests, effects and lineage. See the module docstring for its contract."""

    async def open(self) -> None:
        """Connect and migrate. Raises LedgerUnavailable with the reason."""
        ...

    async def aclose(self) -> None:
        """Finish queued transactions and close."""
        ...

    async def bind(self, platform_key_fingerprint: str, *, livemode: bool) -> None:
        """Tie an empty ledger to a mode, or check that it is tied to this one. Raises ValueError on the other mode."""
        ...

    async def ping(self) -> None:
        """Prove that a write would work. Raises LedgerUnavailable."""
        ...

    async def begin_request(self, new: NewRequest, owner: str, lease_s: float) -> tuple[RequestRow, bool]:
        """Insert the request, RUNNING, leased to `owner`; or return the row that is there, and False."""
        ...

    async def get_request(self, request_id: str) -> RequestRow | None:
        """Read one request."""
        ...

    async def claim_request(self, request_id: str, owner: str, lease_s: float) -> RequestRow | None:
        """Take over an unfinished request whose lease has run out or was released. None if not to be had."""
        ...

    async def claim_due(self, owner: str, lease_s: float, limit: int) -> list[RequestRow]:
        """Take over requests RUNNING with a lease run out, or INDETERMINATE and due; never PARKED ones."""
        ...

    async def renew(self, owner: str, claims: Sequence[Claim], lease_s: float) -> set[str]:
        """Renew leases; return the request_ids whose claim is lost."""
        ...

    async def prune(self, older_than_s: float, limit: int = 500) -> int:
        """Forget up to `limit` requests that ended or were parked `older_than_s` ago, and their own effects; how many.

        The lineage stays, and so do the effects that later requests find it by.
        """
        ...

    async def count_unfinished(self) -> Unfinished:
        """How many requests have no final answer yet."""
        ...

    async def intend(self, claim: Claim, writes: Sequence[Write], effect: NewEffect) -> EffectRow:
        """Apply `writes` and record the intent, in one transaction; return the row that now stands.

        No row: inserted at epoch 0, INTENT. VOID row: becomes INTENT with this call, its epoch kept. INTENT or DONE
        row: returned as it is (its stored call is what must be sent, not ours). Raises Fenced, EffectTaken.
        """
        ...

    async def commit(self, claim: Claim | None, writes: Sequence[Write]) -> None:
        """Apply `writes` in one transaction. `claim` None: they belong to no request. Raises Fenced, EffectTaken."""
        ...

    async def get_effect(self, effect_id: str) -> EffectRow | None:
        """Read one effect."""
        ...

    async def open_effects(self, request_id: str) -> list[EffectRow]:
        """The effects that the request intended and that are not settled, oldest first."""
        ...

    async def get_clone(self, clone_id: str) -> Clone | None:
        """Read one clone."""
        ...

    async def find_reusable_clone(
        self, connected_account_id: str, platform_payment_method_id: str, flow: CloneFlow
    ) -> Clone | None:
        """The clone with `reusable` true, whatever its state; at most one exists."""
        ...

    async def list_clones(self, where: CloneFilter, page: Page) -> list[Clone]:
        """Newest first by (create_time_us, clone_id)."""
        ...

    async def get_charge(self, charge_id: str) -> Charge | None:
        """Read one charge."""
        ...

    async def list_charges(self, where: ChargeFilter, page: Page) -> list[Charge]:
        """Newest first by (create_time_us, charge_id)."""
        ...

    async def find_charge(self, connected_account_id: str, stripe_payment_intent_id: str) -> Charge | None:
        """The charge of a PaymentIntent on an account."""
        ...

    async def get_refund(self, refund_id: str) -> Refund | None:
        """Read one refund."""
        ...

    async def find_refund(self, connected_account_id: str, stripe_refund_id: str) -> Refund | None:
        """The refund that stands for Stripe's (re_...) on an account."""
        ...

    async def list_refunds(self, charge_id: str, page: Page) -> list[Refund]:
        """Refunds of a charge, newest first by (create_time_us, refund_id)."""
        ...

    async def get_basket(self, basket_id: str) -> Basket | None:
        """Read one basket."""
        ...

    async def get_connected_customer(
        self, connected_account_id: str, platform_customer_id: str
    ) -> ConnectedCustomer | None:
        """The customer that stands for a platform customer on an account."""
        ...

    async def get_connected_account(self, connected_account_id: str) -> ConnectedAccount | None:
        """What events told of a connected account; None if none did."""
        ...

    async def get_platform_customer(self, platform_customer_id: str) -> PlatformCustomer | None:
        """What the ledger knows of a platform customer."""
        ...

    async def find_platform_customer(self, external_reference: str) -> PlatformCustomer | None:
        """The platform customer with this (non-empty) external reference; at most one exists."""
        ...
