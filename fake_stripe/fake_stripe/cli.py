"""`fake-stripe`: serve the double, replay a session against one, show what it models."""

import argparse
import asyncio
import contextlib
import errno
import gc
import logging
import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fake_stripe.command_line import Parser
from fake_stripe.extra import advice
from fake_stripe.listeners import Listener, add_flags, as_stripe_mock_spells, listeners

if TYPE_CHECKING:
    from fake_stripe.app import FakeStripe
    from fake_stripe.server import Server


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0 when all went well, 2 for a mistake in the command."""
    parser = _parser()
    options = parser.parse_args(as_stripe_mock_spells(list(sys.argv[1:] if argv is None else argv)))
    if options.command is None:
        parser.print_help()
        return 2
    if missing := advice():
        print(f"fake-stripe: {missing}", file=sys.stderr)
        return 1
    try:
        return int(options.run(options))
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="fake-stripe", description="A Stripe double that knows Connect.")
    parser.add_argument("--version", action=_Version, help="show the version and that of Stripe's API, and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve the double", description="Serve the double over HTTP and HTTPS.")
    add_flags(serve)
    serve.add_argument("--cert", help="PEM certificate for HTTPS (default: a self-signed one, made by openssl)")
    serve.add_argument("--key", help="PEM key of that certificate")
    serve.add_argument("--seed", help="make all ids reproducible")
    serve.add_argument("--stateless", action="store_true", help="answer as stripe-mock does: any id exists")
    serve.add_argument("--max-worlds", type=int, default=10_000, help="worlds held at once (default: %(default)s)")
    serve.add_argument("--journal", type=int, default=1000, help="calls remembered per world (default: %(default)s)")
    serve.add_argument("--strict-version-check", action="store_true", help="refuse any but the newest API version")
    serve.add_argument("--verbose", action="store_true", help="say each call and its status")
    for flag in ("--fixtures", "--spec"):
        serve.add_argument(flag, help=argparse.SUPPRESS)
    serve.add_argument("--quiet", action="store_true", help="say nothing but failures")
    serve.add_argument("--version", action=_Version, help=argparse.SUPPRESS)
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


class _Version(argparse.Action):
    """`--version`: worked out when it is asked for, since that loads the double."""

    def __init__(self, option_strings: Sequence[str], dest: str, **how: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **how)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        if missing := advice():
            parser.exit(1, f"{parser.prog}: {missing}\n")
        from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - see above

        from fake_stripe.world import NEWEST_VERSION  # noqa: PLC0415 - see above

        try:
            own = version("cloneservice")
        except PackageNotFoundError:  # the folder alone, as in the image
            own = "(not installed)"
        print(f"fake-stripe {own}, Stripe API {NEWEST_VERSION}")
        parser.exit()


def _serve(options: argparse.Namespace) -> int:
    logging.basicConfig(level=logging.WARNING if options.quiet else logging.INFO, format="%(levelname)s %(message)s")
    if options.fixtures or options.spec:
        print("fake-stripe: it answers by its own catalog; -fixtures and -spec are not supported", file=sys.stderr)
        return 2
    from fake_stripe.live import live_configuration  # noqa: PLC0415 - --help need not load the double

    danger = live_configuration(os.environ, [str(value) for value in vars(options).values()])
    if danger:
        print(f"fake-stripe: refusing to start: {danger}", file=sys.stderr)
        return 2
    from fake_stripe.app import FakeStripe  # noqa: PLC0415 - --help need not load the double
    from fake_stripe.server import new_event_loop  # noqa: PLC0415 - as above

    app = FakeStripe(
        seed=options.seed,
        stateless=options.stateless,
        strict_version=options.strict_version_check,
        max_worlds=options.max_worlds,
        journal_size=options.journal,
    )
    app.verbose = options.verbose
    loop = new_event_loop()
    try:
        return loop.run_until_complete(_listen(app, options))
    finally:
        loop.close()


async def _listen(app: "FakeStripe", options: argparse.Namespace) -> int:
    from fake_stripe.certificate import NoCertificateError  # noqa: PLC0415 - see _serve
    from fake_stripe.server import Server  # noqa: PLC0415 - see _serve

    server = Server(app)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    for listener in listeners(options, os.environ):
        try:
            _say(f"fake-stripe serves {await _opened(server, listener, options)}", options)
        except (NoCertificateError, OSError) as problem:
            if not listener.asked:
                _say(f"fake-stripe serves no HTTPS: {problem}", options)
                continue
            print(f"fake-stripe: {_why_not_listening(problem, listener)}", file=sys.stderr)
            await server.close()
            return 2
    # What worlds hold lives long and has no cycles: full looks for some would take longer the more there is.
    gc.freeze()
    gc.set_threshold(20_000, *gc.get_threshold()[1:])
    ticking = asyncio.get_running_loop().create_task(server.tick())
    await stop.wait()
    ticking.cancel()
    await server.close()
    return 0


def _why_not_listening(problem: Exception, listener: Listener) -> str:
    place = listener.path or f"{_shown(listener.host)}:{listener.port}"
    if isinstance(problem, OSError) and problem.errno == errno.EADDRINUSE:
        flag = "--https-port" if listener.secure else "--port"
        return f"{place} is taken: stop what listens there, or give another {flag} (0 takes a free one)"
    return f"cannot listen on {place}: {problem}"


async def _opened(server: "Server", listener: Listener, options: argparse.Namespace) -> str:
    """Listen; returns the address to show."""
    from fake_stripe.certificate import context_of  # noqa: PLC0415 - see _serve

    scheme, context = "http", None
    if listener.secure:
        scheme, context = "https", context_of(options.cert, options.key)
    if listener.path is not None:
        await server.listen_unix(listener.path, context)
        return f"{scheme}+unix://{listener.path}"
    if context is None:
        port = await server.listen(listener.host, listener.port)
    else:
        port = await server.listen_tls(listener.host, listener.port, context)
    return f"{scheme}://{_shown(listener.host)}:{port}"


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
