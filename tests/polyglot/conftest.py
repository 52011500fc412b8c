"""stripe-mock, where `make stripe-mock` has built it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.polyglot.stripe_mock import running


@pytest.fixture(scope="session")
def stripe_mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a running stripe-mock."""
    binary = os.environ.get("STRIPE_MOCK")
    if not binary:
        pytest.skip("needs stripe-mock: run `make stripe-mock`, which builds it with Go")
    with running(Path(binary), tmp_path_factory.mktemp("stripe-mock") / "log") as url:
        yield url
