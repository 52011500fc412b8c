"""What each program says of itself under `--help`, as a page: the program, then each of its commands."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from unittest import mock

from cloneservice.cli._arguments import parser as client_parser
from cloneservice.cli._commands import COMMANDS
from cloneservice_server.cli import _parser as server_parser
from fake_stripe.cli import _parser as double_parser

PARSERS: dict[str, Callable[[], argparse.ArgumentParser]] = {
    "cloneservice": lambda: client_parser(COMMANDS),
    "cloneservice-server": server_parser,
    "fake-stripe": double_parser,
}
INTRODUCTIONS = {
    "cloneservice": "The Python client in a shell; comes with the package, without any extra.",
    "cloneservice-server": "The service; comes with the extra `server`. Its [settings](../settings.md) have a page.",
    "fake-stripe": "The Stripe double; comes with the extra `fake`. [More about it](../fake-stripe.md).",
}


def page(program: str) -> str:
    """The page of one program, as it describes itself at this moment."""
    with mock.patch.dict(os.environ, COLUMNS="92", NO_COLOR="1"):
        sections = "\n".join(_sections(program, PARSERS[program](), depth=2))
    return f"# {program}\n\n{INTRODUCTIONS[program]} Each program tells the same under `--help`.\n\n{sections}\n"


def _sections(words: str, parser: argparse.ArgumentParser, depth: int) -> Iterator[str]:
    yield f"{'#' * depth} `{words}`\n\n```text\n{parser.format_help().rstrip()}\n```\n"
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                yield from _sections(f"{words} {name}", command, depth=3)
