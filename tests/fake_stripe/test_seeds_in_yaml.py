"""A seed may be written as YAML, for people, or as JSON, for programs: the world is the same."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from fake_stripe import FakeStripe

SEED = """
accounts:
  - acct_bakery
calls:
  - {method: POST, path: /v1/customers, params: {email: ann@example.com, source: tok_visa}, as: ann}
  - {method: POST, path: /v1/tokens, account: acct_bakery, params: {customer: "${ann}"}, as: clone}
"""


def seed(url: str, body: bytes, content_type: str) -> dict[str, Any]:
    """POST /_fake/seed."""
    headers = {"Authorization": "Bearer sk_test_seed", "Content-Type": content_type}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/_fake/seed", body, headers)) as answer:
        made: dict[str, Any] = json.load(answer)
        return made


def test_a_yaml_seed_makes_what_its_json_makes() -> None:
    import yaml

    with FakeStripe() as fake:
        by_yaml = seed(fake.url, SEED.encode(), "application/yaml")
    with FakeStripe() as fake:
        by_json = seed(fake.url, json.dumps(yaml.safe_load(SEED)).encode(), "application/json")

    assert by_yaml.keys() == by_json.keys()
    assert "ann" in json.dumps(by_yaml)
    assert "tok_" in json.dumps(by_yaml)


@pytest.mark.parametrize("body", [b"a: [", b"- just a list", b"!!python/object/apply:os.getcwd []"])
def test_what_is_no_document_is_refused(body: bytes) -> None:
    with FakeStripe() as fake, pytest.raises(urllib.error.HTTPError) as refused:
        seed(fake.url, body, "application/yaml")

    with refused.value as answer:
        assert answer.code == 400
