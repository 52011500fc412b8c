"""docs/stripe-mock.md: what CloneService does on Stripe's stateless mock, and where fake_stripe differs from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "stripe-mock.md"
DIFFERENCES = Path(__file__).with_name("stripe_mock_differences.json")

CANNOT: dict[str, str] = {
    "CreateCharge": "its PaymentIntent is never paid: every confirmation answers the same fixture",
    "CloneAndCharge": "its PaymentIntent is never paid; flows, declines and 3-D Secure do not exist",
    "GetCharge": "the state at Stripe is that of a fixture",
    "ConfirmCharge": "its PaymentIntent is never paid, so there is nothing to confirm again",
    "CaptureCharge": "its PaymentIntents are never authorised; the call itself passes its validator",
    "RefundCharge": "its PaymentIntents are never paid; the call itself passes its validator",
    "CancelCharge": "its PaymentIntents stay as they are; the call itself passes its validator",
    "ChargeBasket": "no leg is ever authorised, so the basket is given up; the calls pass its validator",
    "GetBasket": "no basket was answered whose name could be asked for",
    "EraseCustomer": "a customer is still there when it is looked for after its deletion; the calls pass its validator",
    "RefreshClone": "what it reads belongs to no customer, so every original looks removed",
    "ListPlatformPaymentMethods": "lists a fixture, not what was saved",
}
"""RPC to what a stateless mock cannot answer. Every RPC that does not plainly answer must be here."""

NOT_IN_THE_DOCUMENT: dict[str, str] = {
    "payment_method_data[card][token]": "the documented way to pay with a token (one-shot Token clones); Stripe takes "
    "it, its OpenAPI document has no such member",
}
"""Parameters of ours that stripe-mock's validator refuses although they are right, and why."""

HEAD = """\
# On stripe-mock

Stripe's own [stripe-mock](https://github.com/stripe/stripe-mock) checks requests against Stripe's OpenAPI document and
answers from fixtures: any id exists, nothing is remembered. `make stripe-mock` builds a pinned version, starts it, and

- sends every RPC's proper request, and an empty one, through a server with `--stripe http://...`,
- sends it each call that all three flows make, which its validator takes without a complaint (one exception below),
- sends 3,500 requests over all operations to it and to `fake-stripe --stateless`, and compares the verdicts.

This page is written by those tests.

## Every RPC

| RPC | with a proper request | what a stateless mock cannot answer |
|---|---|---|
"""

TAIL = """
What stripe-mock cannot answer is tested on fake_stripe, which remembers: `tests/e2e`.

## What its validator does not know

| parameter of ours | |
|---|---|
{unknown}

## Where the verdicts differ

Accepted or refused, status, type of the object or error; all other requests of the corpus are judged alike.

| difference | reason |
|---|---|
"""


def page(outcomes: Mapping[str, str]) -> str:
    """The page for what each RPC came to. Raises KeyError for one that does not answer and is not explained."""
    rows = [f"| {rpc} | {outcome} | {_cannot(rpc, outcome)} |" for rpc, outcome in outcomes.items()]
    known = json.loads(DIFFERENCES.read_text(encoding="utf-8"))
    reasons = [f"| {one['name']} | {one['reason']} |" for one in known]
    unknown = "\n".join(f"| `{name}` | {why} |" for name, why in NOT_IN_THE_DOCUMENT.items())
    return HEAD + "\n".join(rows) + "\n" + TAIL.format(unknown=unknown) + "\n".join(reasons) + "\n"


def _cannot(rpc: str, outcome: str) -> str:
    if outcome == "not served":
        return "this version does not serve it"
    return CANNOT.get(rpc, "") if outcome.startswith("answers") else CANNOT[rpc]
