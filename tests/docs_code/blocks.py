"""The fenced blocks of every page that people read, as Sybil's lexer finds them.

A block of a language that can be run is run, unless the line above it says why it cannot be:

    <!-- not run: needs a Kubernetes cluster -->
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sybil import Document
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer

from docs.site.pages import OUTSIDE

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = {"python", "console", "go", "js", "ts", "java"}
"""Languages of blocks that are run."""
TEXT = {"text", "sql"}
"""Languages of blocks that show something."""
NOT_RUN = {
    ("README.md", "$ make demo"): "make demo is a step of .ci/run itself",
    ("README.md", "$ grpcurl"): "needs grpcurl, which no registry of ours has; the same call is in tests/mesh",
    ("README.md", "$ cloneservice-server check --ledger postgresql"): "needs a PostgreSQL that is reachable there",
    ("client/node/README.md", "const client"): "a fragment: src and test hold the whole, which make polyglot runs",
}
"""Pages whose blocks bear no marker: page and beginning of the block to the reason for not running it."""
_ANY_LANGUAGE = RawFencedCodeBlockLexer(re.compile(r"(?P<language>[^\n]*)$\n", re.MULTILINE))
_MARKER = re.compile(r"<!-- not run: (?P<reason>[^\n]+?) -->\n[ ]*\Z")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block."""

    page: str
    line: int
    """Of the fence, from 1."""
    language: str
    code: str
    not_run: str = ""
    """The reason given for not running it."""

    @property
    def place(self) -> str:
        """Where to find it."""
        return f"{self.page}:{self.line}"

    @property
    def file(self) -> str:
        """The name of the file that it is, if its first line says so: the page's commands run it."""
        named = re.match(r"# (\w+\.py)\n", self.code)
        return named[1] if named and self.language == "python" else ""

    @property
    def is_test(self) -> bool:
        """Whether it is a test file and not a program."""
        return self.language == "python" and "def test_" in self.code


def pages() -> list[str]:
    """Every page with prose for people, by its path in the repository."""
    of_docs = (path for path in (ROOT / "docs").rglob("*.md"))
    return sorted({"README.md", *OUTSIDE, *(path.relative_to(ROOT).as_posix() for path in of_docs)})


@cache
def blocks() -> tuple[Block, ...]:
    """All blocks of all pages, in their order."""
    return tuple(block for page in pages() for block in blocks_of(page, (ROOT / page).read_text(encoding="utf-8")))


def blocks_of(page: str, text: str) -> Iterator[Block]:
    """The blocks of one page."""
    for region in _ANY_LANGUAGE(Document(text, page)):
        before = text[: region.start]
        marker = _MARKER.search(before)
        language = region.lexemes["language"].strip().partition(" ")[0]
        code = str(region.lexemes["source"])
        reason = marker["reason"] if marker else _reason(page, code)
        yield Block(page, before.count("\n") + 1, language, code, reason)


def _reason(page: str, code: str) -> str:
    found = [reason for (where, start), reason in NOT_RUN.items() if page == where and code.startswith(start)]
    return found[0] if found else ""


def runnable(*languages: str) -> list[Block]:
    """The blocks of these languages that are to be run."""
    return [block for block in blocks() if block.language in languages and not block.not_run]
