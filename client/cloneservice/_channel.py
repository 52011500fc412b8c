"""How the client reaches the service: target, encryption, channel options, metadata, deadlines."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import grpc

from cloneservice._calls.call import Call

SERVICE = "cloneservice.v1.CloneService"
DEFAULT_TARGET = "localhost:50051"
DEFAULT_TIMEOUT_S = 30.0
"""For a unary RPC that the service config gives none: no call is ever sent without a deadline."""
MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""Of a response or a request: a batch of 10,000 items or a page of 200 stay well below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Certificates, as PEM bytes. All None: the system's (or gRPC's own) roots, and no client certificate."""

    root_certificates: bytes | None = None
    """Who may vouch for the server."""
    private_key: bytes | None = field(default=None, repr=False)
    """The client's key, for mutual TLS."""
    certificate_chain: bytes | None = None
    """The client's certificate, for mutual TLS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """All that a channel is made from.

    Raises:
        ValueError: `insecure` together with `tls` or `credentials`.
    """

    target: str = DEFAULT_TARGET
    """host:port, or any gRPC name (dns:///..., ipv4:..., unix:...)."""
    tls: Tls | bool = False
    """True for the system's roots. Without it, TLS is still the default beyond this machine."""
    credentials: grpc.ChannelCredentials | None = None
    """Takes the place of `tls` where certificates alone do not do."""
    insecure: bool = False
    """Plain text to another machine. Only where something else encrypts: a mesh, a tunnel."""
    token: str | Callable[[], str] | None = field(default=None, repr=False)
    """Bearer token, or a function that gives the present one, asked before each try."""
    metadata: Sequence[tuple[str, str]] = ()
    """Sent with each call."""
    options: Sequence[tuple[str, Any]] = ()
    """gRPC channel options, over the client's own."""

    def __post_init__(self) -> None:
        if self.insecure and (self.tls or self.credentials is not None):
            raise ValueError("insecure excludes tls and credentials")

    def channel_credentials(self) -> grpc.ChannelCredentials | None:
        """What to encrypt with; None for plain text, which needs `insecure` or a target on this machine."""
        if self.credentials is not None:
            return self.credentials
        if isinstance(self.tls, Tls):
            return grpc.ssl_channel_credentials(
                self.tls.root_certificates, self.tls.private_key, self.tls.certificate_chain
            )
        if self.tls or not (self.insecure or is_loopback(self.target)):
            return grpc.ssl_channel_credentials()
        return None

    def channel_options(self) -> list[tuple[str, Any]]:
        """The client's channel options, then the caller's, which win."""
        ours: dict[str, Any] = {
            "grpc.service_config": service_config(),
            "grpc.enable_retries": 1,
            # A dead connection is noticed in 40 s, also under a silent watch; below what servers take for abuse.
            "grpc.keepalive_time_ms": 30_000,
            "grpc.keepalive_timeout_ms": 10_000,
            "grpc.keepalive_permit_without_calls": 0,
            "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
            "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
        }
        return list((ours | dict(self.options)).items())

    def call_metadata(self) -> tuple[tuple[str, str], ...]:
        """Metadata of one try."""
        token = self.token() if callable(self.token) else self.token
        bearer = (("authorization", f"Bearer {token}"),) if token else ()
        return (*self.metadata, *bearer)


def is_loopback(target: str) -> bool:
    """Whether a gRPC target can only be on this machine."""
    scheme, _, rest = target.partition(":")
    if scheme in ("unix", "unix-abstract"):
        return True
    named = scheme in ("dns", "ipv4", "ipv6")
    address = rest.rpartition("/")[2] if named else target  # dns:///host, dns://authority/host
    host = address[1:].partition("]")[0] if address.startswith("[") else address
    if host.count(":") == 1:
        host = host.partition(":")[0]
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def service_config() -> str:
    """The service config that all languages share, as JSON."""
    return resources.files("cloneservice").joinpath("service_config.json").read_text(encoding="utf-8")


def default_timeouts() -> Mapping[str, float]:
    """Seconds for each method by its name, and under "" for the others, from the service config."""
    timeouts = {"": DEFAULT_TIMEOUT_S}
    for entry in json.loads(service_config())["methodConfig"]:
        seconds = float(entry["timeout"].removesuffix("s")) if "timeout" in entry else DEFAULT_TIMEOUT_S
        timeouts.update({name.get("method", ""): seconds for name in entry["name"]})
    return timeouts


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a call may take, with all its tries.

    grpcio enforces the service config's timeout on this side but does not send it (measured with 1.85), so the client
    passes it on each call: the server must know how long it has.
    """

    timeout_s: float | None = None
    """The client's own, for every call."""
    by_method: Mapping[str, float] = field(default_factory=default_timeouts)

    def seconds_for(self, call: Call[Any]) -> float:
        """The call's own limit, else the client's, else the service config's."""
        for seconds in (call.timeout_s, self.timeout_s, self.by_method.get(call.method)):
            if seconds is not None:
                return seconds
        return self.by_method[""]
