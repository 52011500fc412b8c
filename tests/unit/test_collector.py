"""The collector of cycles looks seldom while the server serves, and never at what the start has made."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from cloneservice_server import collector


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def test_what_the_start_has_made_is_left_out_of_every_later_look() -> None:
    made: list[list[int]] = [[] for _ in range(10)]

    collector.look_seldom()

    watched = {id(one) for one in gc.get_objects()}
    assert {id(one) for one in made} & watched == set()


def test_a_cycle_that_a_call_leaves_behind_is_still_collected() -> None:
    collector.look_seldom()
    freed: list[str] = []

    class Kept:
        itself: object = None

        def __del__(self) -> None:
            freed.append("freed")

    one = Kept()
    one.itself = one
    del one
    gc.collect()

    assert gc.isenabled()
    assert freed == ["freed"]
