"""The double's README is short, and its links lead somewhere; tests/docs_code runs its code."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "fake_stripe" / "README.md").read_text(encoding="utf-8")


def test_it_is_short_enough_to_read() -> None:
    assert len(README.splitlines()) <= 250


def test_its_links_lead_somewhere() -> None:
    linked = [target for target in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in target]

    assert linked
    assert [target for target in linked if not (ROOT / "fake_stripe" / target).exists()] == []
