"""`cloneservice-server ledger migrate | check | ... | rebuild`: one line for what goes wrong, never a traceback.

Exit codes: 0 done; 1 not done, or `check` found something; 2 a command line that cannot be used.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from os import environ
from pathlib import Path
from typing import TextIO

from cloneservice_server.clock import SystemClock
from cloneservice_server.domain.errors import DomainError
from cloneservice_server.ledger import SqliteLedger, SqlLedger, inspection, migrations, open_ledger
from cloneservice_server.ledger.backup import BackupFailed, back_up
from cloneservice_server.ledger.part import Part
from cloneservice_server.ledger.sqlite import MEMORY
from cloneservice_server.ports import LedgerUnavailable
from cloneservice_server.settings import LEDGER, Settings, SettingsError, load
from cloneservice_server.workflows.rebuild import Rebuilt, rebuild_lineage

Command = Callable[[argparse.Namespace], Awaitable[int]]


def add_ledger_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `ledger` and what is under it to the server's command line."""
    ledger = commands.add_parser("ledger", help="migrate, check, export, back up or rebuild the ledger")
    verbs = ledger.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add(verbs, "migrate", _migrate, "bring the ledger's schema up to date (the server does so when it starts)")
    _add(verbs, "check", _check, "check the ledger's integrity, and what must be true between its tables")
    export = _add(verbs, "export", _export, "write every row as one JSON object a line")
    export.add_argument("--output", default="-", metavar="FILE", help="a new file (default: standard output)")
    backup = _add(verbs, "backup", _backup, "write a consistent snapshot of a SQLite ledger, its server running or not")
    backup.add_argument("file", metavar="FILE", help="the new file")
    rebuild = _add(verbs, "rebuild", _rebuild, "read clones, charges and customers back from Stripe; only reads there")
    rebuild.add_argument("--stripe", default=None, metavar="MODE", help="live, test or a base URL, as for serve")
    rebuild.add_argument(
        "--stripe-api-key-file", default=None, metavar="FILE", help="file that holds the key, instead of STRIPE_API_KEY"
    )
    rebuild.add_argument(
        "--account", action="append", default=[], metavar="ACCT", help="only this connected account (repeatable)"
    )


def _add(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, command: Command, text: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.add_argument(
        "--ledger",
        default=None,
        metavar="URL",
        help=f"sqlite:///PATH or postgresql://... (or CLONESERVICE_LEDGER; default {LEDGER})",
    )
    parser.set_defaults(run=lambda parsed: _run(command, parsed))
    return parser


def ledger_url(given: str | None, environment: Mapping[str, str]) -> str:
    """The ledger to work on: the flag, or the environment, or the server's default."""
    return given or environment.get("CLONESERVICE_LEDGER", "").strip() or LEDGER


def _run(command: Command, parsed: argparse.Namespace) -> int:
    parsed.ledger = ledger_url(parsed.ledger, environ)
    try:
        return asyncio.run(_finished(command(parsed)))
    except SettingsError as wrong:
        return max(_say(problem, code=2) for problem in wrong.problems)
    except ValueError as wrong:
        return _say(f"--ledger: {wrong}", code=2)
    except (DomainError, LedgerUnavailable, BackupFailed, OSError) as failure:
        return _say(str(failure), code=1)


async def _finished(work: Awaitable[int]) -> int:
    return await work


def _say(line: str, code: int) -> int:
    sys.stderr.write(f"cloneservice-server: {line}\n")
    return code


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[SqlLedger]:
    ledger = _existing(url)
    await ledger.open()
    try:
        yield ledger
    finally:
        await ledger.aclose()


def _existing(url: str) -> SqlLedger:
    """The ledger, not opened; a SQLite file is not made where there is none."""
    ledger = open_ledger(url, SystemClock())
    if isinstance(ledger, SqliteLedger) and not Path(ledger.path).exists():
        raise LedgerUnavailable(f"there is no ledger at {ledger.path}")
    return ledger


def _output(name: str) -> TextIO:
    return sys.stdout if name == "-" else Path(name).open("x", encoding="utf-8")


async def _migrate(parsed: argparse.Namespace) -> int:
    ledger = open_ledger(parsed.ledger, SystemClock())
    await ledger.open()
    version = (await ledger.read(Part(migrations.SELECT_VERSIONS)))[-1]["version"]
    await ledger.aclose()
    sys.stdout.write(f"the schema is at version {version}\n")
    return 0


async def _check(parsed: argparse.Namespace) -> int:
    async with _opened(parsed.ledger) as ledger:
        found = 0
        async for problem in check(ledger):
            found += 1
            sys.stdout.write(f"{problem}\n")
    sys.stdout.write("no problem found\n" if not found else f"{found} problem{'s' if found > 1 else ''} found\n")
    return 1 if found else 0


async def check(ledger: SqlLedger) -> AsyncIterator[inspection.Problem]:
    """What is wrong with a ledger: damage to the file (SQLite), then whatever breaks a rule between the rows."""
    if isinstance(ledger, SqliteLedger):
        for row in await ledger.read(Part("PRAGMA integrity_check")):
            if row["integrity_check"] != "ok":
                yield inspection.Problem("the file is damaged", row["integrity_check"])
    async for problem in inspection.problems(ledger):
        yield problem


async def _export(parsed: argparse.Namespace) -> int:
    async with _opened(parsed.ledger) as ledger:
        output = _output(parsed.output)
        try:
            await export(ledger, output)
        finally:
            if output is not sys.stdout:
                output.close()
    return 0


async def export(ledger: SqlLedger, output: TextIO) -> int:
    """Write each row as one line of JSON, `table` in it, tables and rows in a fixed order; returns how many.

    Columns that hold JSON are written as JSON. A ledger in use may change between two pages of rows.
    """
    written = 0
    for table, (key, others) in inspection.TABLES.items():
        async for row in inspection.every_row(ledger, table):
            values = {name: _shown(name, row[name]) for name in (*key, *others)}
            output.write(json.dumps({"table": table, **values}, ensure_ascii=False, separators=(",", ":")) + "\n")
            written += 1
    return written


_JSON_COLUMNS = {"body", "command", "call", "result", "error", "plan"}


def _shown(name: str, value: object) -> object:
    if name not in _JSON_COLUMNS or not isinstance(value, str) or not value:
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


async def _backup(parsed: argparse.Namespace) -> int:
    ledger = open_ledger(parsed.ledger, SystemClock())
    if not isinstance(ledger, SqliteLedger) or ledger.path == MEMORY:
        return _say("backup is for a SQLite file; for PostgreSQL use pg_dump or your provider's snapshots", code=1)
    size = await asyncio.to_thread(back_up, Path(ledger.path), Path(parsed.file))
    sys.stdout.write(f"{parsed.file}: {size} bytes\n")
    return 0


async def _rebuild(parsed: argparse.Namespace) -> int:
    flags = {name: getattr(parsed, name) for name in ("ledger", "stripe", "stripe_api_key_file")}
    settings = load(flags, environ)
    if settings.fake:
        return _say("--stripe fake has nothing to rebuild from: its world ends with its server", code=2)
    rebuilt = await _rebuilt(settings, parsed.account)
    for kind in sorted(rebuilt.added | rebuilt.kept):
        sys.stdout.write(f"{kind}: {rebuilt.added[kind]} added, {rebuilt.kept[kind]} already there\n")
    sys.stdout.write(f"accounts read: {rebuilt.accounts}\n")
    for account, reason in rebuilt.unread.items():
        sys.stdout.write(f"{account} could not be read: {reason}\n")
    return 1 if rebuilt.unread else 0


async def _rebuilt(settings: Settings, accounts: list[str]) -> Rebuilt:
    # It costs more to import than all other commands take.
    from cloneservice_server.stripe_gateway.gateway import SdkStripeGateway  # noqa: PLC0415

    clock = SystemClock()
    ledger = open_ledger(settings.ledger, clock)
    gateway = SdkStripeGateway(settings.stripe_api_key, base_url=settings.stripe_url)
    try:
        await ledger.open()
        await ledger.bind(settings.key_fingerprint, livemode=settings.livemode)
        return await rebuild_lineage(ledger, gateway, clock, accounts)
    finally:
        await ledger.aclose()
        await gateway.aclose()
