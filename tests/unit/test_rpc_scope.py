"""What a request reaches is read off its descriptor, and what is not known reaches everywhere."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pytest
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1 import types_pb2
from cloneservice_server.access.policy import Amount
from cloneservice_server.rpc.interceptors.access import mutation_names
from cloneservice_server.rpc.scope import LISTED, MONEY_OF_CHARGE, PLATFORM, scope_of, unknown_ids
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

METHODS = {method.name: method for method in pb.DESCRIPTOR.services_by_name["CloneService"].methods}
USD = types_pb2.Money(minor_units=1099, currency_code="usd")


@pytest.mark.parametrize("rpc", sorted(METHODS))
def test_every_id_of_every_request_is_of_a_known_kind(rpc: str) -> None:
    """A new id field must be sorted in rpc/scope.py: does it lead to a connected account?"""
    assert list(unknown_ids(METHODS[rpc].input_type)) == []


def test_the_lists_of_rpcs_name_rpcs_that_exist() -> None:
    assert (PLATFORM | LISTED | MONEY_OF_CHARGE) - set(METHODS) == set()


def test_accounts_amounts_and_resources_are_found() -> None:
    scope = scope_of(
        "CloneAndCharge",
        pb.CloneAndChargeRequest(
            connected_account_id="acct_1", charge=pb.ChargeOptions(amount=USD, application_fee=USD)
        ),
    )

    assert (scope.accounts, scope.amounts, scope.resources, scope.everywhere) == (
        ["acct_1"],
        [Amount(1099, "USD")],
        [],
        False,
    )
    assert scope_of("CreateCharge", pb.CreateChargeRequest(clone_id="cln_1")).resources == [("clone", "cln_1")]


def test_every_account_of_a_batch_is_found() -> None:
    pairs = pb.CloneBatchPairs(pairs=[pb.CloneBatchPair(connected_account_id=f"acct_{n}") for n in (1, 2)])
    cross = pb.CloneBatchCrossProduct(connected_account_ids=["acct_3", "acct_4"])

    assert scope_of("CreateCloneBatch", pb.CreateCloneBatchRequest(pairs=pairs)).accounts == ["acct_1", "acct_2"]
    assert scope_of("CreateCloneBatch", pb.CreateCloneBatchRequest(cross_product=cross)).accounts == [
        "acct_3",
        "acct_4",
    ]


@pytest.mark.parametrize("rpc", sorted(set(METHODS) - PLATFORM - LISTED))
def test_a_request_that_names_nothing_reaches_everywhere(rpc: str) -> None:
    assert scope_of(rpc, message_factory.GetMessageClass(METHODS[rpc].input_type)()).everywhere


def test_a_list_does_not_look_at_the_clone_that_it_is_filtered_by() -> None:
    assert scope_of("ListCharges", pb.ListChargesRequest(clone_id="cln_1")).resources == []


def test_the_mutations_are_those_with_a_request_id_and_the_webhook() -> None:
    assert mutation_names() >= {"CloneAndCharge", "RefundCharge", "EraseCustomer", "HandleStripeEvent"}
    assert mutation_names().isdisjoint({"LookupRequest", "GetClone", "ListClones", "WatchCloneBatch"})


@lru_cache
def future_request() -> Any:
    """A request of a release to come: a basket, and an id of a kind that nobody here has heard of."""
    kind = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="future.proto", package="future", syntax="proto3")
    file.dependency.append("cloneservice/v1/types.proto")
    line, request = file.message_type.add(name="Line"), file.message_type.add(name="Request")
    line.field.add(name="connected_account_id", number=1, type=kind.TYPE_STRING)
    line.field.add(name="amount", number=2, type=kind.TYPE_MESSAGE, type_name=".cloneservice.v1.Money")
    request.field.add(
        name="lines", number=1, type=kind.TYPE_MESSAGE, type_name=".future.Line", label=kind.LABEL_REPEATED
    )
    request.field.add(name="vault_id", number=2, type=kind.TYPE_STRING)
    pool = descriptor_pool.Default()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("future.Request"))


def test_every_line_of_a_basket_is_found() -> None:
    request = future_request()()
    for account, amount in (("acct_1", 100), ("acct_2", 999)):
        request.lines.add(connected_account_id=account).amount.minor_units = amount
        request.lines[-1].amount.currency_code = "eur"

    scope = scope_of("ChargeBasket", request)

    assert (scope.accounts, scope.amounts, scope.everywhere) == (
        ["acct_1", "acct_2"],
        [Amount(100, "EUR"), Amount(999, "EUR")],
        False,
    )


def test_an_id_of_an_unknown_kind_reaches_everywhere() -> None:
    kind = future_request()
    request = kind(vault_id="vlt_1")
    request.lines.add(connected_account_id="acct_1")

    assert scope_of("ChargeBasket", request).everywhere
    assert list(unknown_ids(kind.DESCRIPTOR)) == ["Request.vault_id"]
