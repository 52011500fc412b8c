"""Random, mutilated and oversized messages to every RPC: a status for each, no crash, nothing unforeseen.

`make fuzz` runs ten thousand seeds.
"""

from __future__ import annotations

import grpc
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1.clone_service_pb2_grpc import CloneServiceStub
from cloneservice_server.app import App

from tests import fuzz_rpc

SEEDS = 300


async def test_hostile_messages_get_a_status_and_nothing_unforeseen_happens() -> None:
    ends, wrong = await fuzz_rpc.run(1_000_000, SEEDS)

    assert wrong == []
    assert sum(ends.values()) == SEEDS
    assert {"OK", "INVALID_ARGUMENT", "UNAUTHENTICATED"} <= set(ends)  # they got everywhere


async def test_bytes_that_are_no_message_are_an_invalid_request(app: App) -> None:
    async with grpc.aio.insecure_channel(str(app.address)) as channel:
        method = fuzz_rpc._method("CloneAndCharge")
        codes = [
            (await fuzz_rpc.strike(channel, fuzz_rpc.Attack(method, body, ())))[0]
            for body in (b"\xff", b"\x0a\x02\xff\xfe", b"\x0b" * 5000)
        ]
        listed = await CloneServiceStub(channel).ListClones(pb.ListClonesRequest())

    assert codes == [grpc.StatusCode.INVALID_ARGUMENT] * 3
    assert listed == pb.ListClonesResponse()
