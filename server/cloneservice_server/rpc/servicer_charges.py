"""The RPCs of a charge's life after it was made, and of baskets: a part of `CloneServicer`."""

# ruff: noqa: N802 - RPC names are the contract's
from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import grpc.aio
from cloneservice.v1 import clone_service_pb2 as pb
from google.protobuf.message import Message

from cloneservice_server.domain import baskets, commands, results, values
from cloneservice_server.ports import Page
from cloneservice_server.rpc import convert_charges as convert
from cloneservice_server.rpc import validate
from cloneservice_server.rpc.paging import PageTokens, page_size

Context = grpc.aio.ServicerContext[Any, Any]
Asked = TypeVar("Asked", bound=Message)
Made = TypeVar("Made", bound=results.Result)


class ChargeQueries(Protocol):
    """The reads that these RPCs need."""

    async def list_refunds(self, charge_id: str, page: Page) -> list[values.Refund]:
        """Refunds of a charge, newest first."""
        ...

    async def get_basket(self, basket_id: str) -> baskets.Basket:
        """One basket."""
        ...


class ChargeLifeServicer(ABC):
    """See the module docstring."""

    _queries: ChargeQueries
    _tokens: PageTokens

    @abstractmethod
    async def _submit(
        self, request: Asked, to_command: Callable[[Asked], commands.Command], made: type[Made], context: Context
    ) -> Made:
        """Run a mutation and wait for its answer."""

    async def ConfirmCharge(self, request: pb.ConfirmChargeRequest, context: Context) -> pb.ConfirmChargeResponse:
        """Confirms a charge that waits for it."""
        return convert.confirmed(await self._submit(request, convert.confirm_charge, results.ChargeMade, context))

    async def CaptureCharge(self, request: pb.CaptureChargeRequest, context: Context) -> pb.CaptureChargeResponse:
        """Captures an authorised charge."""
        return convert.captured(await self._submit(request, convert.capture_charge, results.ChargeMade, context))

    async def CancelCharge(self, request: pb.CancelChargeRequest, context: Context) -> pb.CancelChargeResponse:
        """Cancels a charge that was not captured."""
        return convert.cancelled(await self._submit(request, convert.cancel_charge, results.ChargeMade, context))

    async def RefundCharge(self, request: pb.RefundChargeRequest, context: Context) -> pb.RefundChargeResponse:
        """Refunds a captured charge."""
        return convert.refunded(await self._submit(request, convert.refund_charge, results.RefundMade, context))

    async def ChargeBasket(self, request: pb.ChargeBasketRequest, context: Context) -> pb.ChargeBasketResponse:
        """Charges one shopper on several accounts, all or nothing."""
        result = await self._submit(request, convert.charge_basket, results.BasketCharged, context)
        return convert.basket_charged(result)

    async def GetBasket(self, request: pb.GetBasketRequest, _: Context) -> pb.GetBasketResponse:
        """Reads one basket."""
        validate.check(request)
        return pb.GetBasketResponse(basket=convert.basket(await self._queries.get_basket(request.basket_id)))

    async def ListRefunds(self, request: pb.ListRefundsRequest, _: Context) -> pb.ListRefundsResponse:
        """Lists the refunds of a charge, newest first."""
        validate.check(request)
        charge, size = request.charge_id, page_size(request.page_size)
        before_us, before_id = self._tokens.read("ListRefunds", charge, request.page_token)
        rows = await self._queries.list_refunds(charge, Page(size + 1, before_us, before_id))
        token = ""
        if len(rows) > size:
            token = self._tokens.make("ListRefunds", charge, rows[size - 1].create_time_us, rows[size - 1].refund_id)
        return pb.ListRefundsResponse(refunds=map(convert.refund, rows[:size]), next_page_token=token)
