"""The commands on a charge that was made: confirm, capture, cancel, refund; options in, the client's values out."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable

from cloneservice import Basket, ChargeResult, CloneClient, Money, Refund, RefundResult
from cloneservice.cli._arguments import UsageError


def confirm(client: CloneClient, options: Namespace) -> ChargeResult:
    """Confirm a charge that waits for it."""
    return client.confirm_charge(
        options.charge,
        off_session=options.off_session,
        return_url=options.return_url,
        request_id=options.request_id,
    )


def capture(client: CloneClient, options: Namespace) -> ChargeResult:
    """Capture an authorised charge."""
    return client.capture_charge(
        options.charge,
        amount=_money(options, options.amount),
        application_fee=_money(options, options.fee),
        request_id=options.request_id,
    )


def cancel(client: CloneClient, options: Namespace) -> ChargeResult:
    """Cancel a charge that was not captured."""
    return client.cancel_charge(options.charge, reason=options.reason, request_id=options.request_id)


def refund(client: CloneClient, options: Namespace) -> RefundResult:
    """Refund a captured charge."""
    return client.refund_charge(
        options.charge,
        amount=_money(options, options.amount),
        reason=options.reason,
        refund_application_fee=options.refund_fee,
        metadata=dict(options.metadata),
        request_id=options.request_id,
    )


def refunds(client: CloneClient, options: Namespace) -> Iterable[Refund]:
    """List the refunds of a charge."""
    return client.list_refunds(options.charge, page_size=min(int(options.limit) + 1, 200))


def basket(client: CloneClient, options: Namespace) -> Basket:
    """Show a basket."""
    return client.get_basket(options.basket)


def _money(options: Namespace, minor_units: int | None) -> Money | None:
    if minor_units is None:
        return None
    if not options.currency:
        raise UsageError("--currency is needed with an amount")
    return Money(minor_units, options.currency)
