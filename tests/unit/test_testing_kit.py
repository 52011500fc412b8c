"""`cloneservice.testing`: a service of its own for every test of a caller, from pytest, unittest or asyncio."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from cloneservice import CardDeclined, ChargeState, Money
from cloneservice.testing import SELLERS, SHOPPERS, LocalCloneService

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[2]
AMOUNT = Money(1999, "USD")
REGISTERED = "cloneservice" in {found.name for found in entry_points(group="pytest11")}
if not REGISTERED:  # a source tree that is not installed
    pytest_plugins.append("cloneservice_server.pytest_plugin")


def test_a_test_has_a_service_a_seller_and_a_shopper(clone_service: LocalCloneService) -> None:
    with clone_service.client() as client:
        done = client.clone_and_charge(clone_service.customers["pays"], clone_service.accounts["bakery"], AMOUNT)

    assert done.charge.state is ChargeState.SUCCEEDED
    (event,) = clone_service.stripe.events("charge.succeeded")
    assert event["account"] == clone_service.accounts["bakery"]


def test_every_seeded_shopper_does_as_its_name_says(clone_service: LocalCloneService) -> None:
    account = clone_service.accounts["florist"]
    with clone_service.client() as client:
        asked = client.clone_and_charge(
            clone_service.customers["must_authenticate"], account, AMOUNT, return_url="https://shop.example/back"
        )
        with pytest.raises(CardDeclined):
            client.clone_and_charge(clone_service.customers["is_declined"], account, AMOUNT)

    assert asked.charge.state is ChargeState.REQUIRES_ACTION
    assert (set(clone_service.accounts), set(clone_service.customers)) == (set(SELLERS), set(SHOPPERS))


def test_a_lost_answer_of_stripe_can_be_scripted(clone_service: LocalCloneService) -> None:
    confirm = {"method": "POST", "path": "/v1/payment_intents/{intent}/confirm"}
    clone_service.stripe.fault("commit_then_drop", match=confirm)
    with clone_service.client() as client:
        done = client.clone_and_charge(clone_service.customers["pays"], clone_service.accounts["bakery"], AMOUNT)

    assert done.charge.state is ChargeState.SUCCEEDED
    assert len(clone_service.stripe.events("charge.succeeded")) == 1


def test_two_services_know_nothing_of_each_other() -> None:
    with LocalCloneService() as one, LocalCloneService() as other, one.client() as client, other.client() as stranger:
        client.clone_and_charge(one.customers["pays"], one.accounts["bakery"], AMOUNT)

        assert len(list(client.list_charges(platform_customer_id=one.customers["pays"]))) == 1
        assert list(stranger.list_charges(platform_customer_id=other.customers["pays"])) == []


async def test_an_asyncio_test_calls_it_from_its_own_loop(
    clone_service: LocalCloneService, caplog: pytest.LogCaptureFixture
) -> None:
    """gRPC's asyncio loops in two threads share one poller; a version in which they quarrel must be noticed here."""
    customer, account = clone_service.customers["pays"], clone_service.accounts["bakery"]
    async with clone_service.async_client() as client:
        charges = (client.clone_and_charge(customer, account, AMOUNT) for _ in range(20))
        done = await asyncio.gather(*charges)

    assert {one.charge.state for one in done} == {ChargeState.SUCCEEDED}
    assert [message for message in caplog.messages if "PollerCompletionQueue" in message] == []


def test_a_service_that_does_not_run_says_so() -> None:
    with pytest.raises(RuntimeError, match="call start"):
        LocalCloneService().client()


def test_the_fixture_is_there_without_being_imported(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_it(clone_service, fake_stripe):
            assert clone_service.target.startswith("127.0.0.1:")
            assert clone_service.stripe.api_key == fake_stripe.api_key
        """
    )
    plugins = [] if REGISTERED else ["-p", "fake_stripe.pytest_plugin", "-p", "cloneservice_server.pytest_plugin"]
    pytester.runpytest_subprocess(*plugins, "-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_the_plugin_loads_nothing_until_it_is_asked() -> None:
    code = "import sys, cloneservice_server.pytest_plugin; print([m for m in ('grpc', 'stripe') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "server")

    assert done.stdout == "[]\n"


def test_what_is_missing_is_told_with_what_to_install() -> None:
    code = "import sys; sys.modules['stripe'] = None; import cloneservice.testing"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT / "client"
    )

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("pip install 'cloneservice[server,fake]'")
