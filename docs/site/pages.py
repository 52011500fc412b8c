"""The pages of the site, put together in one folder before any builder sees them.

Pages stay where they are useful in the repository (`docs/`, but also `fake_stripe/README.md` and the like), with links
that work there. Here they are gathered, and each link is turned to where its target went. What a link names that is no
page of the site (source code, say) becomes plain text; what does not exist is an error.

Staged like this the site depends on no builder's plugins: any that reads Markdown can take the folder.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

OUTSIDE = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "report-a-weakness.md",
    "bench/README.md": "benchmarks/index.md",
    "bench/results/README.md": "benchmarks/results.md",
    "client/go/README.md": "clients/go.md",
    "client/java/README.md": "clients/java.md",
    "client/node/README.md": "clients/node.md",
    "deploy/envoy/README.md": "deploy/envoy.md",
    "deploy/kubernetes/README.md": "deploy/kubernetes.md",
    "fake_stripe/DEVIATIONS.md": "fake-stripe-deviations.md",
    "fake_stripe/README.md": "fake-stripe.md",
}
"""Pages that live elsewhere in the repository, to where they are on the site."""
STANDS_FOR = {
    "README.md": "index.md",
    "protos/cloneservice/v1/clone_service.proto": "reference/rpcs.md",
    "protos/cloneservice/v1/errors.proto": "reference/errors.md",
    "protos/cloneservice/v1/types.proto": "reference/messages.md",
}
"""Files that have a page made from them, or instead of them."""
FENCE = re.compile(r"^[ >]*(```+|~~~+)")
LINK = re.compile(r"(?P<image>!?)\[(?P<text>(?:[^\[\]`]|`[^`]*`)*)\]\((?P<target>[^)\s]+)\)")
DRAWING = re.compile(r"^!\[[^\]]*\]\((?P<target>[^)\s]*drawings/[^)\s]+\.svg)\)$", re.MULTILINE)
TABS = re.compile(r"^<!-- tabs -->\n(.*?)^<!-- /tabs -->\n", re.MULTILINE | re.DOTALL)


class BrokenLink(Exception):  # noqa: N818 - reads as what happened
    """A page links to a file that is not there."""


@dataclass
class Site:
    """The staging folder, and what goes where in it."""

    root: Path
    """Of the repository."""
    folder: Path
    """Where the pages are staged; emptied first."""
    made: Mapping[str, Callable[[], str]] = field(default_factory=dict)
    """Pages that are generated: place on the site to what makes them."""
    places: dict[str, str] = field(default_factory=dict)
    """Path in the repository to place on the site, of every page."""

    def stage(self) -> int:
        """Write all pages and what they show; how many pages there are."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.places = {**STANDS_FOR, **OUTSIDE, **dict(self._pages_of_docs())}
        sources = {source: place for source, place in self.places.items() if source not in STANDS_FOR}
        for source, place in sources.items():
            self._write(place, self.turned(source, (self.root / source).read_text(encoding="utf-8")))
        for place, make in self.made.items():
            self._write(place, make())
        shutil.copytree(self.root / "docs/site/assets", self.folder / "assets")
        return len(sources) + len(self.made)

    def turned(self, source: str, text: str) -> str:
        """The text of the page at `source` as the site shows it."""
        place = self.places[source]
        text = DRAWING.sub(lambda found: self._drawn(source, found), text)
        text = "".join(self._lines(source, place, text))
        return TABS.sub(lambda found: tabbed(found[1]), text)

    def _pages_of_docs(self) -> Iterator[tuple[str, str]]:
        for path in sorted((self.root / "docs").rglob("*.md")):
            inside = path.relative_to(self.root / "docs").as_posix()
            if not inside.startswith("site/"):
                yield f"docs/{inside}", inside

    def _lines(self, source: str, place: str, text: str) -> Iterator[str]:
        fence = ""
        for line in text.splitlines(keepends=True):
            if found := FENCE.match(line):
                if not fence:
                    fence = found[1]
                elif found[1].startswith(fence):
                    fence = ""
            elif not fence:
                yield LINK.sub(lambda found: self._link(source, place, found), line)
                continue
            yield line

    def _link(self, source: str, place: str, found: re.Match[str]) -> str:
        target, _, fragment = found["target"].partition("#")
        if not target or re.match(r"[a-z]+:", target):
            return found[0]
        named = os.path.normpath(Path(source).parent / target)
        anchor = f"#{fragment}" if fragment else ""
        if named in self.places:
            return f"{found['image']}[{found['text']}]({_relative(self.places[named], place)}{anchor})"
        if not (self.root / named).exists():
            raise BrokenLink(f"{source} links to {target}, which is not there")
        if (named.startswith("docs/") or found["image"]) and (self.root / named).is_file():
            shown = f"{Path(place).parent}/{Path(named).name}" if found["image"] else named.removeprefix("docs/")
            self._copy(named, shown)
            return f"{found['image']}[{found['text']}]({_relative(shown, place)}{anchor})"
        return found["text"]

    def _drawn(self, source: str, found: re.Match[str]) -> str:
        """A drawing stands in the page itself, so that it takes the page's colours and its words can be found."""
        path = self.root / os.path.normpath(Path(source).parent / found["target"])
        if not path.is_file():
            raise BrokenLink(f"{source} shows {found['target']}, which is not there")
        svg = re.sub(r"<\?xml[^>]*>|\n\s*(?=\n)", "", path.read_text(encoding="utf-8")).strip()
        return f'<figure class="drawing">\n{svg}\n</figure>\n'

    def _write(self, place: str, text: str) -> None:
        path = self.folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def _copy(self, source: str, place: str) -> None:
        path = self.folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.root / source, path)


def tabbed(text: str) -> str:
    """Sections with headings, side by side as tabs: in the repository they are read one after the other."""
    tabs = []
    for section in re.split(r"^#{2,6} ", text, flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        indented = "".join(f"    {line}" if line.strip() else line for line in body.splitlines(keepends=True))
        tabs.append(f'=== "{title.strip()}"\n{indented}')
    return "".join(tabs)


def _relative(target: str, place: str) -> str:
    return os.path.relpath(target, Path(place).parent)
