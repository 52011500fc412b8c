"""`cloneservice-server check | settings | token`: what an operator needs before and beside a running server."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from os import environ
from typing import NamedTuple

from cloneservice_server.access.tokens import new_token
from cloneservice_server.settings import Settings, SettingsError, load
from cloneservice_server.settings_page import page


def add_operator_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    add_settings: Callable[[argparse.ArgumentParser], None],
) -> None:
    """Add the commands to a parser; `add_settings` gives one the flags of `serve`."""
    check = commands.add_parser(
        "check",
        help="verify settings, files, ledger and Stripe key before a rollout",
        description="Verifies what `serve` with the same settings would need: certificates, policy, tokens and webhook "
        "secrets, the ledger (without changing it), and Stripe (one read with the key). One line each; exit code 1 if "
        "one fails, 2 for settings that cannot be used.",
    )
    add_settings(check)
    check.add_argument("--json", action="store_true", help="print one JSON object")
    check.set_defaults(run=_check)
    settings = commands.add_parser("settings", help="print every setting as a Markdown page")
    settings.set_defaults(run=_settings)
    token = commands.add_parser(
        "token",
        help="make a bearer token for a caller, or for a reader of the admin page",
        description="Makes a bearer token. Give the token to the caller safely: it is shown this once. The line, "
        "which holds only its hash, belongs into the file of --token-file, or into that of --admin-token-file for a "
        "person who may see the admin page. A policy calls a caller's token token:NAME.",
    )
    token.add_argument("name", metavar="NAME", help="whose token it is")
    token.add_argument("--json", action="store_true", help="print one JSON object")
    token.set_defaults(run=_token)


def _settings(_: argparse.Namespace) -> int:
    sys.stdout.write(page())
    return 0


def _token(parsed: argparse.Namespace) -> int:
    try:
        token, line = new_token(parsed.name)
    except ValueError as wrong:
        sys.stderr.write(f"cloneservice-server: {wrong}\n")
        return 2
    if parsed.json:
        sys.stdout.write(json.dumps({"token": token, "line": line}) + "\n")
    else:
        sys.stdout.write(
            f"token (for its holder, shown this once): {token}\nline (for --token-file or --admin-token-file): {line}\n"
        )
    return 0


# ------------------------------------------------------------------------------------------------------------- check


class Finding(NamedTuple):
    """What became of one check."""

    what: str
    good: bool
    text: str


def _check(parsed: argparse.Namespace) -> int:
    settings = load(vars(parsed), environ)
    findings = asyncio.run(_all(settings))
    if parsed.json:
        sys.stdout.write(json.dumps({finding.what: finding._asdict() for finding in findings}) + "\n")
    else:
        for finding in findings:
            sys.stdout.write(f"{'ok  ' if finding.good else 'FAIL'} {finding.what}: {finding.text}\n")
    return 0 if all(finding.good for finding in findings) else 1


async def _all(settings: Settings) -> list[Finding]:
    return [finding async for finding in findings_of(settings)]


async def findings_of(settings: Settings) -> AsyncIterator[Finding]:
    """Everything that `check` checks, one after the other."""
    from cloneservice_server.clock import SystemClock  # noqa: PLC0415 - see cli._build
    from cloneservice_server.ledger import open_ledger  # noqa: PLC0415

    try:
        ledger = open_ledger(settings.ledger, SystemClock())
    except ValueError as wrong:
        yield Finding("ledger", good=False, text=str(wrong))
        return
    yield _files(settings, ledger)
    from cloneservice_server.ledger.reachable import examine  # noqa: PLC0415
    from cloneservice_server.ports import LedgerUnavailable  # noqa: PLC0415

    try:
        yield Finding("ledger", good=True, text=await examine(ledger))
    except LedgerUnavailable as wrong:
        yield Finding("ledger", good=False, text=str(wrong))
    yield await _stripe(settings)


def _files(settings: Settings, ledger: object) -> Finding:
    from cloneservice_server import tls  # noqa: PLC0415 - see cli._build
    from cloneservice_server.listeners import open_access, open_admin_tokens, open_webhook_secrets  # noqa: PLC0415

    said = []
    try:
        access = open_access(settings, ledger)  # type: ignore[arg-type]  # nothing of it is asked here
        if settings.tls_files is not None:
            tls.watch(settings.tls_files)
            said.append("mutual TLS" if settings.tls_files.client_ca else "TLS")
        if (admin := open_admin_tokens(settings)) is not None:
            said.append(f"{len(admin.current())} token(s) of the admin page")
        if secrets := open_webhook_secrets(settings)():
            said.append(f"{len(secrets)} webhook secret(s)")
    except SettingsError as wrong:
        return Finding("files", good=False, text="; ".join(wrong.problems))
    except tls.TlsError as wrong:
        return Finding("files", good=False, text=f"--tls-cert-file: {wrong}")
    if access.tokens is not None:
        said.append(f"{len(access.tokens.current())} token(s)")
    if access.policy is not None:
        said.append(f"policy of {len(access.policy.current().rules)} caller(s)")
    elif access.tokens is None:
        said.append("no policy and no tokens: everybody who can connect may do everything")
    return Finding("files", good=True, text=", ".join(said))


async def _stripe(settings: Settings) -> Finding:
    from cloneservice_server.ports import Refused, StripeCall, StripeFault  # noqa: PLC0415 - see cli._build
    from cloneservice_server.stripe_gateway.gateway import SdkStripeGateway  # noqa: PLC0415

    if settings.fake:
        return Finding("stripe", good=True, text="the embedded double")
    gateway = SdkStripeGateway(settings.stripe_api_key, base_url=settings.stripe_url)
    mode = "live" if settings.livemode else "test"
    try:
        answer = await gateway.send(StripeCall("GET", "/v1/balance"), timeout_s=10.0)
    except Refused as refused:
        if refused.status == 403:  # a restricted key without this permission is a key all the same
            return Finding("stripe", good=True, text=f"{settings.stripe_url} takes the restricted key, {mode} mode")
        text = "does not take the key (401)" if refused.status == 401 else f"answered {refused}"
        return Finding("stripe", good=False, text=f"{settings.stripe_url} {text}")
    except StripeFault as fault:
        text = f"{settings.stripe_url} cannot be reached: {fault}"
        proxied = environ.get("HTTPS_PROXY") or environ.get("https_proxy")
        return Finding("stripe", good=False, text=f"{text}; HTTPS_PROXY is not used" if proxied else text)
    finally:
        await gateway.aclose()
    if bool(answer.body.get("livemode")) != settings.livemode:
        return Finding("stripe", good=False, text=f"the key says {mode} mode, Stripe's answer says the other")
    return Finding("stripe", good=True, text=f"{settings.stripe_url} takes the key, {mode} mode")
