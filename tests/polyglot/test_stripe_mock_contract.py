"""`fake-stripe --stateless` and Stripe's stripe-mock judge alike: what one takes the other takes, with the same object.

A corpus over all operations is sent to both. Where their verdicts differ, stripe_mock_differences.json must say why;
what it says and is not seen any more fails, too.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from fake_stripe.app import FakeStripe
from fake_stripe.openapi.catalog import catalog
from fake_stripe.wire import Request

from tests.polyglot.corpus import Asked, corpus
from tests.polyglot.stripe_mock import KEY, calling

DIFFERENCES = Path(__file__).with_name("stripe_mock_differences.json")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer comes to."""

    status: int
    kind: str
    """The object's type, or the error's."""
    message: str
    """Of an error; not compared, but it says what the difference is."""

    @property
    def compared(self) -> tuple[bool, int, str]:
        """Accepted or refused, status, type."""
        return self.status == 200, self.status, self.kind

    def __str__(self) -> str:
        text = f"{self.status} {self.kind} {self.message}".rstrip()
        return text.replace("\0", "NUL").replace("\n", " ")


def verdict(status: int, content: bytes) -> Verdict:
    try:
        body: Any = orjson.loads(content)
    except orjson.JSONDecodeError:
        return Verdict(status, "(not JSON)", "")
    if status == 200:
        return Verdict(status, str(body.get("object")), "")
    error = body.get("error", {})
    return Verdict(status, str(error.get("type")), str(error.get("message")))


def of_fake(fake: FakeStripe, asked: Asked) -> Verdict:
    headers = {b"authorization": f"Bearer {KEY}".encode()}
    encoded = asked.form.encode()
    if asked.method == "POST":
        headers[b"content-type"] = b"application/x-www-form-urlencoded"
        request = Request(asked.method, asked.path, headers=headers, body=encoded)
    else:
        request = Request(asked.method, asked.path, headers=headers, query=encoded)
    response = fake.handle(request)
    return verdict(response.status, response.body)


@dataclass(frozen=True, slots=True)
class Difference:
    """A kind of difference that is known, as stripe_mock_differences.json has it: patterns of both verdicts."""

    name: str
    mock: str
    fake: str
    reason: str
    asked: str = ".*"

    def covers(self, asked: Asked, mock: Verdict, fake: Verdict) -> bool:
        found = ((self.asked, asked), (self.mock, mock), (self.fake, fake))
        return all(re.fullmatch(pattern, str(one)) for pattern, one in found)


def known_differences() -> list[Difference]:
    return [Difference(**one) for one in json.loads(DIFFERENCES.read_text(encoding="utf-8"))]


def test_the_corpus_is_large_and_reaches_every_operation() -> None:
    requests = corpus()
    reached = Counter(
        found[0].id for asked in requests if (found := catalog().match(asked.method, asked.path)) is not None
    )

    assert len(requests) >= 3000
    assert set(reached) == {operation.id for operation in catalog().operations()}
    assert requests == corpus()


def test_no_two_known_differences_have_one_name() -> None:
    names = [one.name for one in known_differences()]

    assert names == list(dict.fromkeys(names))


def test_both_judge_alike_but_for_the_known_differences(stripe_mock: str) -> None:
    fake, known = FakeStripe(seed="contract", stateless=True), known_differences()
    seen: Counter[str] = Counter()
    unlisted: list[str] = []
    with calling(stripe_mock) as caller:
        for asked in corpus():
            mock, ours = verdict(*caller.send(asked.method, asked.path, asked.form)), of_fake(fake, asked)
            if mock.compared == ours.compared:
                seen["alike"] += 1
                continue
            name = next((one.name for one in known if one.covers(asked, mock, ours)), None)
            seen[name or "unlisted"] += 1
            if name is None:
                unlisted.append(f"{asked}\n  stripe-mock: {str(mock)[:300]}\n  fake_stripe: {str(ours)[:300]}")
    print(*(f"{count:5} {name}" for name, count in seen.most_common()), sep="\n")

    assert not unlisted, f"{len(unlisted)} unlisted differences:\n" + "\n".join(unlisted[:20])
    assert [one.name for one in known if one.name not in seen] == [], "not seen any more: take them off the list"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_comparison_sees_a_difference(stripe_mock: str, method: str) -> None:
    """The stateful double knows no customer of this name."""
    asked = Asked("least", method, "/v1/customers/customer_1", ())
    with calling(stripe_mock) as caller:
        mock = verdict(*caller.send(asked.method, asked.path, asked.form))

    assert (mock.compared, of_fake(FakeStripe(seed="contract"), asked).status) == ((True, 200, "customer"), 404)
