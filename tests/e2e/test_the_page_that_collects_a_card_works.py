"""docs/examples/collect.py as a test: a browser's steps through the page, 3-D Secure included."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    """The address of the running example."""
    command = [sys.executable, "docs/examples/collect.py"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        yield running.stdout.readline().split()[1].rstrip("/")
        running.terminate()


def fetch(url: str, body: bytes | None = None) -> tuple[str, str]:
    """(body, final address) of a page, redirects followed."""
    with urllib.request.urlopen(urllib.request.Request(url, body), timeout=30) as answer:
        return answer.read().decode(), answer.url


@pytest.mark.parametrize("card", ["pm_card_visa", "pm_card_threeDSecure2Required"])
def test_a_card_saved_on_the_page_is_charged_at_both_sellers(shop: str, card: str) -> None:
    page, _ = fetch(f"{shop}/")
    assert card in page
    secret = json.loads(fetch(f"{shop}/setup", b"{}")[0])["clientSecret"]

    asked = json.dumps({"clientSecret": secret, "card": card}).encode()
    redirect = json.loads(fetch(f"{shop}/confirm", asked)[0])["redirect"]

    told, address = fetch(redirect or f"{shop}/done")
    if redirect:
        action = re.search(r'action="([^"]+)"', told)
        assert action is not None
        target = urllib.parse.urljoin(address, action[1].replace("&amp;", "&"))
        told, address = fetch(target, b"outcome=succeeded")
    assert address.startswith(f"{shop}/done")
    assert bool(redirect) == (card != "pm_card_visa")
    assert "Saved: visa" in told
    assert "bakery: 12.50 USD" in told
