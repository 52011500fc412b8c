"""A real Chromium before a real double: what `make ui` runs. Screenshots are kept in `tests/ui/screenshots`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fake_stripe.ui.naming import address_of

from tests.fake_stripe.page_story import Story, shop_api, tell
from tests.fake_stripe.stripe_calls import Api

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

if "UI" not in os.environ:  # `make ui` sets it, and brings Playwright; `make test` does without, and stays short
    collect_ignore_glob = ["test_*.py"]

SCREENSHOTS = Path(__file__).with_name("screenshots")
# Without these Chromium looks for Google's hosts at every start, and waits where there is no way out.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium() -> str:
    """Where the browser is; a pytest failure that says what to do when there is none."""
    named = os.environ.get("CHROMIUM")
    names = [named] if named else ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.exit(
            f"no browser ({', '.join(names)}): install Chromium, or name one: CHROMIUM=/path/to/chrome make ui", 2
        )
    return found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for the session."""
    from playwright.sync_api import sync_playwright  # only `make ui` brings it

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        yield found
        found.close()


@pytest.fixture
def api() -> Iterator[Api]:
    """A double that serves HTTP, with an empty world `shop`."""
    found = shop_api()
    with found.fake:
        yield found


@pytest.fixture
def story(api: Api) -> Story:
    """The story, told in that world."""
    return tell(api)


@pytest.fixture
def open_page(browser: Browser, api: Api) -> Iterator[Callable[..., Page]]:
    """Opens a page of the world in a browser of a given size and scheme; any complaint of the browser is a failure."""
    complaints: list[str] = []
    contexts = []

    def opened(path: str = "/", *, width: int = 1440, height: int = 900, scheme: str = "light") -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            reduced_motion="reduce",
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(api.fake.url + (path if path.startswith("/_fake") else address_of("shop") + path))
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def keep(page: Page, name: str) -> None:
    """Keep a screenshot as an artefact."""
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")
