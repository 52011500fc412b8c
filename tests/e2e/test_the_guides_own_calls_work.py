"""The calls of Stripe's legacy cloning guide, as anybody would type them, against `fake-stripe serve`."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

KEY = "sk_test_guide"
# $1 and so on are ids out of earlier answers: what a reader of the guide fills in by hand.
SAVE = "curl https://api.stripe.com/v1/customers -u {key}: -d source=tok_mastercard"
TOKEN = "curl https://api.stripe.com/v1/tokens -u {key}: -d customer={customer} -H 'Stripe-Account: {account}'"
CONNECTED = "curl https://api.stripe.com/v1/customers -u {key}: -d source={token} -H 'Stripe-Account: {account}'"
CHARGE = (
    "curl https://api.stripe.com/v1/payment_intents -u {key}: -d customer={connected} -d payment_method={card}"
    " -d amount=999 -d currency=usd -d 'payment_method_types[]=card' -d confirm=true -H 'Stripe-Account: {account}'"
)
ACCOUNT = "curl https://api.stripe.com/v1/accounts -u {key}: -d type=standard -d country=US"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    command = [sys.executable, "-m", "fake_stripe", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        yield served.stdout.readline().split()[-1]
        served.terminate()


def typed(command: str, url: str, **ids: str) -> dict[str, object]:
    """What the command prints, with Stripe's address replaced by the double's."""
    words = shlex.split(command.format(key=KEY, **ids).replace("https://api.stripe.com", url))
    ran = subprocess.run([words[0], "--silent", *words[1:]], capture_output=True, text=True, check=True)
    answered: dict[str, object] = json.loads(ran.stdout)
    assert "error" not in answered, answered
    return answered


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl, as the guide does")
def test_the_guide_ends_in_a_succeeded_payment(url: str) -> None:
    account = str(typed(ACCOUNT, url)["id"])
    customer = str(typed(SAVE, url)["id"])
    token = str(typed(TOKEN, url, customer=customer, account=account)["id"])
    connected = typed(CONNECTED, url, token=token, account=account)
    card = str(connected["default_source"])
    paid = typed(CHARGE, url, connected=str(connected["id"]), card=card, account=account)

    assert card.startswith("card_")
    assert (paid["status"], paid["amount_received"]) == ("succeeded", 999)
