"""Places are shared by queues in turn, so that a long batch does not keep a short one waiting."""

from __future__ import annotations

import asyncio

import pytest
from cloneservice_server.workflows.turns import Turns


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_queues_take_turns_whatever_their_length() -> None:
    turns, began = Turns(1), []

    async def work(queue: str) -> None:
        async with turns.turn(queue):
            began.append(queue)
            await asyncio.sleep(0)

    await asyncio.gather(*(work("long") for _ in range(6)), *(work("short") for _ in range(2)))

    assert began == ["long", "long", "short", "long", "short", "long", "long", "long"]


async def test_no_more_than_the_places_are_held() -> None:
    turns, held, most = Turns(3), 0, 0

    async def work(queue: str) -> None:
        nonlocal held, most
        async with turns.turn(queue):
            held += 1
            most = max(most, held)
            await asyncio.sleep(0)
            held -= 1

    await asyncio.gather(*(work(str(number % 4)) for number in range(30)))

    assert (most, held) == (3, 0)


async def test_a_place_is_not_lost_with_who_waited_for_it() -> None:
    turns = Turns(1)

    async def hold() -> None:
        async with turns.turn("queue"):
            await asyncio.Event().wait()

    first = asyncio.create_task(hold())
    waiting = [asyncio.create_task(hold()) for _ in range(2)]
    await settle()
    waiting[0].cancel()
    first.cancel()
    await settle()
    waiting[1].cancel()
    await settle()

    async with asyncio.timeout(1), turns.turn("queue"):
        pass
    with pytest.raises(asyncio.CancelledError):
        await waiting[1]
