"""Stripe's SDK for Node runs the cloning flows, 3DS, a refund and webhook verification against the double.

Needs `node`, and `npm install` once in tests/fake_stripe/node.
"""

import shutil
import subprocess
from pathlib import Path

import orjson
import pytest
from fake_stripe.app import FakeStripe

HERE = Path(__file__).parent / "node"
SELLER = "acct_1SellerSellerSel1"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(
    NODE is None or not (HERE / "node_modules" / "stripe").is_dir(),
    reason="needs node and `npm install` in tests/fake_stripe/node",
)


@pytest.fixture(scope="module")
def came() -> dict[str, dict[str, object]]:
    """What the flows of flows.mjs came to."""
    with FakeStripe(api_key="sk_test_node_flows") as fake:
        fake.world().connect(SELLER)
        command = [str(NODE), str(HERE / "flows.mjs"), fake.url, fake.api_key, SELLER]
        ran = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr.decode()
    shown: dict[str, dict[str, object]] = orjson.loads(ran.stdout)
    return shown


def test_a_payment_method_is_cloned_attached_and_charged(came: dict[str, dict[str, object]]) -> None:
    assert came["paymentMethod"] == {"fresh": True, "bare": True, "status": "succeeded"}


def test_a_legacy_card_is_cloned_as_a_single_use_token(came: dict[str, dict[str, object]]) -> None:
    assert came["token"] == {"status": "succeeded", "again": "token_already_used"}


def test_a_source_is_cloned_and_saved(came: dict[str, dict[str, object]]) -> None:
    assert came["source"] == {"isDefault": True}


def test_a_payment_goes_on_once_its_shopper_is_authenticated(came: dict[str, dict[str, object]]) -> None:
    assert came["threeDSecure"] == {"asked": "requires_action", "back": True, "paid": "succeeded"}


def test_a_direct_charge_is_refunded_once(came: dict[str, dict[str, object]]) -> None:
    assert came["refund"] == {"status": "succeeded", "amount": 1250, "again": "charge_already_refunded"}


def test_a_webhook_of_the_connected_account_is_verified_and_a_forged_one_is_not(
    came: dict[str, dict[str, object]],
) -> None:
    assert came["webhook"] == {
        "type": "customer.created",
        "account": True,
        "same": True,
        "forged": "StripeSignatureVerificationError",
    }
