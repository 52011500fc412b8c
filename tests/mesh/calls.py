"""Calls as a service of any language makes them: plain stubs, no retries of their own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1 import types_pb2
from cloneservice.v1.clone_service_pb2_grpc import CloneServiceStub

from tests.stripe_http import StripeHttp


@contextmanager
def stub(
    port: int, credentials: grpc.ChannelCredentials | None = None, name: str = "envoy.cluster.local"
) -> Iterator[CloneServiceStub]:
    """A stub whose channel repeats nothing by itself, so that what is repeated is Envoy's doing."""
    target = f"127.0.0.1:{port}"
    options = [("grpc.enable_retries", 0), ("grpc.ssl_target_name_override", name)]
    channel = (
        grpc.insecure_channel(target, options[:1])
        if credentials is None
        else grpc.secure_channel(target, credentials, options)
    )
    with channel:
        yield CloneServiceStub(channel)


def shopper(stripe: StripeHttp) -> pb.CloneAndChargeRequest:
    """A new shopper with a saved card, about to pay a new seller 19.99 dollars."""
    customer, _ = stripe.saved_card()
    return purchase(customer, stripe.connected_account())


def purchase(customer: str, account: str) -> pb.CloneAndChargeRequest:
    """The shopper's next purchase."""
    amount = types_pb2.Money(minor_units=1999, currency_code="USD")
    return pb.CloneAndChargeRequest(
        request_id=str(uuid.uuid4()),
        platform_customer_id=customer,
        connected_account_id=account,
        charge=pb.ChargeOptions(amount=amount),
    )
