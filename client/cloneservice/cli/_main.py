"""Runs one command: the client, the printing, and what goes wrong, without ever showing a traceback."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import ssl
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from grpc import StatusCode

from cloneservice import (
    BatchState,
    CallerUnauthenticated,
    CardDeclined,
    Charge,
    ChargeState,
    CloneBatch,
    CloneClient,
    CloneServiceError,
    ConnectedAccountUnavailable,
    InternalError,
    InvalidRequest,
    LookupResult,
    RequestState,
    ResourceNotFound,
    StripeMisconfigured,
    Tls,
    TransportError,
    new_request_id,
)
from cloneservice._channel import is_loopback
from cloneservice.cli._arguments import Interrupted, Settings, UsageError, parser, settings
from cloneservice.cli._commands import COMMANDS
from cloneservice.cli._output import details, error_to_json, one_line, printable, table

DONE, FAULT, USAGE, DECLINED, NOT_FOUND, OPEN, REFUSED, WAITS, PARTLY, INTERRUPTED = 0, 1, 2, 3, 4, 5, 6, 7, 8, 130


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Run the command line; return the exit status.

    Args:
        argv: The arguments without the program's name; None takes the process's own.
        environ: The environment.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # gRPC's own log lines would stand between ours
    options = parser(COMMANDS).parse_args(argv)
    if getattr(options, "request_id", None) == "":
        options.request_id = new_request_id()  # made here, so that an interrupted call can be gone on with
    request_id = getattr(options, "request_id", "")
    chosen: Settings | None = None
    try:
        chosen = settings(options, environ)
        with _client(chosen) as client:
            return _show(options.run(client, options), options, chosen)
    except CloneServiceError as error:
        return _failed(error, chosen)
    except (UsageError, ValueError) as wrong:
        print(f"error: {printable(str(wrong))}", file=sys.stderr)
        return USAGE
    except Interrupted as left:
        print(f"\n{printable(str(left))}", file=sys.stderr)
        return INTERRUPTED
    except KeyboardInterrupt:
        print("interrupted" + (f"; {_go_on(request_id)}" if request_id else ""), file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader (`head`) has seen enough; nothing may be written at exit either
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAULT
    except OSError as failed:
        print(f"error: {printable(str(failed))}", file=sys.stderr)
        return FAULT


def _client(chosen: Settings) -> CloneClient:
    tls: Tls | bool = False
    if chosen.tls_ca is not None:
        try:
            tls = Tls(root_certificates=_certificates(chosen.tls_ca))
        except OSError as unread:
            raise UsageError(f"cannot read the certificates: {unread}") from unread
    return CloneClient(
        chosen.target,
        tls=tls,
        insecure=chosen.insecure,
        token=chosen.token or None,
        timeout_s=chosen.timeout_s,
    )


def _certificates(path: Path) -> bytes:
    """PEM certificates, looked at before gRPC does, which would only say that the service cannot be reached."""
    pem = path.read_bytes()
    try:
        ssl.create_default_context(cadata=pem.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise UsageError(f"{path} holds no PEM certificates of authorities (-----BEGIN CERTIFICATE-----)") from None
    return pem


def _show(answer: Any, options: argparse.Namespace, chosen: Settings) -> int:
    if answer is None:  # it has written what there is
        return DONE
    if isinstance(answer, Iterable):
        return _show_list(answer, int(options.limit), chosen)
    if chosen.json:
        print(one_line(answer, show_secrets=chosen.show_secrets))
    else:
        print(details(answer, show_secrets=chosen.show_secrets))
    sys.stdout.flush()
    _say_what_is_next(answer)
    if isinstance(answer, CloneBatch):
        return PARTLY if answer.state is BatchState.PARTIALLY_FAILED else DONE
    made = getattr(answer, "charge", None)
    return _status_of(made) if isinstance(made, Charge) else DONE


def _say_what_is_next(answer: object) -> None:
    if isinstance(answer, LookupResult) and answer.state is RequestState.UNKNOWN:
        print("hint: the service never got this request_id: nothing was done under it", file=sys.stderr)
    charge = getattr(answer, "charge", None)
    if isinstance(charge, Charge) and charge.state is ChargeState.REQUIRES_ACTION:
        print(
            "hint: the shopper must authenticate: give the client_secret (--show-secrets) to Stripe.js on "
            f"{charge.connected_account_id}; then `cloneservice charges get {charge.charge_id} --refresh`",
            file=sys.stderr,
        )


def _show_list(answer: Iterable[object], limit: int, chosen: Settings) -> int:
    found = list(itertools.islice(answer, limit + 1))
    if chosen.json:
        for item in found[:limit]:
            print(one_line(item, show_secrets=chosen.show_secrets))
    else:
        print(table(found[:limit]))
    sys.stdout.flush()
    if len(found) > limit:
        print(f"there are more than {limit}: give a larger --limit", file=sys.stderr)
    return DONE


def _status_of(charge: Charge) -> int:
    if charge.state is ChargeState.REQUIRES_ACTION:
        return WAITS
    return OPEN if charge.state is ChargeState.INDETERMINATE else DONE


def _exit_status(error: CloneServiceError) -> int:
    if isinstance(error, InternalError | StripeMisconfigured):
        return FAULT
    if isinstance(error, CardDeclined):
        return DECLINED
    if isinstance(error, ResourceNotFound):
        return NOT_FOUND
    if isinstance(error, InvalidRequest):
        return USAGE
    if error.resumable:
        return OPEN
    return FAULT if isinstance(error, TransportError) else REFUSED


def _failed(error: CloneServiceError, chosen: Settings | None) -> int:
    hint = _hint(error, chosen)
    if chosen is not None and chosen.json:
        print(json.dumps({"error": {**error_to_json(error), "hint": hint}}, ensure_ascii=False), file=sys.stderr)
        return _exit_status(error)
    facts = [printable(f"{key}={value}") for key, value in sorted(error.metadata.items()) if value]
    told = f" [{', '.join(facts)}]" if facts else ""
    print(f"error: {error.reason}: {printable(error.message)}{told}", file=sys.stderr)
    if hint:
        print(f"hint: {printable(hint)}", file=sys.stderr)
    if error.request_id:
        print(f"request_id: {error.request_id}", file=sys.stderr)
    return _exit_status(error)


def _hint(error: CloneServiceError, chosen: Settings | None) -> str:
    if isinstance(error, CardDeclined):
        later = "the same card may work later" if error.may_retry_later else "another payment method is needed"
        recorded = f"; on record as {error.charge.charge_id}" if error.charge is not None else ""
        return f"no money moved{recorded}; {later}"
    if isinstance(error, InvalidRequest):
        named = (f"{bad.field}: {bad.description}" for bad in error.violations)
        return "; ".join(text for text in named if text not in error.message)
    if isinstance(error, ConnectedAccountUnavailable):
        return "is the id mistyped, or did the seller disconnect? An account is known to one platform and one mode only"
    if isinstance(error, ResourceNotFound) and error.metadata.get("stripe_code") == "resource_missing":
        return "is the id mistyped, or of another platform, or of the other mode (live or test) than the server's key?"
    if isinstance(error, CallerUnauthenticated):
        return "set CLONESERVICE_TOKEN; whoever runs the service makes one with `cloneservice-server token NAME`"
    # A deadline shorter than the retries of a refused connection ends as one, too.
    silent = type(error) is TransportError and error.code in (StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED)
    parts = [_unreachable(chosen, error.message)] if silent else []
    if error.resumable and error.request_id:
        parts.append(_go_on(error.request_id))
    return "; ".join(filter(None, parts))


def _unreachable(chosen: Settings | None, told: str) -> str:
    if chosen is None:
        return ""
    if "CERTIFICATE_VERIFY_FAILED" in told:
        return f"{chosen.tls_ca or 'this system'} does not vouch for the service: give the right --tls-ca FILE"
    if "WRONG_VERSION_NUMBER" in told:
        return f"the service at {chosen.target} speaks plain text: leave out --tls-ca (or give --insecure)"
    if "Socket closed" in told:
        return f"something listens at {chosen.target}; if it speaks TLS, give --tls-ca FILE"
    plain = chosen.insecure or (chosen.tls_ca is None and is_loopback(chosen.target))
    return f"is the service at {chosen.target}, and does it speak {'plain text' if plain else 'TLS (or --insecure)'}?"


def _go_on(request_id: str) -> str:
    return f"the service may go on: run the same command with --request-id {request_id}, or lookup {request_id}"
