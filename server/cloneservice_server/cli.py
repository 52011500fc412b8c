"""`cloneservice-server serve | dev | check | token | version | ledger ...`: one line for what goes wrong, no traceback.

Exit codes: 0 stopped in good order; 1 could not start or failed; 2 settings that cannot be used.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import logging
import os
import secrets
import signal
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from os import environ
from typing import TYPE_CHECKING, Any

from cloneservice_server import log_lines
from cloneservice_server.collector import look_seldom
from cloneservice_server.command_line import Parser, installed_version
from cloneservice_server.ledger_commands import add_ledger_commands
from cloneservice_server.operator_commands import add_operator_commands
from cloneservice_server.settings import LEDGER_OF_FAKE, Settings, SettingsError, load, mistyped, secrets_in

if TYPE_CHECKING:
    from cloneservice_server.app import App
    from fake_stripe import FakeStripe

_DEV = "dev"
"""World and seed of `dev`: the same ids on every start."""


class Failure(Exception):  # noqa: N818 - it is what the user is told
    """Something that ends the program with one line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if secrets_in(given):
        return _fail(
            "a key on the command line can be read by every user of this machine: if it is a real one, replace it at "
            "Stripe; give keys by STRIPE_API_KEY or --stripe-api-key-file",
            code=2,
        )
    parsed = _parser().parse_args(given)
    try:
        return int(parsed.run(parsed) or 0)
    except SettingsError as wrong:
        return _fail(*wrong.problems, code=2)
    except Failure as failure:
        return _fail(str(failure), code=1)
    except ModuleNotFoundError as missing:
        return _fail(_extra_for(missing), code=1)
    except BrokenPipeError:  # the reader (`head`) has seen enough; nothing may be written at exit either
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def _fail(*lines: str, code: int) -> int:
    for line in lines:
        print(f"cloneservice-server: {line}", file=sys.stderr)
    return code


def _extra_for(missing: ModuleNotFoundError) -> str:
    """What to install. A module of ours that is missing is a broken installation, whose traceback is wanted."""
    package = str(missing.name).partition(".")[0]
    if package in ("cloneservice", "cloneservice_server", "fake_stripe"):
        raise missing
    extra = {"asyncpg": "postgres", "opentelemetry": "otel"}.get(package, "server")
    return f"{package} is missing: install cloneservice with its extra `{extra}`, pip install 'cloneservice[{extra}]'"


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = Parser(
        prog="cloneservice-server",
        with_version=True,
        description="Clones saved payment details to Stripe connected accounts and charges them there, exactly once.",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    serve = commands.add_parser(
        "serve",
        help="serve the gRPC API",
        description="Serves the gRPC API. Each flag --x-y can be given as CLONESERVICE_X_Y in the environment, too. "
        "The Stripe key comes from STRIPE_API_KEY or --stripe-api-key-file.",
    )
    _add_settings(serve)
    serve.add_argument("--json", action="store_true", help="say where it listens as one JSON object")
    serve.set_defaults(run=_serve)
    _add_dev(commands)
    version = commands.add_parser("version", help="print the version")
    version.set_defaults(run=_version)
    add_ledger_commands(commands)
    add_operator_commands(commands, _add_settings)
    return parser


def _add_dev(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    dev = commands.add_parser(
        "dev",
        help="serve on an embedded Stripe double with seeded accounts and customers, for tests in any language",
        description="Serves on an embedded Stripe double with two connected accounts and three platform customers, and "
        "prints one JSON line when it takes calls: target, stripe, stripe_api_key, and the seeded ids by name. Nothing "
        "is kept. Stops on SIGTERM, or when its standard input is a pipe and is closed.",
    )
    dev.add_argument(
        "--listen", default="127.0.0.1:0", metavar="HOST:PORT", help="where to serve (default: a free port)"
    )
    dev.add_argument("--stripe-port", type=int, default=0, metavar="N", help="the double's port (default: a free one)")
    dev.add_argument("--log-level", default="warning", metavar="LEVEL", help="least level logged (default: warning)")
    dev.set_defaults(run=_dev)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    for setting in dataclasses.fields(Settings):
        if "help" not in setting.metadata:
            continue
        flag, text = f"--{setting.name.replace('_', '-')}", setting.metadata["help"]
        if str(setting.type).startswith("bool"):
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=text)
            continue
        if setting.metadata.get("many"):
            parser.add_argument(flag, action="append", metavar=_metavar(setting), help=text)
            continue
        default = f" (default {setting.default})" if setting.default != "" else ""
        parser.add_argument(flag, default=None, metavar=_metavar(setting), help=text + default)


def _metavar(setting: dataclasses.Field[Any]) -> str:
    choices = setting.metadata.get("choices")
    if choices:
        return "{" + ",".join(choices) + "}"
    return "N" if setting.type == "int" else str(setting.metadata["metavar"])


def _version(_: argparse.Namespace) -> None:
    print(f"cloneservice-server {installed_version()}")


def _serve(parsed: argparse.Namespace) -> None:
    settings = load(vars(parsed), environ)
    log_lines.configure(settings.log_format, settings.log_level)
    for advice in mistyped(environ):
        logging.getLogger("cloneservice.app").warning(advice)
    if settings.workers > 1:
        _supervise(settings, as_json=parsed.json)
        return
    with ExitStack() as resources:
        if settings.fake:
            settings = resources.enter_context(_embedded_fake(settings))
            shown = {"stripe_api_key": settings.stripe_api_key}  # of a world that ends with this process: no secret
        else:
            shown = {}
        worker = settings.shared_port  # whose supervisor reads its line, and holds its standard input
        _run(_serve_until_stopped(settings, shown, as_json=parsed.json or worker, until_input_ends=worker))


def _supervise(settings: Settings, *, as_json: bool) -> None:
    from cloneservice_server.workers import Supervisor, WorkerFailed  # noqa: PLC0415 - for --workers alone

    def announce(said: dict[str, Any]) -> None:
        if as_json:
            print(json.dumps(said), flush=True)
        else:
            print(f"listening on {said['target']} with {settings.workers} workers", flush=True)

    command = ["-m", "cloneservice_server", *_without_listeners(sys.argv[1:])]
    try:
        asyncio.run(Supervisor(settings, command, announce).run())
    except WorkerFailed as failed:
        raise Failure(str(failed)) from failed
    except OSError as taken:
        raise Failure(f"cannot listen on {settings.address}: {taken.strerror}") from taken


def _without_listeners(arguments: list[str]) -> list[str]:
    """A worker gets these from its supervisor, in the environment, which flags would win over."""
    kept: list[str] = []
    skip = False
    for argument in arguments:
        flag, equals, _ = argument.partition("=")
        if skip:
            skip = False
        elif flag in ("--listen", "--admin-listen", "--channelz-listen", "--workers"):
            skip = not equals
        else:
            kept.append(argument)
    return kept


def _dev(parsed: argparse.Namespace) -> None:
    if environ.get("STRIPE_API_KEY", "").strip().startswith(("sk_live_", "rk_live_")):
        raise SettingsError(["`dev` is for tests, and STRIPE_API_KEY holds a live key: unset it"])
    environ.setdefault("GRPC_VERBOSITY", "NONE")  # see _build
    fake_type = _fake_stripe()
    from cloneservice_server.testing import seed  # noqa: PLC0415 - needs the double

    if not 0 <= parsed.stripe_port <= 65_535:
        raise SettingsError([f"--stripe-port must be 0 to 65535, 0 for a free one, not {parsed.stripe_port}"])
    try:
        fake = fake_type(seed=_DEV, api_key=f"sk_test_{_DEV}").start(port=parsed.stripe_port)
    except OSError as taken:
        raise Failure(f"--stripe-port {parsed.stripe_port}: {taken.strerror or taken}") from taken
    with fake:
        flags = {"listen": parsed.listen, "log_level": parsed.log_level, "shutdown_grace_s": "1"}
        settings = load({**flags, "stripe": fake.url, "ledger": LEDGER_OF_FAKE}, {"STRIPE_API_KEY": fake.api_key})
        log_lines.configure(settings.log_format, settings.log_level)
        shown = {"stripe_api_key": fake.api_key, **dataclasses.asdict(seed(fake, fake.api_key))}
        _run(_serve_until_stopped(settings, shown, as_json=True, until_input_ends=True))


@contextmanager
def _embedded_fake(settings: Settings) -> Iterator[Settings]:
    """fake_stripe in a thread of this process, with a world of its own; settings that lead to it."""
    with _fake_stripe()() as fake:
        key = f"sk_test_{secrets.token_hex(12)}"
        yield dataclasses.replace(settings, stripe=fake.url, stripe_api_key=key)


def _fake_stripe() -> type[FakeStripe]:
    try:
        from fake_stripe import FakeStripe  # noqa: PLC0415 - for these commands alone
    except ImportError as missing:
        raise Failure(f"no embedded Stripe double: {missing}") from missing
    return FakeStripe


def _run(story: Any) -> None:
    try:
        import uvloop  # noqa: PLC0415 - there is none for Windows
    except ImportError:
        asyncio.run(story)
    else:
        uvloop.run(story)


async def _serve_until_stopped(
    settings: Settings, shown: dict[str, Any], *, as_json: bool, until_input_ends: bool = False
) -> None:
    app = _build(settings)
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    await _start(app)
    if until_input_ends:
        _watch_input(loop, asked)
    look_seldom()
    _announce(app, settings, shown, as_json=as_json)
    await asked.wait()
    await app.stop()


def _watch_input(loop: asyncio.AbstractEventLoop, asked: asyncio.Event) -> None:
    """Stop when the parent that feeds our standard input is gone, however it ended.

    A terminal or /dev/null feeds nothing: a server put into the background of a shell must not stop for that.
    """
    standard_input = 0
    mode = os.fstat(standard_input).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return

    def look() -> None:
        if not os.read(standard_input, 4096):
            loop.remove_reader(standard_input)
            asked.set()

    loop.add_reader(standard_input, look)


def _build(settings: Settings) -> App:
    environ.setdefault("GRPC_VERBOSITY", "NONE")  # gRPC's core would write its own line beside ours; read at import
    # Each of these costs more to import than the rest together; `version` and a bad flag answer without them.
    from cloneservice_server.app import build_app  # noqa: PLC0415
    from cloneservice_server.clock import SystemClock  # noqa: PLC0415
    from cloneservice_server.ledger import open_ledger  # noqa: PLC0415
    from cloneservice_server.stripe_gateway.gateway import SdkStripeGateway  # noqa: PLC0415
    from cloneservice_server.stripe_gateway.transport import TransportSettings  # noqa: PLC0415

    clock = SystemClock()
    try:
        ledger = open_ledger(settings.ledger, clock)
    except (ValueError, ImportError) as wrong:
        raise Failure(f"--ledger: {wrong}") from wrong
    gateway = SdkStripeGateway(
        settings.stripe_api_key,
        base_url=settings.stripe_url,
        transport=TransportSettings(max_connections=settings.stripe_max_connections),
    )
    return build_app(settings, gateway=gateway, ledger=ledger, clock=clock)


async def _start(app: App) -> None:
    from cloneservice_server.app import PortTaken  # noqa: PLC0415 - see _build
    from cloneservice_server.ports import LedgerUnavailable  # noqa: PLC0415

    try:
        await app.start()
    except PortTaken as taken:
        raise Failure(str(taken)) from taken
    except LedgerUnavailable as unavailable:
        raise Failure(f"the ledger cannot be used: {unavailable}") from unavailable
    except ValueError as wrong:
        raise Failure(str(wrong)) from wrong


def _announce(app: App, settings: Settings, shown: dict[str, Any], *, as_json: bool) -> None:
    """One line on standard output, for eyes or for a program that waits for it."""
    mode = "live" if settings.livemode else "test"
    money = ": real money" if settings.livemode else ""
    facts = {"host": app.address.host, "port": app.port, "stripe": settings.stripe_url, "mode": mode}
    if app.admin is not None:
        facts["admin_port"] = app.admin.port
    if app.webhooks is not None:
        facts["webhook_port"] = app.webhooks.port
    if as_json:
        print(json.dumps({"target": str(app.address), **facts, **shown}), flush=True)
    else:
        details = ", ".join([settings.stripe_url, f"{mode} mode{money}", *shown.values()])
        print(f"listening on {app.address} (Stripe: {details})", flush=True)
    log = logging.getLogger("cloneservice.app")
    log.info("listening", extra={"fields": facts})
    if not app.address.is_loopback and not settings.tls_cert_file:
        log.warning("the listener is not encrypted: let nobody but a proxy or mesh with TLS reach it")
