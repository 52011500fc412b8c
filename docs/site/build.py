"""Build the documentation site into build/site: stage its pages, have them rendered, look that it is whole.

    python -m docs.site.build            (or `make docs`)

Fails on a link or an anchor that leads nowhere, on a page that no menu shows, and on anything that a reader's browser
would fetch from elsewhere: the site works without a network, from a folder, too.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

from docs.site import commands, contract
from docs.site.pages import Site

ROOT = Path(__file__).resolve().parents[2]
STAGED, BUILT = ROOT / "build/site-pages", ROOT / "build/site"
FETCHING = {
    "script": "src",
    "link": "href",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "use": "href",
}
"""Elements that a browser fetches something for, to the attribute that says what."""


class Fetched(HTMLParser):
    """What a page makes a browser fetch from another host."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep addresses that leave the site."""
        said = dict(attrs)
        address = said.get(FETCHING.get(tag, "")) or ""
        if re.match(r"(?:[a-z]+:)?//", address) and said.get("rel") != "canonical":
            self.found.append(f"<{tag}> {address}")


def fetched_from_elsewhere(built: Path) -> list[str]:
    """Everything on the built site that needs a network, with its page."""
    found = []
    for page in sorted(built.rglob("*.html")):
        reader = Fetched()
        reader.feed(page.read_text(encoding="utf-8"))
        found += [f"{page.relative_to(built)}: {what}" for what in reader.found]
    for sheet in sorted(built.rglob("*.css")):
        addresses = re.findall(r"(?:@import|url\()\s*['\"]?((?:https?:)?//[^'\")]+)", sheet.read_text(encoding="utf-8"))
        found += [f"{sheet.relative_to(built)}: {address}" for address in addresses]
    return found


def main() -> int:
    """Build; the exit code."""
    described = contract.Contract(contract.descriptors())
    made: dict[str, Callable[[], str]] = {
        "reference/rpcs.md": described.rpcs_page,
        "reference/messages.md": described.messages_page,
        "reference/errors.md": described.errors_page,
        **{f"reference/{program}.md": partial(commands.page, program) for program in commands.PARSERS},
    }
    count = Site(ROOT, STAGED, made).stage()
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--clean", "--config-file"]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # an advertisement, printed in colours
    rendered = subprocess.run([*command, str(ROOT / "docs/site/mkdocs.yml")], env=quiet, check=False)
    if rendered.returncode != 0:
        return rendered.returncode
    if found := fetched_from_elsewhere(BUILT):
        print("\n".join(["a reader's browser would fetch:", *found]), file=sys.stderr)
        return 1
    print(f"{count} pages in {BUILT.relative_to(ROOT)}/index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
