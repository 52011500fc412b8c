"""What the command line takes. Every shared option may stand before or after the command."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from cloneservice import (
    AttachOptions,
    BatchItemState,
    BatchOperation,
    CaptureMethod,
    ChargeState,
    CloneFlow,
    CloneReuse,
    CloneState,
    Money,
)
from cloneservice.cli.command_line import Parser

EPILOG = """\
environment (a flag wins over its variable):
  CLONESERVICE_TARGET      host:port of the service (default localhost:50051)
  CLONESERVICE_TLS_CA      file with the PEM certificates that may vouch for it
  CLONESERVICE_TIMEOUT     seconds for each call with all its tries
  CLONESERVICE_INSECURE    1 for plain text to another machine
  CLONESERVICE_TOKEN       bearer token; never a flag, because others can read those

exit status:
  0  done
  1  a fault of the service, or of this command
  2  wrong usage: an argument is missing or malformed, here or in the service's eyes
  3  declined: the issuer or Stripe said no, or wants the shopper
  4  not found
  5  open: it may or may not have happened. Run the same command with the same --request-id, or `lookup` it
  6  refused: not possible in the present state of the clone, charge or account
  7  the charge waits for the shopper (3-D Secure)
  8  the batch is finished and some of its items failed: `batch get` says why, `batch retry` tries them again
  130  interrupted; the service may go on, see 5

Amounts are integers in the currency's smallest unit: --amount 1099 --currency usd is 10.99 dollars.
"""


class UsageError(Exception):
    """The arguments make no sense; the text says why."""


class Interrupted(Exception):  # noqa: N818 - reads as what happened
    """The user had enough of waiting; the text says what goes on, and how to come back."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to reach the service and how to print, from flags and environment."""

    target: str
    tls_ca: Path | None
    insecure: bool
    timeout_s: float | None
    token: str
    json: bool
    show_secrets: bool


def settings(options: argparse.Namespace, environ: Mapping[str, str]) -> Settings:
    """Flags before environment before defaults.

    Raises:
        UsageError: A variable cannot be read as what it stands for.
    """
    timeout = environ.get("CLONESERVICE_TIMEOUT", "")
    try:
        timeout_s = getattr(options, "timeout", None) or (_seconds(timeout) if timeout else None)
    except argparse.ArgumentTypeError as wrong:
        raise UsageError(f"CLONESERVICE_TIMEOUT: {wrong}") from wrong
    target = getattr(options, "target", None) or environ.get("CLONESERVICE_TARGET") or "localhost:50051"
    token = environ.get("CLONESERVICE_TOKEN", "").strip()
    if not (token.isascii() and token.isprintable()):
        raise UsageError("CLONESERVICE_TOKEN holds what no token holds; it is one line, cst_...")
    tls_ca = getattr(options, "tls_ca", None) or environ.get("CLONESERVICE_TLS_CA") or None
    insecure = getattr(options, "insecure", False)
    return Settings(
        target=_target(target),
        tls_ca=None if tls_ca is None or insecure else Path(tls_ca),
        insecure=insecure or (tls_ca is None and environ.get("CLONESERVICE_INSECURE", "") in ("1", "true", "yes")),
        timeout_s=timeout_s,
        token=token,
        json=getattr(options, "json", False),
        show_secrets=getattr(options, "show_secrets", False),
    )


def _target(text: str) -> str:
    """host:port, or any name that gRPC resolves by a scheme of its own (dns:///..., unix:...)."""
    scheme, colon, rest = text.partition("://")
    if colon and scheme.lower() in ("http", "https", "grpc", "grpcs"):
        raise UsageError(f"the target is HOST:PORT without {scheme}://: --target {rest.rstrip('/')}")
    if not re.fullmatch(r"\[[^\]]*\]|[^:]*", text):
        return text
    raise UsageError(f"the target is HOST:PORT, and {text!r} has no port: --target {text or 'localhost'}:50051")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 1e6:
        raise argparse.ArgumentTypeError(f"not a number of seconds: {text!r}")
    return seconds


_AMOUNT_MAX = 99_999_999
"""Stripe's own limit: eight digits."""


def _minor_units(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of minor units (1099 for 10.99 dollars)")
    if not 0 <= int(text) <= _AMOUNT_MAX:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and {_AMOUNT_MAX} minor units")
    return int(text)


def _amount(text: str) -> int:
    if _minor_units(text) == 0:
        raise argparse.ArgumentTypeError("0 is no amount: give 1 or more, in minor units")
    return int(text)


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def _words(kind: type[StrEnum]) -> list[str]:
    return [member.value for member in kind if member.value not in ("unspecified", "unrecognized")]


def _shared() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    group = parser.add_argument_group("shared options")
    group.add_argument("--target", metavar="HOST:PORT", help="where the service is")
    group.add_argument("--json", action="store_true", help="one JSON document; for lists one line for each item")
    group.add_argument("--timeout", type=_seconds, metavar="SECONDS", help="for each call with all its tries")
    secured = group.add_mutually_exclusive_group()
    secured.add_argument("--insecure", action="store_true", help="plain text to another machine")
    secured.add_argument("--tls-ca", metavar="FILE", help="PEM certificates that may vouch for the service")
    group.add_argument("--show-secrets", action="store_true", help="print client secrets, for Stripe.js")
    return parser


Add = Callable[[argparse.ArgumentParser], None]


def parser(commands: Mapping[str, Callable[..., Any]]) -> argparse.ArgumentParser:
    """The whole command line; `options.run` is the function of the command that was given.

    Args:
        commands: The functions, by the command's words ("clones list").
    """
    shared = _shared()
    root: argparse.ArgumentParser = Parser(
        prog="cloneservice",
        with_version=True,
        description="Reuse a shopper's saved payment details across Stripe connected accounts.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[shared],
    )
    top = root.add_subparsers(metavar="COMMAND", required=True)
    groups: dict[str, Any] = {}
    for words, (text, add) in _COMMANDS.items():
        group, _, leaf = words.rpartition(" ")
        if group and group not in groups:
            listed = top.add_parser(group, help=_GROUPS[group], description=_GROUPS[group])
            groups[group] = listed.add_subparsers(metavar="COMMAND", required=True)
        made = (groups[group] if group else top).add_parser(leaf, help=text, description=text, parents=[shared])
        add(made)
        made.set_defaults(run=commands[words])
    return root


def _save(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("payment_method", metavar="METHOD", help="pm_... or the legacy tok_... or src_...")
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--customer", metavar="cus_...", default="", help="platform customer")
    whose.add_argument("--new-customer", action="store_true", help="make a platform customer")
    parser.add_argument("--email", default="", help="of the new customer; goes to Stripe only")
    parser.add_argument("--name", default="", help="of the new customer; goes to Stripe only")
    parser.add_argument("--reference", default="", help="your own id for the new customer")
    parser.add_argument("--set-default", action="store_true", help="make it the customer's default")
    _request_id(parser)


def _what_to_clone(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--customer", metavar="cus_...", required=True, help="platform customer")
    parser.add_argument("--account", metavar="acct_...", required=True, help="connected account")
    parser.add_argument("--payment-method", metavar="pm_...", default="", help="default: the customer's default")
    parser.add_argument("--flow", choices=_words(CloneFlow), help="default: by the id")
    parser.add_argument("--reuse", choices=_words(CloneReuse), default="if_current", help="default: if_current")
    parser.add_argument("--connected-customer", metavar="cus_...", default="", help="attach to this one of the account")
    parser.add_argument("--set-default", action="store_true", help="make it that customer's default")


def _clone(parser: argparse.ArgumentParser) -> None:
    _what_to_clone(parser)
    parser.add_argument(
        "--attach", action="store_true", help="attach at once, so that it can be charged again and again"
    )
    _metadata(parser)
    _request_id(parser)


def _what_to_charge(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--amount", type=_amount, required=True, metavar="MINOR", help="in the smallest unit")
    parser.add_argument("--currency", required=True, metavar="CODE", help="ISO 4217, such as usd")
    parser.add_argument("--fee", type=_minor_units, metavar="MINOR", help="the platform's share, same currency")
    parser.add_argument("--capture", choices=_words(CaptureMethod), default="automatic", help="default: automatic")
    parser.add_argument("--off-session", action="store_true", help="the shopper is absent")
    parser.add_argument("--defer-confirmation", action="store_true", help="only create the charge")
    parser.add_argument("--return-url", default="", metavar="URL", help="where a redirect comes back to")
    parser.add_argument("--description", default="", help="shown to the account")
    parser.add_argument("--statement-descriptor-suffix", default="", metavar="TEXT", help="shown on the statement")
    _metadata(parser)
    _request_id(parser)


def _charge(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clone", metavar="cln_...", required=True, help="what to charge with")
    _what_to_charge(parser)


def _clone_and_charge(parser: argparse.ArgumentParser) -> None:
    _what_to_clone(parser)
    parser.add_argument("--one-shot", action="store_true", help="do not attach: spent by this charge, even if declined")
    parser.add_argument("--validate-only", action="store_true", help="check everything, do nothing")
    _what_to_charge(parser)


def _payment_methods_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--customer", metavar="cus_...", required=True, help="platform customer")
    _limit(parser)


def _clones_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--customer", metavar="cus_...", default="", help="only this platform customer's")
    parser.add_argument("--payment-method", metavar="pm_...", default="", help="only those of this platform method")
    parser.add_argument("--account", metavar="acct_...", default="", help="only those on this connected account")
    parser.add_argument("--state", choices=_words(CloneState), action="append", default=[], help="may be repeated")
    _limit(parser)


def _clones_attach(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("clone", metavar="cln_...")
    parser.add_argument("--connected-customer", metavar="cus_...", default="", help="attach to this one of the account")
    parser.add_argument("--set-default", action="store_true", help="make it that customer's default")
    _request_id(parser)


def _charges_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--customer", metavar="cus_...", default="", help="only this platform customer's, on all accounts"
    )
    parser.add_argument("--clone", metavar="cln_...", default="", help="only those made with this clone")
    parser.add_argument("--account", metavar="acct_...", default="", help="only those on this connected account")
    parser.add_argument("--state", choices=_words(ChargeState), action="append", default=[], help="may be repeated")
    _limit(parser)


def _clones_get(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("clone", metavar="cln_...")


def _charges_get(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("charge", metavar="chg_...")
    parser.add_argument("--refresh", action="store_true", help="ask Stripe for its present state")


def _batch_create(parser: argparse.ArgumentParser) -> None:
    what = [word for word in _words(BatchOperation) if word != "erase"]
    parser.add_argument("--customers", metavar="FILE.csv", default="", help="platform customers, one cus_... a line")
    parser.add_argument("--accounts", metavar="FILE.csv", default="", help="connected accounts, one acct_... a line")
    parser.add_argument(
        "--pairs",
        metavar="FILE.csv",
        default="",
        help="instead: lines of cus_..., acct_... and, if you like, pm_...",
    )
    parser.add_argument("--operation", choices=what, default="clone", help="default: clone")
    parser.add_argument("--all-payment-methods", action="store_true", help="not only each customer's default")
    parser.add_argument("--flow", choices=_words(CloneFlow), help="default: by the id")
    parser.add_argument("--set-default", action="store_true", help="make each clone its customer's default")
    parser.add_argument("--max-concurrency", type=_count, default=0, metavar="N", help="items at once on each replica")
    parser.add_argument("--validate-only", action="store_true", help="count and tell how long it takes, store nothing")
    parser.add_argument("--watch", action="store_true", help="follow it to its end")
    _request_id(parser)


def _batch_list(parser: argparse.ArgumentParser) -> None:
    _limit(parser)


def _batch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("batch", metavar="bat_...")


def _batch_retry(parser: argparse.ArgumentParser) -> None:
    _batch(parser)
    parser.add_argument("--watch", action="store_true", help="follow it to its end")
    _request_id(parser)


def _batch_cancel(parser: argparse.ArgumentParser) -> None:
    _batch(parser)
    _request_id(parser)


def _batch_export(parser: argparse.ArgumentParser) -> None:
    _batch(parser)
    parser.add_argument("--format", choices=("csv", "jsonl"), default="csv", help="default: csv")
    parser.add_argument("--output", metavar="FILE", default="", help="default: standard output")
    parser.add_argument("--state", choices=_words(BatchItemState), action="append", default=[], help="may be repeated")


def _part(parser: argparse.ArgumentParser, whole: str) -> None:
    parser.add_argument("--amount", type=_amount, metavar="MINOR", help=f"default: {whole}")
    parser.add_argument("--currency", default="", metavar="CODE", help="of the amount; ISO 4217, such as usd")


def _charges_confirm(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("charge", metavar="chg_...")
    parser.add_argument("--off-session", action="store_true", help="the shopper is absent")
    parser.add_argument("--return-url", default="", metavar="URL", help="where a redirect comes back to")
    _request_id(parser)


def _charges_capture(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("charge", metavar="chg_...")
    _part(parser, "all that was authorised")
    parser.add_argument("--fee", type=_minor_units, metavar="MINOR", help="restate the platform's share")
    _request_id(parser)


def _charges_cancel(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("charge", metavar="chg_...")
    reasons = ("duplicate", "fraudulent", "requested_by_customer", "abandoned")
    parser.add_argument("--reason", choices=reasons, default="", help="for Stripe's records")
    _request_id(parser)


def _charges_refund(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("charge", metavar="chg_...")
    _part(parser, "all that is left")
    reasons = ("duplicate", "fraudulent", "requested_by_customer")
    parser.add_argument("--reason", choices=reasons, default="", help="for Stripe's records")
    parser.add_argument("--refund-fee", action="store_true", help="give the platform's share back too, in proportion")
    _metadata(parser)
    _request_id(parser)


def _charges_refunds(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("charge", metavar="chg_...")
    _limit(parser)


def _baskets_get(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("basket", metavar="bsk_...")


def _lookup(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("looked_up", metavar="REQUEST_ID")


def _metadata(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--metadata", type=_label, metavar="KEY=VALUE", action="append", default=[], help="may be repeated"
    )


def _limit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--limit", type=_count, default=100, metavar="N", help="at most this many; default 100")


def _request_id(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--request-id", default="", metavar="UUID", help="key of the intent; give the same one again to go on"
    )


_GROUPS = {
    "payment-methods": "What shoppers saved on the platform.",
    "clones": "Clones, by the lineage that Stripe does not keep.",
    "charges": "Charges, over all connected accounts.",
    "baskets": "Purchases from several sellers at once.",
    "batch": "Jobs over many customers and accounts; they run on whether anybody watches or not.",
}
_COMMANDS: Mapping[str, tuple[str, Add]] = {
    "save": ("Save a payment method on a platform customer.", _save),
    "payment-methods list": ("List what a platform customer has saved.", _payment_methods_list),
    "clone": ("Clone a saved payment method to a connected account.", _clone),
    "charge": ("Charge a clone on its connected account.", _charge),
    "clone-and-charge": ("Clone (or reuse the clone), attach and charge, in one call.", _clone_and_charge),
    "clones list": ("List clones, newest first.", _clones_list),
    "clones get": ("Show a clone.", _clones_get),
    "clones attach": ("Attach a clone to a customer of its account.", _clones_attach),
    "charges list": ("List charges, newest first.", _charges_list),
    "charges get": ("Show a charge.", _charges_get),
    "charges confirm": ("Confirm a charge that waits for it, also after the shopper has acted.", _charges_confirm),
    "charges capture": ("Capture an authorised charge, whole or in part.", _charges_capture),
    "charges cancel": ("Cancel a charge that was not captured.", _charges_cancel),
    "charges refund": ("Refund a captured charge, whole or in part.", _charges_refund),
    "charges refunds": ("List the refunds of a charge, newest first.", _charges_refunds),
    "baskets get": ("Show a basket and what became of each seller's part.", _baskets_get),
    "batch create": ("Clone many customers to many accounts, or refresh or revoke their clones.", _batch_create),
    "batch watch": ("Follow a batch to its end.", _batch),
    "batch get": ("Show a batch, with its failures by reason.", _batch),
    "batch list": ("List batches, newest first.", _batch_list),
    "batch retry": ("Try a finished batch's failed items again.", _batch_retry),
    "batch cancel": ("Stop a batch; what is done stays.", _batch_cancel),
    "batch export": ("Write a batch's items as CSV or JSON lines.", _batch_export),
    "lookup": ("Tell what became of a request_id, without doing anything.", _lookup),
}


def attach_options(options: argparse.Namespace) -> AttachOptions | None:
    """How to attach, if any option says so."""
    if not (options.connected_customer or options.set_default):
        return None
    return AttachOptions(connected_customer_id=options.connected_customer, set_default=options.set_default)


def charge_options(options: argparse.Namespace) -> dict[str, Any]:
    """What to charge, as keywords of the client's methods."""
    fee = None if options.fee is None else Money(options.fee, options.currency)
    return {
        "amount": Money(options.amount, options.currency),
        "application_fee": fee,
        "capture_method": CaptureMethod(options.capture),
        "off_session": options.off_session,
        "defer_confirmation": options.defer_confirmation,
        "return_url": options.return_url,
        "description": options.description,
        "statement_descriptor_suffix": options.statement_descriptor_suffix,
        "metadata": dict(options.metadata),
    }
