"""Runs one command: the client, the printing, and what goes wrong, without ever showing a traceback."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from grpc import StatusCode

from cloneservice import (
    BatchState,
    CardDeclined,
    Charge,
    ChargeState,
    CloneBatch,
    CloneClient,
    CloneServiceError,
    InternalError,
    InvalidRequest,
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
            tls = Tls(root_certificates=chosen.tls_ca.read_bytes())
        except OSError as unread:
            raise UsageError(f"cannot read the certificates: {unread}") from unread
    return CloneClient(
        chosen.target,
        tls=tls,
        insecure=chosen.insecure,
        token=chosen.token or None,
        timeout_s=chosen.timeout_s,
    )


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
    if isinstance(answer, CloneBatch):
        return PARTLY if answer.state is BatchState.PARTIALLY_FAILED else DONE
    made = getattr(answer, "charge", None)
    return _status_of(made) if isinstance(made, Charge) else DONE


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
        return "; ".join(f"{bad.field}: {bad.description}" for bad in error.violations)
    # A deadline shorter than the retries of a refused connection ends as one, too.
    silent = type(error) is TransportError and error.code in (StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED)
    parts = [_unreachable(chosen)] if silent else []
    if error.resumable and error.request_id:
        parts.append(_go_on(error.request_id))
    return "; ".join(filter(None, parts))


def _unreachable(chosen: Settings | None) -> str:
    if chosen is None:
        return ""
    plain = chosen.insecure or (chosen.tls_ca is None and is_loopback(chosen.target))
    return f"is the service at {chosen.target}, and does it speak {'plain text' if plain else 'TLS (or --insecure)'}?"


def _go_on(request_id: str) -> str:
    return f"the service may go on: run the same command with --request-id {request_id}, or lookup {request_id}"
