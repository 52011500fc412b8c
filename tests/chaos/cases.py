"""The workflows that the simulation goes through. A new one is one more entry of CASES.

A case is a conversation of one caller: its steps in order, each a request of its own made of the answers so far.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cloneservice_server.domain.commands import (
    AttachClone,
    AttachOptions,
    CancelCharge,
    CaptureCharge,
    ChargeOptions,
    CloneAndCharge,
    ClonePaymentMethod,
    Command,
    ConfirmCharge,
    CreateCharge,
    CreateSetup,
    NewCustomer,
    RefreshClone,
    RefundCharge,
    RevokeClone,
    SavePaymentMethod,
)
from cloneservice_server.domain.values import CaptureMethod, CloneReuse, Money

from tests.chaos.simulated_stripe import Saved

Answers = list[Any]
Step = Callable[[Saved, Answers], Command]

CHARGE = ChargeOptions(Money(1999, "USD"), Money(199, "USD"))
OTHER_CHARGE = ChargeOptions(Money(1234, "USD"), off_session=True)
AUTHORISATION = ChargeOptions(Money(5000, "USD"), capture_method=CaptureMethod.MANUAL)
DEFERRED = ChargeOptions(Money(2500, "USD"), defer_confirmation=True)
SHOPPER = NewCustomer(external_reference="shopper-1", email="shopper@example.com")


def _charge(saved: Saved, _: Answers) -> Command:
    return CloneAndCharge(saved.customer, saved.account, CHARGE, saved.card)


def _charge_default(saved: Saved, _: Answers) -> Command:
    return CloneAndCharge(saved.customer, saved.account, OTHER_CHARGE)


def _charge_once(saved: Saved, _: Answers) -> Command:
    return CloneAndCharge(saved.customer, saved.account, CHARGE, saved.card, one_shot=True)


def _charge_source(saved: Saved, _: Answers) -> Command:
    return CloneAndCharge(saved.legacy, saved.account, CHARGE, saved.source)


def _charge_token(saved: Saved, _: Answers) -> Command:
    return CloneAndCharge(saved.legacy, saved.account, CHARGE, saved.legacy_card)


def _charge_declining(saved: Saved, _: Answers) -> Command:
    return CloneAndCharge(saved.customer, saved.account, CHARGE, saved.declining)


def _clone(saved: Saved, _: Answers) -> Command:
    return ClonePaymentMethod(saved.customer, saved.account, saved.card)


def _clone_attached(saved: Saved, _: Answers) -> Command:
    return ClonePaymentMethod(saved.customer, saved.account, attach=AttachOptions(set_default=True))


def _attach(_: Saved, answers: Answers) -> Command:
    return AttachClone(answers[0].clone.clone_id)


def _charge_clone(_: Saved, answers: Answers) -> Command:
    return CreateCharge(answers[0].clone.clone_id, CHARGE)


def _authorise(saved: Saved, _: Answers) -> Command:
    return CloneAndCharge(saved.customer, saved.account, AUTHORISATION, saved.card)


def _capture_part(_: Saved, answers: Answers) -> Command:
    return CaptureCharge(answers[0].charge.charge_id, Money(4000, "USD"))


def _cancel(_: Saved, answers: Answers) -> Command:
    return CancelCharge(answers[0].charge.charge_id)


def _refund_part(_: Saved, answers: Answers) -> Command:
    return RefundCharge(answers[0].charge.charge_id, Money(1500, "USD"))


def _refund_rest(_: Saved, answers: Answers) -> Command:
    return RefundCharge(answers[0].charge.charge_id)


def _defer(saved: Saved, _: Answers) -> Command:
    return CloneAndCharge(saved.customer, saved.account, DEFERRED, saved.card)


def _confirm(_: Saved, answers: Answers) -> Command:
    return ConfirmCharge(answers[0].charge.charge_id)


def _clone_of_its_own(saved: Saved, _: Answers) -> Command:
    return ClonePaymentMethod(saved.customer, saved.account, saved.card, reuse=CloneReuse.NEVER, attach=AttachOptions())


def _refresh(_: Saved, answers: Answers) -> Command:
    return RefreshClone(answers[0].clone.clone_id)


def _revoke(_: Saved, answers: Answers) -> Command:
    return RevokeClone(answers[0].clone.clone_id)


def _save_card(saved: Saved, _: Answers) -> Command:
    return SavePaymentMethod(saved.loose_card, new_customer=SHOPPER, set_default=True)


def _save_token(saved: Saved, _: Answers) -> Command:
    return SavePaymentMethod(saved.loose_token, saved.legacy)


def _set_up(_: Saved, __: Answers) -> Command:
    return CreateSetup(new_customer=SHOPPER)


CASES: dict[str, tuple[Step, ...]] = {
    "CloneAndCharge": (_charge,),
    "CloneAndCharge of the default": (_charge_default,),
    "CloneAndCharge one-shot": (_charge_once,),
    "CloneAndCharge of a source": (_charge_source,),
    "CloneAndCharge by token": (_charge_token,),
    "CloneAndCharge declined": (_charge_declining,),
    "ClonePaymentMethod, AttachClone, CreateCharge": (_clone, _attach, _charge_clone),
    "ClonePaymentMethod attached, CreateCharge": (_clone_attached, _charge_clone),
    "CloneAndCharge manual, CaptureCharge, RefundCharge twice": (
        _authorise,
        _capture_part,
        _refund_part,
        _refund_rest,
    ),
    "CloneAndCharge manual, CancelCharge": (_authorise, _cancel),
    "CloneAndCharge deferred, ConfirmCharge": (_defer, _confirm),
    "ClonePaymentMethod, RefreshClone, RevokeClone": (_clone_of_its_own, _refresh, _revoke),
    "SavePaymentMethod": (_save_card,),
    "SavePaymentMethod by token": (_save_token,),
    "CreateSetup": (_set_up,),
}


@dataclass(slots=True)
class Conversation:
    """One caller on its way through the steps of a case."""

    name: str
    request_ids: tuple[str, ...]
    answers: Answers = field(default_factory=list)
    refused: bool = False
    """The last step was answered with a final error."""

    @property
    def over(self) -> bool:
        """Whether every step has its final answer, or one was refused for good."""
        return self.refused or len(self.answers) == len(self.request_ids)

    @property
    def request_id(self) -> str:
        """Of the step that is due."""
        return self.request_ids[len(self.answers)]

    def command(self, saved: Saved) -> Command:
        """Of the step that is due."""
        return CASES[self.name][len(self.answers)](saved, self.answers)

    def begin_again(self) -> None:
        """The caller repeats all its requests from the first on."""
        self.answers.clear()
        self.refused = False


def money_wanted(command: Command) -> tuple[str, Money] | None:
    """The account and the amount that a request takes or holds when it succeeds, or None if it does neither.

    Verbs on a charge act on what another request has charged, and a deferred charge is another request's to confirm.
    """
    if isinstance(command, CloneAndCharge) and not command.charge.defer_confirmation:
        return command.connected_account_id, command.charge.amount
    if isinstance(command, CreateCharge) and not command.charge.defer_confirmation:
        return "", command.charge.amount
    return None


def may_be_charged_by_another(command: Command) -> bool:
    """Whether money under this request's name may be another request's doing."""
    return isinstance(command, CloneAndCharge | CreateCharge) and command.charge.defer_confirmation
