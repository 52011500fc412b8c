"""What a server listens with: gRPC's options and credentials, and who is let in. Read from settings, all at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import grpc
import grpc.aio
from cloneservice.v1 import clone_service_pb2 as pb

from cloneservice_server import tls
from cloneservice_server.access import policy, tokens
from cloneservice_server.access.policy import Amount, PolicyError
from cloneservice_server.access.tokens import TokenFileError, Tokens
from cloneservice_server.access.watched import Watched
from cloneservice_server.ports_batches import WholeLedger
from cloneservice_server.rpc.interceptors.access import Access, Find, Found
from cloneservice_server.settings import Settings, SettingsError, parse_address, webhook_secrets

_MESSAGE_BYTES = 4 * 1024 * 1024
_METADATA_BYTES = 16 * 1024
_PENDING_MAX = 20_000
_STREAMS_PER_CONNECTION = 1000


T = TypeVar("T")


class PortTaken(Exception):  # noqa: N818 - reads as what happened
    """The address cannot be listened on."""


def open_access(settings: Settings, ledger: WholeLedger) -> Access:
    """Who may call, from the files that `settings` name. Raises SettingsError."""
    problems: list[str] = []
    access = Access(
        policy=_watched("--policy-file", settings.policy_file, partial(policy.parse, rpcs=rpc_names()), problems),
        tokens=_watched("--token-file", settings.token_file, tokens.parse, problems),
        trusted_proxies=settings.trusted_proxies,
        resources=dict(_resources(ledger)),
    )
    if problems:
        raise SettingsError(problems)
    return access


def open_admin_tokens(settings: Settings) -> Watched[Tokens] | None:
    """The tokens of those who may see the admin page; None when there is no page. Raises SettingsError."""
    problems: list[str] = []
    found = _watched("--admin-token-file", settings.admin_token_file, tokens.parse, problems)
    if problems:
        raise SettingsError(problems)
    return found


def open_webhook_secrets(settings: Settings) -> Callable[[], tuple[str, ...]]:
    """The secrets of webhooks, asked for each delivery; a file that changes is read again. Raises SettingsError."""
    name, given = settings.stripe_webhook_secrets_file, settings.stripe_webhook_secrets
    try:
        if name:
            return Watched((Path(name),), webhook_secrets).current
        secrets = webhook_secrets(given) if given else ()
    except OSError as wrong:
        raise SettingsError([f"--stripe-webhook-secrets-file: cannot read {name}: {wrong.strerror}"]) from wrong
    except ValueError as wrong:
        where = "--stripe-webhook-secrets-file" if name else "STRIPE_WEBHOOK_SECRETS"
        raise SettingsError([f"{where}: {wrong}"]) from wrong
    return lambda: secrets


def rpc_names() -> list[str]:
    """RPCs of the contract."""
    return [method.name for method in pb.DESCRIPTOR.services_by_name["CloneService"].methods]


def _watched(flag: str, name: str, parse: Callable[[bytes], T], problems: list[str]) -> Watched[T] | None:
    if not name:
        return None
    try:
        return Watched((Path(name),), parse)
    except OSError as wrong:
        problems.append(f"{flag}: cannot read {name}: {wrong.strerror}")
    except PolicyError as wrong:
        problems.extend(f"{flag}: {name}: {problem}" for problem in wrong.problems)
    except TokenFileError as wrong:
        problems.append(f"{flag}: {name}: {wrong}")
    return None


def _resources(ledger: WholeLedger) -> Mapping[str, Find]:
    async def clone(clone_id: str) -> Found | None:
        found = await ledger.get_clone(clone_id)
        return None if found is None else Found((found.connected_account_id,))

    async def charge(charge_id: str) -> Found | None:
        found = await ledger.get_charge(charge_id)
        if found is None:
            return None
        return Found((found.connected_account_id,), (Amount(found.amount.minor_units, found.amount.currency_code),))

    async def basket(basket_id: str) -> Found | None:
        found = await ledger.get_basket(basket_id)
        return None if found is None else Found(tuple(leg.connected_account_id for leg in found.legs))

    async def batch(batch_id: str) -> Found | None:
        found = await ledger.get_batch(batch_id)
        return None if found is None else Found((), owner=found.caller)

    return {"clone": clone, "charge": charge, "basket": basket, "batch": batch}


def options(settings: Settings) -> list[tuple[str, int]]:
    """Limits of every connection."""
    found = [
        ("grpc.so_reuseport", int(settings.shared_port)),  # a taken port must be an error, not half of the traffic
        ("grpc.max_receive_message_length", _MESSAGE_BYTES),
        ("grpc.max_send_message_length", _MESSAGE_BYTES),
        ("grpc.max_metadata_size", _METADATA_BYTES),
        ("grpc.max_concurrent_streams", _STREAMS_PER_CONNECTION),
        # gRPC's core ends calls that it has not handed over yet as CANCELLED, at random above 1,000. Callers shall hear
        # SERVICE_OVERLOADED instead, which says that nothing was done.
        ("grpc.server.max_pending_requests", _PENDING_MAX),
        ("grpc.server.max_pending_requests_hard_limit", _PENDING_MAX),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.http2.min_ping_interval_without_data_ms", 30_000),
        ("grpc.keepalive_permit_without_calls", 1),
    ]
    if settings.max_connection_age_s:
        found.append(("grpc.max_connection_age_ms", settings.max_connection_age_s * 1000))
        found.append(("grpc.max_connection_age_grace_ms", settings.max_deadline_s * 1000))
    return found


def bind(server: grpc.aio.Server, settings: Settings, files: dict[str, Watched[Any]]) -> int:
    """Listen as `settings` say; returns the port. Adds what it follows to `files`. Raises PortTaken, SettingsError."""
    address = settings.address
    try:
        port = _add_port(server, settings, files)
    except RuntimeError as wrong:
        raise PortTaken(
            f"cannot listen on {address}: the port is taken or the address is not this machine's"
        ) from wrong
    if port == 0:
        raise PortTaken(f"cannot listen on {address}")
    return port


def _add_port(server: grpc.aio.Server, settings: Settings, files: dict[str, Watched[Any]]) -> int:
    address, tls_files = str(settings.address), settings.tls_files
    if tls_files is None:
        return server.add_insecure_port(address)
    try:
        watched = files["tls"] = tls.watch(tls_files)
    except tls.TlsError as wrong:
        raise SettingsError([f"--tls-cert-file: {wrong}"]) from wrong
    return server.add_secure_port(address, tls.credentials(watched, mutual=tls_files.client_ca is not None))


async def start_channelz(settings: Settings) -> tuple[grpc.aio.Server, int]:
    """GRPC's debugging service on a listener of its own, and the port of that. Raises PortTaken."""
    from grpc_channelz.v1 import channelz  # noqa: PLC0415 - not paid for when it is off

    address = parse_address(settings.channelz_listen, "--channelz-listen")
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    channelz.add_channelz_servicer(server)
    try:
        port = server.add_insecure_port(str(address))
    except RuntimeError as wrong:
        raise PortTaken(f"cannot listen on {address} (--channelz-listen)") from wrong
    await server.start()
    return server, port
