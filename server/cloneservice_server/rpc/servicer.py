"""The RPCs: validate, convert, hand over, convert back. What they raise is made a status by the errors interceptor."""

# ruff: noqa: N802 - RPC names are the contract's
from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import grpc.aio
from cloneservice.v1 import clone_service_pb2 as pb
from google.protobuf.message import Message

from cloneservice_server.domain import commands, results, values
from cloneservice_server.domain.callers import ANYBODY, Caller
from cloneservice_server.domain.errors import DomainError, RequestInProgress
from cloneservice_server.ports import ChargeFilter, CloneFilter, Page, RequestRow
from cloneservice_server.rpc import convert, messages, validate
from cloneservice_server.rpc.batches import Batches, BatchRpcs
from cloneservice_server.rpc.caller import CALLER
from cloneservice_server.rpc.convert import REPLAYED
from cloneservice_server.rpc.event_rpcs import EventRpcs, Events
from cloneservice_server.rpc.paging import PageTokens, page_size
from cloneservice_server.rpc.servicer_charges import ChargeLifeServicer, ChargeQueries

NO_DEADLINE_S = 1e9
"""gRPC reports "no deadline" as a number of seconds beyond any real one."""

Context = grpc.aio.ServicerContext[Any, Any]
Asked = TypeVar("Asked", bound=Message)
Made = TypeVar("Made", bound=results.Result)


class Answer(Protocol):
    """What the engine answers: exactly one of result and error is set."""

    @property
    def result(self) -> results.Result | None:
        """The result."""
        ...

    @property
    def error(self) -> DomainError | None:
        """The error."""
        ...

    @property
    def replayed(self) -> bool:
        """Whether it was stored by an earlier call."""
        ...


class Engine(Protocol):
    """The way to change something (workflows/engine.py)."""

    async def submit(
        self,
        request_id: str,
        request_hash: str,
        command: commands.Command,
        *,
        deadline_s: float | None = None,
        caller: Caller = ANYBODY,
    ) -> Answer:
        """Carry out, join or replay a request; may be cancelled at any time."""
        ...


class Queries(ChargeQueries, Protocol):
    """The way to read (workflows/queries.py)."""

    async def get_clone(self, clone_id: str) -> values.Clone:
        """One clone."""
        ...

    async def list_clones(self, where: CloneFilter, page: Page) -> list[values.Clone]:
        """Clones, newest first."""
        ...

    async def get_charge(self, charge_id: str, *, refresh: bool) -> values.Charge:
        """One charge."""
        ...

    async def list_charges(self, where: ChargeFilter, page: Page) -> list[values.Charge]:
        """Charges, newest first."""
        ...

    async def lookup(self, request_id: str) -> RequestRow | None:
        """What became of a request."""
        ...

    async def list_platform_payment_methods(
        self, platform_customer_id: str, limit: int, starting_after: str
    ) -> tuple[list[values.PlatformPaymentMethod], bool]:
        """Saved payment methods, and whether there are more."""
        ...


class CloneServicer(ChargeLifeServicer, EventRpcs, BatchRpcs):
    """CloneService on an engine and its queries; `planned.complete` adds the RPCs that are not here.

    `deadline_s_max` is the deadline, in seconds, of callers that set none or a longer one.
    """

    def __init__(
        self,
        engine: Engine,
        queries: Queries,
        tokens: PageTokens,
        *,
        batches: Batches,
        events: Events,
        deadline_s_max: float = 60.0,
    ) -> None:
        self._engine = engine
        self._batches = batches
        self._queries: Queries = queries
        self._tokens = tokens
        self._events = events
        self._deadline_s_max = deadline_s_max

    async def CreateSetup(self, request: pb.CreateSetupRequest, context: Context) -> pb.CreateSetupResponse:
        """Starts collecting a payment method."""
        return convert.set_up(await self._submit(request, convert.create_setup, results.SetupMade, context))

    async def EraseCustomer(self, request: pb.EraseCustomerRequest, context: Context) -> pb.EraseCustomerResponse:
        """Erases a shopper."""
        result = await self._submit(request, convert.erase_customer, results.CustomerErased, context)
        return convert.erased(result, request.platform_customer_id)

    async def SavePaymentMethod(
        self, request: pb.SavePaymentMethodRequest, context: Context
    ) -> pb.SavePaymentMethodResponse:
        """Saves an existing payment method on a platform customer."""
        result = await self._submit(request, convert.save_payment_method, results.SavedPaymentMethod, context)
        return convert.saved(result)

    async def ClonePaymentMethod(
        self, request: pb.ClonePaymentMethodRequest, context: Context
    ) -> pb.ClonePaymentMethodResponse:
        """Clones one saved payment method to one connected account."""
        return convert.cloned(await self._submit(request, convert.clone_payment_method, results.CloneMade, context))

    async def AttachClone(self, request: pb.AttachCloneRequest, context: Context) -> pb.AttachCloneResponse:
        """Attaches a clone to a connected customer."""
        return convert.attached(await self._submit(request, convert.attach_clone, results.CloneMade, context))

    async def RefreshClone(self, request: pb.RefreshCloneRequest, context: Context) -> pb.RefreshCloneResponse:
        """Compares a clone with the platform's object; makes its successor if it is stale."""
        return convert.refreshed(await self._submit(request, convert.refresh_clone, results.CloneRefreshed, context))

    async def RevokeClone(self, request: pb.RevokeCloneRequest, context: Context) -> pb.RevokeCloneResponse:
        """Detaches a clone for good."""
        return convert.revoked(await self._submit(request, convert.revoke_clone, results.CloneMade, context))

    async def CreateCharge(self, request: pb.CreateChargeRequest, context: Context) -> pb.CreateChargeResponse:
        """Makes a direct charge with a clone."""
        return convert.charged(await self._submit(request, convert.create_charge, results.ChargeMade, context))

    async def CloneAndCharge(self, request: pb.CloneAndChargeRequest, context: Context) -> pb.CloneAndChargeResponse:
        """Clones, attaches and charges."""
        result = await self._submit(request, convert.clone_and_charge, results.CloneCharged, context)
        return convert.cloned_and_charged(result)

    async def GetClone(self, request: pb.GetCloneRequest, _: Context) -> pb.GetCloneResponse:
        """Reads one clone."""
        validate.check(request)
        return pb.GetCloneResponse(clone=convert.clone(await self._queries.get_clone(request.clone_id)))

    async def GetCharge(self, request: pb.GetChargeRequest, _: Context) -> pb.GetChargeResponse:
        """Reads one charge."""
        validate.check(request)
        charge = await self._queries.get_charge(request.charge_id, refresh=request.refresh)
        return pb.GetChargeResponse(charge=messages.charge(charge))

    async def ListClones(self, request: pb.ListClonesRequest, _: Context) -> pb.ListClonesResponse:
        """Lists clones, newest first."""
        validate.check(request)
        where, size = convert.clone_filter(request, CALLER.get()), page_size(request.page_size)
        before_us, before_id = self._tokens.read("ListClones", where, request.page_token)
        rows = await self._queries.list_clones(where, Page(size + 1, before_us, before_id))
        token = ""
        if len(rows) > size:
            token = self._tokens.make("ListClones", where, rows[size - 1].create_time_us, rows[size - 1].clone_id)
        return pb.ListClonesResponse(clones=map(convert.clone, rows[:size]), next_page_token=token)

    async def ListCharges(self, request: pb.ListChargesRequest, _: Context) -> pb.ListChargesResponse:
        """Lists charges, newest first."""
        validate.check(request)
        where, size = convert.charge_filter(request, CALLER.get()), page_size(request.page_size)
        before_us, before_id = self._tokens.read("ListCharges", where, request.page_token)
        rows = await self._queries.list_charges(where, Page(size + 1, before_us, before_id))
        token = ""
        if len(rows) > size:
            token = self._tokens.make("ListCharges", where, rows[size - 1].create_time_us, rows[size - 1].charge_id)
        return pb.ListChargesResponse(charges=map(messages.charge, rows[:size]), next_page_token=token)

    async def ListPlatformPaymentMethods(
        self, request: pb.ListPlatformPaymentMethodsRequest, _: Context
    ) -> pb.ListPlatformPaymentMethodsResponse:
        """Lists what a platform customer has saved, as Stripe tells it."""
        validate.check(request)
        customer, rpc = request.platform_customer_id, "ListPlatformPaymentMethods"
        after = self._tokens.read(rpc, customer, request.page_token)[1]
        rows, more = await self._queries.list_platform_payment_methods(customer, page_size(request.page_size), after)
        token = self._tokens.make(rpc, customer, 0, rows[-1].platform_payment_method_id) if more and rows else ""
        payment_methods = map(messages.platform_payment_method, rows)
        return pb.ListPlatformPaymentMethodsResponse(payment_methods=payment_methods, next_page_token=token)

    async def LookupRequest(self, request: pb.LookupRequestRequest, _: Context) -> pb.LookupRequestResponse:
        """Tells what became of a request_id."""
        validate.check(request)
        row = await self._queries.lookup(request.request_id.lower())
        # To anybody but its caller a request was never seen: who knows a request_id learns nothing by it.
        return convert.looked_up(row if row is not None and CALLER.get().owns(row.caller) else None)

    async def _submit(
        self, request: Asked, to_command: Callable[[Asked], commands.Command], made: type[Made], context: Context
    ) -> Made:
        """Run a mutation and wait for its answer. Raises its DomainError."""
        validate.check(request)
        command = to_command(request)
        request_id: str = request.request_id.lower()  # type: ignore[attr-defined]  # every mutation has one
        try:
            async with asyncio.timeout(self._deadline_s_max):
                answer = await self._engine.submit(
                    request_id,
                    convert.request_hash(command),
                    command,
                    deadline_s=self._deadline_s(context),
                    caller=CALLER.get(),
                )
        except TimeoutError as late:
            raise RequestInProgress(
                f"Still being carried out after {self._deadline_s_max:g} s; repeat with the same request_id",
                {"request_id": request_id},
                retry_after_s=1.0,
            ) from late
        if answer.replayed:
            await context.send_initial_metadata(REPLAYED)
        if answer.error is not None:
            raise answer.error
        assert isinstance(answer.result, made)
        return answer.result

    def _deadline_s(self, context: Context) -> float:
        left = context.time_remaining()
        if left is None or left > NO_DEADLINE_S:
            return self._deadline_s_max
        return min(left, self._deadline_s_max)
