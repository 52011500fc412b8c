"""Requests to commands and filters, results to responses, both frozen on the domain's side. No rules here.

Requests have been validated before; an enum left unspecified becomes the domain's default.
"""

from __future__ import annotations

import hashlib

from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1 import types_pb2

from cloneservice_server.domain import codec, commands, errors, results, values
from cloneservice_server.domain.callers import ANYBODY, Caller
from cloneservice_server.domain.ids import basket_id_of, refund_id_of
from cloneservice_server.ports import ChargeFilter, CloneFilter, RequestRow
from cloneservice_server.rpc import messages, status

SERVICE = "cloneservice.v1.CloneService"
REPLAYED = (("idempotent-replayed", "true"),)
"""Initial metadata of an answer that was stored before; the body stays byte-identical."""

# ------------------------------------------------------------------------------------------------ requests to commands


def request_hash(command: commands.Command) -> str:
    """Hex sha256 of what is asked, without the request_id.

    Made of the command's JSON and not of protobuf's bytes, which are deterministic only within one build of the
    library; so "usd" and "USD", or an enum left out and its default, are the same request.
    """
    return hashlib.sha256(f"{command.method}\n{codec.dumps(command)}".encode()).hexdigest()


def save_payment_method(request: pb.SavePaymentMethodRequest) -> commands.SavePaymentMethod:
    """Command of SavePaymentMethod."""
    return commands.SavePaymentMethod(
        platform_payment_method_id=request.platform_payment_method_id,
        platform_customer_id=request.platform_customer_id,
        new_customer=new_customer(request.new_customer) if request.HasField("new_customer") else None,
        set_default=request.set_default,
    )


def clone_payment_method(request: pb.ClonePaymentMethodRequest) -> commands.ClonePaymentMethod:
    """Command of ClonePaymentMethod."""
    return commands.ClonePaymentMethod(
        platform_customer_id=request.platform_customer_id,
        connected_account_id=request.connected_account_id,
        platform_payment_method_id=request.platform_payment_method_id,
        flow=messages.FLOWS_ASKED.get(request.flow),
        reuse=messages.REUSES_ASKED.get(request.reuse, values.CloneReuse.IF_CURRENT),
        attach=attach_options(request.attach) if request.HasField("attach") else None,
        metadata=dict(request.metadata),
    )


def attach_clone(request: pb.AttachCloneRequest) -> commands.AttachClone:
    """Command of AttachClone."""
    return commands.AttachClone(request.clone_id, attach_options(request.attach), request.etag)


def refresh_clone(request: pb.RefreshCloneRequest) -> commands.RefreshClone:
    """Command of RefreshClone."""
    return commands.RefreshClone(request.clone_id, request.validate_only)


def revoke_clone(request: pb.RevokeCloneRequest) -> commands.RevokeClone:
    """Command of RevokeClone."""
    return commands.RevokeClone(request.clone_id, request.etag)


def create_setup(request: pb.CreateSetupRequest) -> commands.CreateSetup:
    """Command of CreateSetup."""
    return commands.CreateSetup(
        platform_customer_id=request.platform_customer_id,
        new_customer=new_customer(request.new_customer) if request.HasField("new_customer") else None,
        on_behalf_of_account_id=request.on_behalf_of_account_id,
        payment_method_types=tuple(request.payment_method_types),
    )


def new_customer(new: pb.NewCustomer) -> commands.NewCustomer:
    """A platform customer to create."""
    return commands.NewCustomer(
        external_reference=new.external_reference, email=new.email, name=new.name, metadata=dict(new.metadata)
    )


def erase_customer(request: pb.EraseCustomerRequest) -> commands.EraseCustomer:
    """Command of EraseCustomer."""
    return commands.EraseCustomer(request.platform_customer_id, request.delete_platform_customer, request.validate_only)


def create_charge(request: pb.CreateChargeRequest) -> commands.CreateCharge:
    """Command of CreateCharge."""
    return commands.CreateCharge(request.clone_id, charge_options(request.charge))


def clone_and_charge(request: pb.CloneAndChargeRequest) -> commands.CloneAndCharge:
    """Command of CloneAndCharge."""
    return commands.CloneAndCharge(
        platform_customer_id=request.platform_customer_id,
        connected_account_id=request.connected_account_id,
        charge=charge_options(request.charge),
        platform_payment_method_id=request.platform_payment_method_id,
        flow=messages.FLOWS_ASKED.get(request.flow),
        reuse=messages.REUSES_ASKED.get(request.reuse, values.CloneReuse.IF_CURRENT),
        attach=attach_options(request.attach) if request.HasField("attach") else None,
        one_shot=request.one_shot,
        validate_only=request.validate_only,
    )


def attach_options(options: pb.AttachOptions) -> commands.AttachOptions:
    """How to attach."""
    return commands.AttachOptions(options.connected_customer_id, options.set_default)


def charge_options(options: pb.ChargeOptions) -> commands.ChargeOptions:
    """What to charge; currency codes in upper case from here on."""
    return commands.ChargeOptions(
        amount=money(options.amount),
        application_fee=money(options.application_fee) if options.HasField("application_fee") else None,
        capture_method=messages.CAPTURES_ASKED.get(options.capture_method, values.CaptureMethod.AUTOMATIC),
        off_session=options.off_session,
        defer_confirmation=options.defer_confirmation,
        return_url=options.return_url,
        description=options.description,
        statement_descriptor_suffix=options.statement_descriptor_suffix,
        metadata=dict(options.metadata),
    )


def money(amount: types_pb2.Money) -> values.Money:
    """An amount, its currency in upper case."""
    return values.Money(amount.minor_units, amount.currency_code.upper())


def clone_filter(request: pb.ListClonesRequest, caller: Caller = ANYBODY) -> CloneFilter:
    """Filter of ListClones, within what the caller sees; the order and repetition of states do not matter."""
    return CloneFilter(
        platform_customer_id=request.platform_customer_id,
        platform_payment_method_id=request.platform_payment_method_id,
        connected_account_id=request.connected_account_id,
        states=tuple(messages.CLONE_STATES_ASKED[number] for number in sorted(set(request.states))),
        from_us=messages.microseconds(request.create_time_from),
        before_us=messages.microseconds(request.create_time_before),
        accounts=_accounts(caller),
    )


def charge_filter(request: pb.ListChargesRequest, caller: Caller = ANYBODY) -> ChargeFilter:
    """Filter of ListCharges, within what the caller sees; the order and repetition of states do not matter."""
    return ChargeFilter(
        platform_customer_id=request.platform_customer_id,
        clone_id=request.clone_id,
        connected_account_id=request.connected_account_id,
        states=tuple(messages.CHARGE_STATES_ASKED[number] for number in sorted(set(request.states))),
        platform_payment_method_id=request.platform_payment_method_id,
        from_us=messages.microseconds(request.create_time_from),
        before_us=messages.microseconds(request.create_time_before),
        accounts=_accounts(caller),
    )


def _accounts(caller: Caller) -> tuple[str, ...] | None:
    return None if caller.accounts is None else tuple(sorted(caller.accounts))


# ------------------------------------------------------------------------------------------------ results to responses


def clone(value: values.Clone) -> types_pb2.Clone:
    """A clone with its last error as a status."""
    last_error = status.status_of(errors.decode(value.last_error)) if value.last_error else None
    return messages.clone(value, last_error)


def saved(result: results.SavedPaymentMethod) -> pb.SavePaymentMethodResponse:
    """Response of SavePaymentMethod."""
    return pb.SavePaymentMethodResponse(
        platform_customer=messages.platform_customer(result.platform_customer),
        payment_method=messages.platform_payment_method(result.payment_method),
    )


def cloned(result: results.CloneMade) -> pb.ClonePaymentMethodResponse:
    """Response of ClonePaymentMethod."""
    return pb.ClonePaymentMethodResponse(clone=clone(result.clone), reused=result.reused)


def attached(result: results.CloneMade) -> pb.AttachCloneResponse:
    """Response of AttachClone."""
    return pb.AttachCloneResponse(clone=clone(result.clone))


def refreshed(result: results.CloneRefreshed) -> pb.RefreshCloneResponse:
    """Response of RefreshClone."""
    return pb.RefreshCloneResponse(clone=clone(result.clone), changed=result.changed)


def revoked(result: results.CloneMade) -> pb.RevokeCloneResponse:
    """Response of RevokeClone."""
    return pb.RevokeCloneResponse(clone=clone(result.clone))


def set_up(result: results.SetupMade) -> pb.CreateSetupResponse:
    """Response of CreateSetup, with the SetupIntent's client secret."""
    action = result.next_action
    return pb.CreateSetupResponse(
        platform_customer=messages.platform_customer(result.platform_customer),
        stripe_setup_intent_id=result.stripe_setup_intent_id,
        next_action=None if action is None else messages.next_action(action, with_secret=True),
    )


def erased(result: results.CustomerErased, customer: str) -> pb.EraseCustomerResponse:
    """Response of EraseCustomer for `customer`, whom its stored answer does not name any more."""
    failed = sum(bool(account.error) for account in result.accounts)
    states = types_pb2.CloneBatch
    done = states.STATE_PARTIALLY_FAILED if failed else states.STATE_SUCCEEDED
    batch = types_pb2.CloneBatch(
        operation=states.OPERATION_ERASE,
        state=states.STATE_PENDING if result.preview else done,
        total_count=len(result.accounts),
        succeeded_count=0 if result.preview else len(result.accounts) - failed,
        failed_count=failed,
        create_time=messages.timestamp(result.create_time_us),
        end_time=messages.timestamp(result.end_time_us),
    )
    return pb.EraseCustomerResponse(
        batch=batch,
        clone_count=result.clone_count,
        charge_count=result.charge_count,
        items=[_erased_on(index, account, customer, result) for index, account in enumerate(result.accounts)],
        kept=result.kept,
    )


def _erased_on(
    index: int, account: results.AccountErased, customer: str, result: results.CustomerErased
) -> types_pb2.CloneBatchItem:
    states = types_pb2.CloneBatchItem
    done = states.STATE_FAILED if account.error else states.STATE_SUCCEEDED
    return types_pb2.CloneBatchItem(
        index=index,
        platform_customer_id=customer,
        connected_account_id=account.connected_account_id,
        state=states.STATE_PENDING if result.preview else done,
        error=status.status_of(errors.decode(account.error)) if account.error else None,
    )


def charged(result: results.ChargeMade) -> pb.CreateChargeResponse:
    """Response of CreateCharge; the only place, with CloneAndCharge's, that hands out a client_secret."""
    return pb.CreateChargeResponse(charge=messages.charge(result.charge, with_secret=True))


def cloned_and_charged(result: results.CloneCharged) -> pb.CloneAndChargeResponse:
    """Response of CloneAndCharge; empty for validate_only."""
    return pb.CloneAndChargeResponse(
        clone=None if result.clone is None else clone(result.clone),
        charge=None if result.charge is None else messages.charge(result.charge, with_secret=True),
        reused=result.reused,
    )


_LOOKUP_STATES = {
    values.RequestState.RUNNING: pb.REQUEST_STATE_RUNNING,
    values.RequestState.SUCCEEDED: pb.REQUEST_STATE_SUCCEEDED,
    values.RequestState.FAILED: pb.REQUEST_STATE_FAILED,
    # The call was answered with `error`, which says how to go on; only the same request_id takes it up again.
    values.RequestState.PARKED: pb.REQUEST_STATE_FAILED,
    values.RequestState.INDETERMINATE: pb.REQUEST_STATE_INDETERMINATE,
}


def _succeeded(row: RequestRow) -> bool:
    return row.state is values.RequestState.SUCCEEDED


def looked_up(row: RequestRow | None) -> pb.LookupRequestResponse:
    """Response of LookupRequest; a request never seen is UNKNOWN, not an error."""
    if row is None:
        return pb.LookupRequestResponse(state=pb.REQUEST_STATE_UNKNOWN)
    return pb.LookupRequestResponse(
        state=_LOOKUP_STATES[row.state],
        method=f"{SERVICE}/{row.method}",
        clone_id=row.clone_id,
        charge_id=row.charge_id,
        batch_id=row.batch_id,
        refund_id=refund_id_of(row.request_id) if row.method == "RefundCharge" and _succeeded(row) else "",
        basket_id=basket_id_of(row.request_id) if row.method == "ChargeBasket" else "",
        error=status.status_of(errors.decode(row.error)) if row.error else None,
    )
