"""Hostile messages by seed, for every RPC: what a seed makes, and a run over many of them (`make fuzz`).

A server must answer each with a status, never crash, never hang, and say INTERNAL only with an error_id that its log
knows. Seeds are reproducible: `python -m tests.fuzz_rpc --first 4711 --seeds 1`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice_server.access.tokens import new_token
from cloneservice_server.app import build_app
from cloneservice_server.clock import SystemClock
from cloneservice_server.ledger import open_ledger
from cloneservice_server.ports import Refused
from cloneservice_server.settings import load
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from tests.working_stripe import WorkingStripe

METHODS = list(pb.DESCRIPTOR.services_by_name["CloneService"].methods)
REQUEST_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
WORDS = [
    *("", "cus_1", "acct_1", "pm_1", "cln_1", "chg_1", "bat_1", "tok_1", "src_1", "usd", "EUR", REQUEST_ID),
    *("../../etc/passwd", "cus_1/../../accounts", "' OR 1=1 --", "${jndi:ldap://x}", "\0", "a\nb: c", "\u202e"),
    *("😀" * 50, "%00%0a", "NaN", "-1", "1e309", "<script>", "cus_1?expand[]=x", "acct_1&amount=1", "\ufeff"),
    "cus_" + "x" * 10_000,
]
PLAUSIBLE = {
    "platform_customer_id": "cus_p",
    "platform_payment_method_id": "pm_p",
    "connected_account_id": "acct_1",
    "clone_id": "cln_1",
    "charge_id": "chg_1",
    "batch_id": "bat_1",
    "basket_id": "bsk_1",
    "platform_customer_ids": "cus_p",
    "connected_account_ids": "acct_1",
    "signature": "t=1,v1=00",
    "seconds": 1_700_000_000,
    "nanos": 0,
    "currency_code": "usd",
    "minor_units": 1099,
    "return_url": "https://shop.test",
    "page_token": "",
    "etag": "",
}
"""With these a message gets past validation, often enough for its other fields to be read."""
NUMBERS = [0, 1, -1, 99_999_999, 100_000_000, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63), 1099]
METADATA = ["authorization", "traceparent", "x-forwarded-client-cert", "x-request-id", "idempotent-replayed", "x-any"]
FINE = {code for code in grpc.StatusCode if code not in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)}


@dataclass(frozen=True, slots=True)
class Attack:
    """One call."""

    method: Any
    body: bytes
    metadata: tuple[tuple[str, str], ...]


def attack(seed: int, token: str = "") -> Attack:
    """The call that `seed` makes; most carry `token`, so that they get further than the door."""
    rng = random.Random(seed)
    method = rng.choice(METHODS)
    message = GetMessageClass(method.input_type)()
    _fill(message, rng, 0, polite=rng.random() < 0.6)
    body = rng.choice(SPOILERS)(message.SerializeToString(), rng)
    metadata = [(name, _header(rng)) for name in METADATA if rng.random() < 0.1]
    if rng.random() < 0.9:
        metadata = [("authorization", f"Bearer {token}"), *(pair for pair in metadata if pair[0] != "authorization")]
    return Attack(method, body, tuple(metadata))


def _fill(message: Message, rng: random.Random, depth: int, *, polite: bool) -> None:
    for field in message.DESCRIPTOR.fields:
        needed = polite and (field.name in PLAUSIBLE or field.name in ("request_id", "charge", "amount"))
        if rng.random() < (0.03 if needed else 0.35 if depth or polite else 0.15):
            continue
        for _ in range(rng.choice([1, 1, 2, 40]) if field.is_repeated else 1):
            _set(message, field, rng, depth, polite=polite)


def _set(message: Message, field: Any, rng: random.Random, depth: int, *, polite: bool) -> None:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        words = ["k", "plain"] if polite and rng.random() < 0.9 else WORDS
        getattr(message, field.name)[rng.choice(words)] = rng.choice(words)
    elif field.message_type is not None:
        child = getattr(message, field.name)
        child = child.add() if field.is_repeated else child
        if not field.is_repeated:
            child.SetInParent()
        if depth < 6:
            _fill(child, rng, depth + 1, polite=polite)
    elif field.is_repeated:
        getattr(message, field.name).append(_value(field, rng, polite=polite))
    else:
        setattr(message, field.name, _value(field, rng, polite=polite))


def _value(field: Any, rng: random.Random, *, polite: bool) -> Any:
    kinds = FieldDescriptor
    if polite and field.name in PLAUSIBLE and rng.random() < 0.97:
        return PLAUSIBLE[field.name]
    if field.name == "request_id" and rng.random() < (0.97 if polite else 0.7):
        return f"{rng.getrandbits(32):08x}-d9cb-469f-a165-{rng.randrange(50):012x}"
    if field.cpp_type == kinds.CPPTYPE_STRING:
        text = "plain" if polite and rng.random() < 0.9 else rng.choice(WORDS)
        return text.encode() if field.type == kinds.TYPE_BYTES else text
    if field.cpp_type == kinds.CPPTYPE_BOOL:
        return rng.random() < 0.5
    if field.cpp_type == kinds.CPPTYPE_ENUM:
        return rng.choice([0, 1, 2, 3, *(() if polite else (99, -1))])
    number = 7 if polite and rng.random() < 0.9 else rng.choice(NUMBERS)
    return number if field.cpp_type == kinds.CPPTYPE_INT64 else max(-(2**31), min(number, 2**31 - 1))


def _header(rng: random.Random) -> str:
    text = rng.choice([*WORDS, "URI=spiffe://x," * 50, 'URI="', "Bearer ", "00-" + "f" * 32 + "-" + "f" * 16 + "-01"])
    return "".join(character for character in text[:500] if " " <= character <= "~")


# ------------------------------------------------------------------------------------------ bytes that are no message


def _as_it_is(raw: bytes, _: random.Random) -> bytes:
    return raw


def _flipped(raw: bytes, rng: random.Random) -> bytes:
    spoilt = bytearray(raw or b"\0")
    for _ in range(rng.randint(1, 8)):
        spoilt[rng.randrange(len(spoilt))] = rng.randrange(256)
    return bytes(spoilt)


def _cut(raw: bytes, rng: random.Random) -> bytes:
    return raw[: rng.randrange(len(raw) + 1)]


def _random(_: bytes, rng: random.Random) -> bytes:
    return rng.randbytes(rng.choice([0, 1, 10, 1000, 100_000]))


def _not_utf8(raw: bytes, rng: random.Random) -> bytes:
    return raw + bytes([(rng.randint(1, 12) << 3) | 2, 4]) + b"\xff\xfe\xc3\x28"


def _nested(_raw: bytes, rng: random.Random) -> bytes:
    """Messages in messages, or groups in groups, far deeper than any decoder goes."""
    depth, field = rng.choice([50, 101, 5000]), rng.randint(1, 12)
    if rng.random() < 0.5:
        return bytes([(field << 3) | 3]) * depth + bytes([(field << 3) | 4]) * depth
    body = b""
    for _ in range(min(depth, 300)):
        body = bytes([(field << 3) | 2]) + _varint(len(body)) + body
    return body


def _many(raw: bytes, rng: random.Random) -> bytes:
    """The same map entry or text, thousands of times."""
    entry = b"\x0a\x01k\x12\x01" + bytes([rng.randrange(97, 123)])
    return raw + (bytes([(rng.randint(1, 12) << 3) | 2]) + _varint(len(entry)) + entry) * rng.choice([10, 5000])


def _long(raw: bytes, rng: random.Random) -> bytes:
    """A text of megabytes; some beyond what a message may have."""
    size = rng.choice([100_000, 1_000_000, 4_000_000, 5_000_000]) if rng.random() < 0.05 else 10_000
    return raw + bytes([(rng.randint(1, 12) << 3) | 2]) + _varint(size) + b"a" * size


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append((number & 127) | 128)
        number >>= 7
    return bytes([*out, number])


SPOILERS: list[Callable[[bytes, random.Random], bytes]] = [
    *(_as_it_is,) * 6,
    *(_flipped, _cut, _random, _not_utf8, _nested, _many, _long),
]


# ------------------------------------------------------------------------------------------------------------- running


class Faults(logging.Handler):
    """error_ids in the log."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.error_ids: dict[str, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, str] = getattr(record, "fields", {})
        text = logging.Formatter().formatException(record.exc_info) if record.exc_info else record.getMessage()
        self.error_ids[fields.get("error_id", f"without id: {record.getMessage()}")] = text


@asynccontextmanager
async def target(folder: Path) -> AsyncIterator[tuple[Any, str, Faults]]:
    """(channel, token, faults) of a server with a policy and tokens, on a Stripe that knows half of what is asked."""
    token, line = new_token("fuzzer")
    (folder / "tokens").write_text(line)
    (folder / "policy").write_text(
        "version: 1\ncallers: {fuzzer: {identities: ['token:fuzzer'], rpcs: '*', accounts: '*', max_amount: unlimited}}"
    )
    flags = {
        "listen": "127.0.0.1:0",
        "ledger": "sqlite://:memory:",
        "token_file": str(folder / "tokens"),
        "policy_file": str(folder / "policy"),
        "trusted_proxy": "loopback",
    }
    settings, clock, stripe = load(flags, {"STRIPE_API_KEY": "sk_test_fuzz"}), SystemClock(), WorkingStripe()
    missing = Refused(404, "invalid_request_error", "resource_missing", "No such thing")
    rules = stripe._rules[:]
    for verb in ("GET", "POST", "DELETE"):
        stripe.on(verb, r"/v1/.*", missing)
    stripe._rules[:] = [*rules, *stripe._rules[: -len(rules)]]  # whatever WorkingStripe does not know is not there
    app = build_app(settings, gateway=stripe, ledger=open_ledger(settings.ledger, clock), clock=clock)
    faults = Faults()
    logger = logging.getLogger("cloneservice")
    logger.addHandler(faults)
    await app.start()
    try:
        async with grpc.aio.insecure_channel(str(app.address)) as channel:
            yield channel, token, faults
    finally:
        await app.stop(0)
        logger.removeHandler(faults)


async def strike(channel: Any, one: Attack) -> tuple[grpc.StatusCode, str]:
    """(code, error_id) of one attack; the first message of a stream is enough."""
    path = f"/{one.method.containing_service.full_name}/{one.method.name}"
    try:
        if one.method.server_streaming:
            call = channel.unary_stream(path)(one.body, metadata=one.metadata, timeout=30)
            await call.read()
            call.cancel()
        else:
            await channel.unary_unary(path)(one.body, metadata=one.metadata, timeout=30)
    except grpc.aio.AioRpcError as error:
        return error.code(), _error_id(error)
    return grpc.StatusCode.OK, ""


def _error_id(error: grpc.aio.AioRpcError) -> str:
    info = error_details_pb2.ErrorInfo()
    status = rpc_status.from_call(error)
    if status is not None and status.details and status.details[0].Unpack(info):
        return str(info.metadata.get("error_id", ""))
    return ""


async def run(first: int, seeds: int) -> tuple[Counter[str], list[str]]:
    """How the attacks ended, and what went wrong."""
    ends: Counter[str] = Counter()
    wrong: list[str] = []
    with TemporaryDirectory() as folder:
        async with target(Path(folder)) as (channel, token, faults):
            for seed in range(first, first + seeds):
                code, error_id = await strike(channel, attack(seed, token))
                ends[code.name] += 1
                if code not in FINE:
                    wrong.append(f"seed {seed}: {code.name} {faults.error_ids.get(error_id, 'without an error_id')}")
            still = await strike(
                channel, Attack(_method("GetClone"), b"\x0a\x05cln_1", (("authorization", f"Bearer {token}"),))
            )
            if still[0] is not grpc.StatusCode.NOT_FOUND:
                wrong.append(f"the server does not serve any more: {still}")
    wrong += [f"in the log: {text}" for text in faults.error_ids.values()]
    return ends, wrong


def _method(name: str) -> Any:
    return next(method for method in METHODS if method.name == name)


def main() -> int:
    """`python -m tests.fuzz_rpc`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=10_000)
    given = parser.parse_args()
    ends, wrong = asyncio.run(run(given.first, given.seeds))
    print(f"{given.seeds} seeds from {given.first}: {dict(ends.most_common())}")
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
