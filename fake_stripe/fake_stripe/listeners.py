"""Where `fake-stripe serve` listens: its own flags and stripe-mock's, as one list of listeners."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

DEFAULT_PORT = 12111
DEFAULT_HTTPS_PORT = 12112

_STRIPE_MOCK_FLAGS = frozenset(
    {
        *(f"-{scheme}{what}" for scheme in ("http", "https") for what in ("", "-port", "-addr", "-unix")),
        *("-port", "-unix", "-fixtures", "-spec", "-strict-version-check", "-verbose", "-version"),
    }
)


@dataclass(frozen=True, slots=True)
class Listener:
    """One socket to listen on.

    Attributes:
        secure: HTTPS, else HTTP.
        port: 0 takes a free one.
        path: of a Unix socket instead of host and port.
        asked: it was asked for, not a default: that it cannot be had is an error.
    """

    secure: bool
    host: str = "127.0.0.1"
    port: int = 0
    path: str | None = None
    asked: bool = True


def add_flags(serve: argparse.ArgumentParser) -> None:
    """Declare the flags that say where to listen."""
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serve.add_argument("--port", "--http-port", type=_port, default=None, help=f"HTTP port, 0 for any ({DEFAULT_PORT})")
    serve.add_argument("--https-port", type=_port, default=None, help="HTTPS port, 0 for a free one (none)")
    for scheme in ("http", "https"):
        text = f"{scheme.upper()} address, as stripe-mock takes it"
        serve.add_argument(f"--{scheme}-addr", type=_address, metavar="HOST:PORT", help=text)
        serve.add_argument(f"--{scheme}-unix", metavar="PATH", help=f"Unix socket for {scheme.upper()}")
        serve.add_argument(f"--{scheme}", action="store_true", help=argparse.SUPPRESS)
    serve.add_argument("--unix", dest="http_unix", help=argparse.SUPPRESS)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.removeprefix("[").removesuffix("]") or "127.0.0.1", _port(port or "0")


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 0 to 65535, 0 for a free one")
    return int(text)


def as_stripe_mock_spells(arguments: list[str]) -> list[str]:
    """Take stripe-mock's `-http-port 12111` for `--http-port 12111`; its flags alone mean `serve`."""
    spelt = ["-" + word if word.split("=")[0] in _STRIPE_MOCK_FLAGS else word for word in arguments]
    return ["serve", *spelt] if spelt != arguments and "serve" not in spelt else spelt


def listeners(options: argparse.Namespace, environment: Mapping[str, str]) -> list[Listener]:
    """What to listen on. Without any such flag: HTTP on 12111; with --stateless also HTTPS on 12112, as stripe-mock."""
    found = [*_http(options), *_https(options)]
    if found:
        return found
    if options.stateless and environment.get("PORT", "").isdecimal():
        return [Listener(secure=False, host=options.host, port=int(environment["PORT"]))]
    plain = Listener(secure=False, host=options.host, port=DEFAULT_PORT)
    if not options.stateless:
        return [plain]
    return [plain, Listener(secure=True, host=options.host, port=DEFAULT_HTTPS_PORT, asked=False)]


def _http(options: argparse.Namespace) -> list[Listener]:
    if options.http_unix:
        return [Listener(secure=False, path=options.http_unix)]
    if options.http_addr:
        return [Listener(secure=False, host=options.http_addr[0], port=options.http_addr[1])]
    port = options.port
    if options.https and not options.http:
        return []  # `-https -port 12112`: the port is that of HTTPS
    if port is None and options.http:
        port = DEFAULT_PORT
    return [] if port is None else [Listener(secure=False, host=options.host, port=port)]


def _https(options: argparse.Namespace) -> list[Listener]:
    if options.https_unix:
        return [Listener(secure=True, path=options.https_unix)]
    if options.https_addr:
        return [Listener(secure=True, host=options.https_addr[0], port=options.https_addr[1])]
    port = options.https_port
    if port is None and options.https:
        port = DEFAULT_HTTPS_PORT if options.http or options.port is None else options.port
    return [] if port is None else [Listener(secure=True, host=options.host, port=port)]
