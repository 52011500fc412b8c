"""pytest fixture `clone_service`: a CloneService of its own for every test; see `cloneservice.testing`.

Registered with pytest by the package. It loads nothing until a test asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fake_stripe.sandbox import Sandbox

    from cloneservice_server.testing import LocalCloneService


@pytest.fixture
def clone_service(fake_stripe: Sandbox) -> Iterator[LocalCloneService]:
    """A running service on the world of the fixture `fake_stripe`, with two sellers and three shoppers."""
    try:
        from cloneservice.testing import LocalCloneService  # noqa: PLC0415 - runs that do not use it do not pay for it
    except ImportError as missing:
        pytest.fail(str(missing), pytrace=False)

    with LocalCloneService(fake_stripe.app, fake_stripe.api_key) as service:
        yield service
