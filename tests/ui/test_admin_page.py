"""The service's admin page in a real browser: legible, quiet, keyboard-operable, and nothing on it runs. For `make ui`.

Screenshots are left in tests/ui/screenshots for whoever reviews them.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cloneservice_server.clock import SystemClock
from cloneservice_server.domain.batches import ItemState
from cloneservice_server.domain.values import PlatformCustomer
from cloneservice_server.ports import PutPlatformCustomer
from cloneservice_server.ports_batches import ItemDone

from tests import admin_scenes as scenes
from tests.admin_site import AdminSite, admin_site

pytestmark = pytest.mark.skipif("UI" not in os.environ, reason="`make ui` brings a browser; `make test` stays short")

ROOT = Path(__file__).parents[2]
SHOTS = ROOT / "tests/ui/screenshots"
PAGES = {
    "overview": "",
    "shopper": f"shoppers/{scenes.SHOPPER}",
    "request-refused": f"requests/{scenes.DECLINED}",
    "request-unknown": f"requests/{scenes.UNKNOWN}",
    "batch": f"batches/{scenes.BATCH}",
    "batches": "batches",
    "charges": "charges",
    "charge": "charges/chg_00000000-0000-5000-8000-000000000004",
    "clone": "clones/cln_00000000-0000-5000-8000-000000000905",
    "basket": f"baskets/{scenes.BASKET}",
    "requests": "requests",
    "events": "events",
    "search": "search?q=nothing",
    "seller": f"accounts/{scenes.SELLERS[6]}",
}
LOOKS = {"light": ("light", 1440), "dark": ("dark", 1440), "narrow": ("light", 400)}
MARKUP = "<img src=x onerror=\"document.title='ran'\"><script>document.title='ran'</script>"


@contextmanager
def serving(*, filled: bool) -> Iterator[tuple[AdminSite, asyncio.AbstractEventLoop]]:
    """The page in a thread with a loop of its own."""
    loop, clock = asyncio.new_event_loop(), SystemClock()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    site = admin_site(clock, mode="test" if filled else "a double")
    running = asyncio.run_coroutine_threadsafe(site.__aenter__(), loop).result(30)
    if filled:
        asyncio.run_coroutine_threadsafe(scenes.fill(running.ledger, clock.now_us()), loop).result(60)
    try:
        yield running, loop
    finally:
        asyncio.run_coroutine_threadsafe(site.__aexit__(None, None, None), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def site() -> Iterator[AdminSite]:
    with serving(filled=True) as (running, _):
        yield running


@contextmanager
def opened(browser: Any, site: AdminSite, *, scheme: str = "light", width: int = 1440) -> Iterator[Any]:
    """A page of a reader with a token; fails at the end on anything that the browser complained of."""
    context = browser.new_context(
        color_scheme=scheme,
        viewport={"width": width, "height": 900},
        http_credentials={"username": site.user, "password": site.token, "origin": site.url},
    )
    page, complaints = context.new_page(), []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        yield page
    finally:
        context.close()
    assert complaints == []


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_quiet_and_as_wide_as_its_window(browser: Any, site: AdminSite, name: str, look: str) -> None:
    scheme, width = LOOKS[look]
    with opened(browser, site, scheme=scheme, width=width) as page:
        answer = page.goto(f"{site.url}/admin/{PAGES[name]}")
        SHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SHOTS / f"admin-{name}-{look}.png", full_page=True)

        assert answer.status == 200
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
            "rgb(14, 17, 22)" if scheme == "dark" else "rgb(246, 248, 250)"
        )
        assert page.locator("h1, h2").first.is_visible()
        unnamed = "[...document.querySelectorAll('a, button, input, select')].filter(one => !(one.innerText || "
        unnamed += "one.textContent || one.ariaLabel || (one.labels && one.labels.length))).map(one => one.outerHTML)"
        assert page.evaluate(unnamed) == []


def test_an_empty_ledger_has_a_page_too(browser: Any) -> None:
    with serving(filled=False) as (empty, _), opened(browser, empty) as page:
        page.goto(f"{empty.url}/admin/")
        SHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SHOTS / "admin-empty.png")

        assert page.get_by_text("None: every request has its answer.").is_visible()
        assert page.get_by_text("On a double of Stripe").is_visible()


def test_without_a_token_the_browser_shows_nothing(browser: Any, site: AdminSite) -> None:
    context = browser.new_context()
    page = context.new_page()

    with pytest.raises(
        Exception, match="ERR_INVALID_AUTH_CREDENTIALS"
    ):  # a person would be asked for name and password
        page.goto(f"{site.url}/admin/charges")
    context.close()


def test_an_id_is_typed_and_found(browser: Any, site: AdminSite) -> None:
    with opened(browser, site) as page:
        page.goto(f"{site.url}/admin/")
        page.get_by_label("Find any id").fill("req_Declined00001")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/admin/requests/{scenes.DECLINED}")
        link = page.get_by_role("link", name="req_Declined00001").first

        assert link.get_attribute("href") == "https://dashboard.stripe.com/test/workbench/logs?object=req_Declined00001"


def test_the_lineage_is_walked_by_keyboard(browser: Any, site: AdminSite) -> None:
    with opened(browser, site) as page:
        page.goto(f"{site.url}/admin/shoppers/{scenes.SHOPPER}")
        page.keyboard.press("Tab")
        skip = page.evaluate("document.activeElement.textContent")
        clone = page.get_by_role("link", name="Visa •••• 4242, stale, clone at").first
        clone.focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**/admin/clones/*")

        assert skip == "Skip to the content"
        assert page.get_by_role("heading", name="Steps that made it").is_visible()


def test_what_was_written_into_a_label_does_not_run(browser: Any) -> None:
    with serving(filled=False) as (site, loop):
        customer = PlatformCustomer("cus_1", MARKUP, metadata={MARKUP: MARKUP})
        write = site.ledger.commit(None, [PutPlatformCustomer(customer)])
        asyncio.run_coroutine_threadsafe(write, loop).result(30)
        with opened(browser, site) as page:
            page.goto(f"{site.url}/admin/shoppers/cus_1")

            assert page.title() == "Shopper · CloneService"
            assert page.locator("h1").inner_text() == MARKUP


def test_a_batch_is_followed_without_a_script(browser: Any) -> None:
    with serving(filled=False) as (site, loop), opened(browser, site) as page:
        asyncio.run_coroutine_threadsafe(scenes.batch(site.ledger, items=40, done=10), loop).result(30)
        page.goto(f"{site.url}/admin/batches/{scenes.BATCH}")
        page.get_by_role("link", name="Follow").click()
        page.get_by_text("10 of 40 · 25 %").wait_for()
        more = [ItemDone(number, ItemState.SUCCEEDED, 1) for number in range(10, 30)]
        asyncio.run_coroutine_threadsafe(site.ledger.finish_items(scenes.BATCH, more), loop).result(30)

        page.get_by_text("30 of 40 · 75 %").wait_for(timeout=30_000)
        assert page.locator("progress").first.evaluate("one => one.value / one.max") == 0.75
