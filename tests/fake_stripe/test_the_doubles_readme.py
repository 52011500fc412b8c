"""The double's README is short, and its links lead somewhere; tests/docs_code runs its code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args, get_type_hints

from fake_stripe.faults import ACTS
from fake_stripe.policy import Policy

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "fake_stripe" / "README.md").read_text(encoding="utf-8")


def test_it_is_short_enough_to_read() -> None:
    assert len(README.splitlines()) <= 250


def test_its_links_lead_somewhere() -> None:
    linked = [target for target in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in target]

    assert linked
    assert [target for target in linked if not (ROOT / "fake_stripe" / target).exists()] == []


def test_it_names_every_policy_with_its_default_and_its_other_values() -> None:
    defaults, hints = Policy().as_dict(), get_type_hints(Policy)
    rows = dict(re.findall(r"^\| `(\w+)` \| (`.*)\|$", README, re.MULTILINE))
    assert rows.keys() >= defaults.keys()
    for name, default in defaults.items():
        first, *others = re.findall(r"`(\w+)`", rows[name])
        assert first == default
        assert {first, *others} == set(get_args(hints[name]))


def test_it_names_every_act_of_a_fault() -> None:
    named = set(re.findall(r"`(\w+)`", README)) | set(re.findall(r'"kind": "(\w+)"', README))
    assert set(ACTS) <= named
