"""The documentation in a real browser, opened from a folder: it asks no network for anything, and fits its window.

For `make ui`, after `make docs`. Screenshots are left in tests/ui/screenshots.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SITE = ROOT / "build/site"
SHOTS = ROOT / "tests/ui/screenshots"
pytestmark = [
    pytest.mark.skipif("UI" not in os.environ, reason="`make ui` brings a browser; `make test` stays short"),
    pytest.mark.skipif(not (SITE / "index.html").is_file(), reason="there is no build/site: run `make docs` first"),
]
LOOKED_AT = ("index", "quickstart", "concepts/saga", "how-to/migrate", "reference/errors", "benchmarks/results")
LOOKS = {"light": ("light", 1440), "dark": ("dark", 1440), "narrow": ("light", 400)}


def address(page: str) -> str:
    return f"file://{SITE}/{page}.html"


def test_no_page_asks_for_anything_but_files_or_complains(browser: Any) -> None:
    pages = sorted(path.relative_to(SITE).with_suffix("").as_posix() for path in SITE.rglob("*.html"))
    asked: list[str] = []
    said: list[str] = []
    tab = browser.new_page()
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("pageerror", lambda error: said.append(str(error)))
    for page in pages:
        tab.goto(address(page))
    tab.close()

    assert len(pages) > 40
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert said == []


def test_a_folder_can_be_searched(browser: Any) -> None:
    tab = browser.new_page()
    tab.goto(address("index"))
    tab.locator("input.md-search__input").press_sequentially("indeterminate")
    tab.locator(".md-search-result__list a[href*='how-to/recover']").first.wait_for()
    tab.close()


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("page", LOOKED_AT)
def test_a_page_fits_its_window(page: str, look: str, browser: Any) -> None:
    scheme, width = LOOKS[look]
    tab = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
    tab.goto(address(page))
    SHOTS.mkdir(parents=True, exist_ok=True)
    tab.screenshot(path=SHOTS / f"docs-{page.replace('/', '-')}-{look}.png")
    overflow = tab.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    tab.close()

    assert overflow <= 0


def test_drawings_take_the_colours_of_the_page(browser: Any) -> None:
    inks = []
    for scheme in ("light", "dark"):
        tab = browser.new_page(color_scheme=scheme)
        tab.goto(address("concepts/saga"))
        inks.append(tab.locator("figure.drawing text").first.evaluate("node => getComputedStyle(node).fill"))
        tab.close()

    light, dark = inks
    assert light != dark


def test_a_console_is_copied_without_its_prompts(browser: Any) -> None:
    tab = browser.new_page()
    tab.goto(address("quickstart"))
    code = tab.locator("pre code").filter(has_text="clone-and-charge").first
    code.evaluate("node => node.setAttribute('data-md-copying', '')")
    copied = code.inner_text()
    tab.close()

    assert copied.lstrip().startswith("cloneservice clone-and-charge")
    assert "succeeded" not in copied
