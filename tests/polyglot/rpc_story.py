"""One proper request for every RPC of the contract, in an order in which each finds what it needs."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1 import types_pb2
from google.protobuf.message import Message

CUSTOMER, CARD, ACCOUNT, OTHER_ACCOUNT = "cus_1", "pm_1", "acct_1", "acct_2"
WEBHOOK_SECRET = "whsec_" + "0" * 24
USD = types_pb2.Money(minor_units=1999, currency_code="USD")
FEE = types_pb2.Money(minor_units=199, currency_code="USD")
CHARGE = pb.ChargeOptions(amount=USD, application_fee=FEE, description="a cake")


@dataclass(slots=True)
class Story:
    """The names of what was made so far."""

    clone_id: str = "cln_00000000-0000-5000-8000-000000000000"
    charge_id: str = "chg_00000000-0000-5000-8000-000000000000"
    batch_id: str = "bat_00000000-0000-5000-8000-000000000000"
    basket_id: str = "bsk_00000000-0000-5000-8000-000000000000"
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    """Of the last mutation."""

    def fresh(self) -> str:
        """A new request_id, remembered."""
        self.request_id = str(uuid.uuid4())
        return self.request_id

    def learn(self, answer: Any) -> None:
        """Take the ids out of an answer."""
        for name in ("clone", "charge", "batch", "basket"):
            made = getattr(answer, name, None)
            if isinstance(made, Message) and (found := getattr(made, f"{name}_id")):
                setattr(self, f"{name}_id", found)


Ask = Callable[[Story], Message]


def _mutation(kind: Any, *named: str, **fixed: Any) -> Ask:
    """A request with a fresh request_id, the ids named, and the rest as given."""
    return lambda story: kind(request_id=story.fresh(), **{name: getattr(story, name) for name in named}, **fixed)


def _reading(kind: Any, *named: str, **fixed: Any) -> Ask:
    return lambda story: kind(**{name: getattr(story, name) for name in named}, **fixed)


def _event() -> Message:
    """A signed webhook that changes nothing."""
    event = {"id": "evt_1", "object": "event", "type": "customer.updated", "account": ACCOUNT, "livemode": False}
    customer = {"id": "cus_unknown", "object": "customer"}
    payload = json.dumps({**event, "created": int(time.time()), "data": {"object": customer}}).encode()
    at = int(time.time())
    signature = hmac.new(WEBHOOK_SECRET.encode(), f"{at}.".encode() + payload, hashlib.sha256).hexdigest()
    return pb.HandleStripeEventRequest(payload=payload, signature=f"t={at},v1={signature}")


_PAIR = {"platform_customer_id": CUSTOMER, "platform_payment_method_id": CARD, "connected_account_id": ACCOUNT}

STORY: dict[str, Ask] = {
    "CreateSetup": _mutation(pb.CreateSetupRequest, platform_customer_id=CUSTOMER),
    "SavePaymentMethod": _mutation(
        pb.SavePaymentMethodRequest, platform_customer_id=CUSTOMER, platform_payment_method_id=CARD, set_default=True
    ),
    "ListPlatformPaymentMethods": _reading(pb.ListPlatformPaymentMethodsRequest, platform_customer_id=CUSTOMER),
    "ClonePaymentMethod": _mutation(pb.ClonePaymentMethodRequest, **_PAIR),
    "AttachClone": _mutation(pb.AttachCloneRequest, "clone_id"),
    "GetClone": _reading(pb.GetCloneRequest, "clone_id"),
    "ListClones": _reading(pb.ListClonesRequest, platform_customer_id=CUSTOMER),
    "CreateCharge": _mutation(pb.CreateChargeRequest, "clone_id", charge=CHARGE),
    "GetCharge": _reading(pb.GetChargeRequest, "charge_id", refresh=True),
    "ConfirmCharge": _mutation(pb.ConfirmChargeRequest, "charge_id", return_url="https://shop.example/back"),
    "CaptureCharge": _mutation(pb.CaptureChargeRequest, "charge_id"),
    "RefundCharge": _mutation(pb.RefundChargeRequest, "charge_id"),
    "CancelCharge": _mutation(pb.CancelChargeRequest, "charge_id"),
    "CloneAndCharge": _mutation(
        pb.CloneAndChargeRequest, **{**_PAIR, "connected_account_id": OTHER_ACCOUNT}, charge=CHARGE
    ),
    "ChargeBasket": _mutation(
        pb.ChargeBasketRequest,
        platform_customer_id=CUSTOMER,
        platform_payment_method_id=CARD,
        legs=[
            pb.BasketLegOptions(connected_account_id=account, amount=USD, application_fee=FEE)
            for account in (ACCOUNT, OTHER_ACCOUNT)
        ],
    ),
    "GetBasket": _reading(pb.GetBasketRequest, "basket_id"),
    "ListCharges": _reading(pb.ListChargesRequest, platform_customer_id=CUSTOMER),
    "ListRefunds": _reading(pb.ListRefundsRequest, "charge_id"),
    "LookupRequest": _reading(pb.LookupRequestRequest, "request_id"),
    "RefreshClone": _mutation(pb.RefreshCloneRequest, "clone_id"),
    "RevokeClone": _mutation(pb.RevokeCloneRequest, "clone_id"),
    "CreateCloneBatch": _mutation(
        pb.CreateCloneBatchRequest, operation=types_pb2.CloneBatch.OPERATION_CLONE, open=pb.CloneBatchOpen()
    ),
    "AddCloneBatchItems": _mutation(
        pb.AddCloneBatchItemsRequest,
        "batch_id",
        # The second one fails: its customer has no default payment method.
        pairs=pb.CloneBatchPairs(
            pairs=[
                pb.CloneBatchPair(**_PAIR),
                pb.CloneBatchPair(platform_customer_id="cus_2", connected_account_id=ACCOUNT),
            ]
        ),
        seal=True,
    ),
    "WatchCloneBatch": _reading(pb.WatchCloneBatchRequest, "batch_id"),
    "GetCloneBatch": _reading(pb.GetCloneBatchRequest, "batch_id"),
    "ListCloneBatches": _reading(pb.ListCloneBatchesRequest),
    "ListCloneBatchItems": _reading(pb.ListCloneBatchItemsRequest, "batch_id"),
    "RetryCloneBatch": _mutation(pb.RetryCloneBatchRequest, "batch_id"),
    "CancelCloneBatch": _mutation(pb.CancelCloneBatchRequest, "batch_id"),
    "EraseCustomer": _mutation(pb.EraseCustomerRequest, platform_customer_id=CUSTOMER),
    "HandleStripeEvent": lambda _: _event(),
}
"""RPC to its request; a test holds it to the contract's list."""

BEFORE = {"CancelCloneBatch": "CreateCloneBatch"}
"""RPC to the one that is asked once more before it, for something in the right state."""
