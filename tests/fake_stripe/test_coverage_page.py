"""The page in the docs lists every operation and how it is answered, as the code has it now."""

from __future__ import annotations

from pathlib import Path

from fake_stripe import coverage

PAGE = Path(__file__).resolve().parents[2] / "docs" / "fake-stripe-coverage.md"


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8").strip() == coverage.as_markdown().strip()


def test_every_operation_of_the_document_is_answered() -> None:
    found = coverage.report()

    assert found["total"] >= 594
    assert {entry["fidelity"] for entry in found["operations"]} == {"modelled", "fixture"}
