"""One function for each command: options in, the client's own values out."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cloneservice import (
    Charge,
    ChargeResult,
    ChargeState,
    Clone,
    CloneAndChargeResult,
    CloneClient,
    CloneFlow,
    CloneResult,
    CloneReuse,
    CloneState,
    LookupResult,
    NewCustomer,
    PlatformPaymentMethod,
    SaveResult,
)
from cloneservice.cli import _batches, _charge_life
from cloneservice.cli._arguments import UsageError, attach_options, charge_options


def save(client: CloneClient, options: Namespace) -> SaveResult:
    """Save a payment method on a platform customer."""
    described = {"email": options.email, "name": options.name, "external_reference": options.reference}
    if options.customer and any(described.values()):
        raise UsageError("--email, --name and --reference describe a new customer: they need --new-customer")
    return client.save_payment_method(
        options.payment_method,
        platform_customer_id=options.customer,
        new_customer=NewCustomer(**described) if options.new_customer else None,
        set_default=options.set_default,
        request_id=options.request_id,
    )


def payment_methods_list(client: CloneClient, options: Namespace) -> Iterable[PlatformPaymentMethod]:
    """List what a platform customer has saved."""
    return client.list_platform_payment_methods(options.customer, page_size=page_size(options))


def clone(client: CloneClient, options: Namespace) -> CloneResult:
    """Clone a saved payment method to a connected account."""
    return client.clone_payment_method(
        options.customer,
        options.account,
        platform_payment_method_id=options.payment_method,
        flow=CloneFlow(options.flow) if options.flow else None,
        reuse=CloneReuse(options.reuse),
        attach=attach_options(options) or options.attach,
        metadata=dict(options.metadata),
        request_id=options.request_id,
    )


def charge(client: CloneClient, options: Namespace) -> ChargeResult:
    """Charge a clone."""
    return client.create_charge(options.clone, **charge_options(options), request_id=options.request_id)


def clone_and_charge(client: CloneClient, options: Namespace) -> CloneAndChargeResult:
    """Clone, attach and charge."""
    attach = attach_options(options)
    if options.one_shot and attach is not None:
        raise UsageError("--one-shot does not attach: it excludes --connected-customer and --set-default")
    return client.clone_and_charge(
        options.customer,
        options.account,
        platform_payment_method_id=options.payment_method,
        flow=CloneFlow(options.flow) if options.flow else None,
        reuse=CloneReuse(options.reuse),
        attach=attach,
        one_shot=options.one_shot,
        validate_only=options.validate_only,
        request_id=options.request_id,
        **charge_options(options),
    )


def clones_list(client: CloneClient, options: Namespace) -> Iterable[Clone]:
    """List clones."""
    return client.list_clones(
        platform_customer_id=options.customer,
        platform_payment_method_id=options.payment_method,
        connected_account_id=options.account,
        states=[CloneState(state) for state in options.state],
        page_size=page_size(options),
    )


def clones_get(client: CloneClient, options: Namespace) -> Clone:
    """Show a clone."""
    return client.get_clone(options.clone)


def clones_attach(client: CloneClient, options: Namespace) -> CloneResult:
    """Attach a clone."""
    return client.attach_clone(options.clone, attach=attach_options(options), request_id=options.request_id)


def charges_list(client: CloneClient, options: Namespace) -> Iterable[Charge]:
    """List charges."""
    return client.list_charges(
        platform_customer_id=options.customer,
        clone_id=options.clone,
        connected_account_id=options.account,
        states=[ChargeState(state) for state in options.state],
        page_size=page_size(options),
    )


def charges_get(client: CloneClient, options: Namespace) -> Charge:
    """Show a charge."""
    return client.get_charge(options.charge, refresh=options.refresh)


def lookup(client: CloneClient, options: Namespace) -> LookupResult:
    """Tell what became of a request_id."""
    return client.lookup_request(options.looked_up)


def page_size(options: Namespace) -> int:
    """Enough for one item more than will be shown, so that "there are more" is known without another call."""
    return min(int(options.limit) + 1, 200)


COMMANDS: Mapping[str, Callable[[CloneClient, Namespace], Any]] = {
    "save": save,
    "payment-methods list": payment_methods_list,
    "clone": clone,
    "charge": charge,
    "clone-and-charge": clone_and_charge,
    "clones list": clones_list,
    "clones get": clones_get,
    "clones attach": clones_attach,
    "charges list": charges_list,
    "charges get": charges_get,
    "charges confirm": _charge_life.confirm,
    "charges capture": _charge_life.capture,
    "charges cancel": _charge_life.cancel,
    "charges refund": _charge_life.refund,
    "charges refunds": _charge_life.refunds,
    "baskets get": _charge_life.basket,
    "batch create": _batches.create,
    "batch watch": _batches.watch,
    "batch get": _batches.get,
    "batch list": _batches.list_all,
    "batch retry": _batches.retry,
    "batch cancel": _batches.cancel,
    "batch export": _batches.export,
    "lookup": lookup,
}
