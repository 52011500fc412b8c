"""`fake-stripe`: serve the double, replay a session against one, show what it models."""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fake_stripe.app import FakeStripe
    from fake_stripe.server import Server

DEFAULT_PORT = 12111


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0 when all went well, 2 for a mistake in the command."""
    parser = _parser()
    options = parser.parse_args(_as_stripe_mock_spells(list(sys.argv[1:] if argv is None else argv)))
    if options.command is None:
        parser.print_help()
        return 2
    try:
        return int(options.run(options))
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fake-stripe", description="A Stripe double that knows Connect.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve the double", description="Serve the double over HTTP and HTTPS.")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serve.add_argument("--port", "--http-port", type=int, default=None, help=f"HTTP port, 0 for any ({DEFAULT_PORT})")
    serve.add_argument("--https-port", type=int, default=None, help="HTTPS port, 0 for a free one (none)")
    for scheme in ("http", "https"):
        text = f"{scheme.upper()} address, as stripe-mock takes it"
        serve.add_argument(f"--{scheme}-addr", type=_address, metavar="HOST:PORT", help=text)
    serve.add_argument("--cert", help="PEM certificate for HTTPS (default: a self-signed one, made by openssl)")
    serve.add_argument("--key", help="PEM key of that certificate")
    serve.add_argument("--seed", help="make all ids reproducible")
    serve.add_argument("--stateless", action="store_true", help="answer as stripe-mock does: any id exists")
    serve.add_argument("--max-worlds", type=int, default=10_000, help="worlds held at once (default: %(default)s)")
    serve.add_argument("--journal", type=int, default=1000, help="calls remembered per world (default: %(default)s)")
    serve.add_argument("--quiet", action="store_true", help="say nothing but failures")
    serve.set_defaults(run=_serve)
    replay = commands.add_parser("replay", help="send recorded calls again", description="Send recorded calls again.")
    replay.add_argument("file", help="a journal from GET /_fake/journal, or a .jsonl recording")
    replay.add_argument("--base-url", help="a running double (default: one in this process)")
    replay.add_argument("--api-key", default="sk_test_replay", help="key of the world to replay into")
    replay.set_defaults(run=_replay)
    coverage = commands.add_parser("coverage", help="list operations and how they are answered")
    coverage.add_argument("--json", action="store_true", help="as JSON")
    coverage.add_argument("--markdown", action="store_true", help="as a Markdown page")
    coverage.set_defaults(run=_coverage)
    return parser


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.removeprefix("[").removesuffix("]") or "127.0.0.1", int(port or 0)


def _as_stripe_mock_spells(arguments: list[str]) -> list[str]:
    """Take stripe-mock's `-http-port 12111` for `--http-port 12111`; its flags alone mean `serve`."""
    known = ("-http-port", "-https-port", "-port", "-http-addr", "-https-addr")
    spelt = ["-" + word if word.split("=")[0] in known else word for word in arguments]
    return ["serve", *spelt] if spelt != arguments and "serve" not in spelt else spelt


def _serve(options: argparse.Namespace) -> int:
    logging.basicConfig(level=logging.WARNING if options.quiet else logging.INFO, format="%(levelname)s %(message)s")
    if options.http_addr:
        options.host, options.port = options.http_addr
    if options.https_addr:
        options.host, options.https_port = options.https_addr
    from fake_stripe.live import live_configuration  # noqa: PLC0415 - --help need not load the double

    danger = live_configuration(os.environ, [str(value) for value in vars(options).values()])
    if danger:
        print(f"fake-stripe: refusing to start: {danger}", file=sys.stderr)
        return 2
    from fake_stripe.app import FakeStripe  # noqa: PLC0415 - --help need not load the double
    from fake_stripe.server import new_event_loop  # noqa: PLC0415 - as above

    app = FakeStripe(
        seed=options.seed, stateless=options.stateless, max_worlds=options.max_worlds, journal_size=options.journal
    )
    loop = new_event_loop()
    try:
        return loop.run_until_complete(_listen(app, options))
    finally:
        loop.close()


async def _listen(app: "FakeStripe", options: argparse.Namespace) -> int:
    from fake_stripe.server import Server  # noqa: PLC0415 - see _serve

    server = Server(app)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        if options.port is not None or options.https_port is None:
            port = await server.listen(options.host, DEFAULT_PORT if options.port is None else options.port)
            _say(f"fake-stripe serves http://{_shown(options.host)}:{port}", options)
        if options.https_port is not None:
            port = await _listen_tls(server, options)
            _say(f"fake-stripe serves https://{_shown(options.host)}:{port}", options)
    except _StartError as problem:
        print(f"fake-stripe: {problem}", file=sys.stderr)
        return 2
    except OSError as problem:
        print(f"fake-stripe: cannot listen on {options.host}: {problem}", file=sys.stderr)
        return 2
    ticking = asyncio.get_running_loop().create_task(server.tick())
    await stop.wait()
    ticking.cancel()
    await server.close()
    return 0


class _StartError(Exception):
    pass


async def _listen_tls(server: "Server", options: argparse.Namespace) -> int:
    from fake_stripe.certificate import NoCertificateError, context_of  # noqa: PLC0415 - only for HTTPS

    try:
        context = context_of(options.cert, options.key)
    except NoCertificateError as problem:
        raise _StartError(str(problem)) from problem
    return await server.listen_tls(options.host, options.https_port, context)


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _say(text: str, options: argparse.Namespace) -> None:
    if not options.quiet:
        print(text, flush=True)


def _replay(options: argparse.Namespace) -> int:
    from fake_stripe.replaying import replay_file  # noqa: PLC0415 - only this command needs it

    return replay_file(options.file, options.base_url, options.api_key)


def _coverage(options: argparse.Namespace) -> int:
    from fake_stripe.coverage import as_json, as_markdown, as_text  # noqa: PLC0415 - only this command needs it

    print(as_json() if options.json else as_markdown() if options.markdown else as_text())
    return 0
