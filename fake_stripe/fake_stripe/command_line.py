"""What the three programs' command lines share: a mistake is told in two lines, with the word that was probably meant.

The same file stands in `cloneservice.cli`, `cloneservice_server` and `fake_stripe`, none of which imports another one
for that; a test keeps the three equal.
"""

from __future__ import annotations

import argparse
import difflib
import itertools
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

DISTRIBUTION = "cloneservice"


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong and where to read on, not twenty lines of usage; no flag is abbreviated."""

    def __init__(self, *, with_version: bool = False, **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **options})
        if with_version:
            self.add_argument("--version", action=_Version, nargs=0, help="print the version, and exit")

    def error(self, message: str) -> NoReturn:
        """End the program with exit code 2."""
        self.exit(2, f"{self.prog}: error: {message}\nTry `{self.prog} --help`.\n")

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> tuple[Any, list[str]]:  # type: ignore[override]  # typeshed's overloads
        """As `argparse` does, but an unknown flag is told before what is missing because of it."""
        words = list(sys.argv[1:] if args is None else args)
        # Flags behind a command are that command's: only those before it are this parser's.
        own = itertools.takewhile(lambda word: word.startswith("--"), words) if self._subparsers else iter(words)
        for word in itertools.takewhile(lambda word: word != "--", own):
            flag = word.partition("=")[0]
            if flag.startswith("--") and flag not in self._option_string_actions:
                self.error(f"there is no {flag}{near(flag, self._option_string_actions)}")
        return super().parse_known_args(words, namespace)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        choices = [str(choice) for choice in action.choices]
        meant = near(str(value), choices)
        if action.nargs == argparse.PARSER:
            told = f"there is no command {value!r}{meant or ': there are ' + ', '.join(choices)}"
            raise argparse.ArgumentError(None, told)
        raise argparse.ArgumentError(action, f"{value!r} is none of {', '.join(choices)}{meant}")


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        sys.stdout.write(f"{parser.prog} {installed_version()}\n")
        parser.exit()


def installed_version() -> str:
    """Of the distribution that all three programs belong to."""
    import importlib.metadata  # noqa: PLC0415 - a fifth of fake_stripe's start, and seldom asked for

    try:
        return importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return "of a source tree that is not installed"


def near(word: str, known: Iterable[str]) -> str:
    """`; did you mean ...?`, or nothing where no known word is close."""
    found = difflib.get_close_matches(word.lower().replace("_", "-"), list(known), 1)
    return f"; did you mean {found[0]}?" if found else ""
