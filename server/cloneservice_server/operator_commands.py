"""`cloneservice-server token`: what an operator needs beside a running server."""

from __future__ import annotations

import argparse
import json

from cloneservice_server.access.tokens import new_token


def add_operator_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to a parser."""
    token = commands.add_parser(
        "token",
        help="make a bearer token for a caller",
        description="Makes a bearer token. Give the token to the caller safely: it is shown this once. The line, "
        "which holds only its hash, belongs into the file of --token-file. A policy calls its bearer token:NAME.",
    )
    token.add_argument("name", metavar="NAME", help="whose token it is")
    token.add_argument("--json", action="store_true", help="print one JSON object")
    token.set_defaults(run=_token)


def _token(parsed: argparse.Namespace) -> int:
    try:
        token, line = new_token(parsed.name)
    except ValueError as wrong:
        print(f"cloneservice-server: {wrong}")  # noqa: T201 - a command's answer
        return 2
    if parsed.json:
        print(json.dumps({"token": token, "line": line}))  # noqa: T201 - a command's answer
    else:
        print(f"token (for the caller, shown this once): {token}\nline (for --token-file): {line}")  # noqa: T201 - as above
    return 0
