"""The double's page as its reader meets it: read, filtered, pressed, walked with the keyboard, in Chromium."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.fake_stripe.page_story import HOSTILE, Story
from tests.fake_stripe.stripe_calls import Api
from tests.ui.conftest import keep

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open = Callable[..., "Page"]
PAGES = {
    "accounts": "/",
    "lineage": "/lineage",
    "payments": "/payments",
    "requests": "/requests",
    "events": "/events",
    "faults": "/faults",
    "controls": "/controls",
}


LOOKS = {"light": ("light", 1440, 900), "dark": ("dark", 1440, 900), "narrow": ("light", 390, 844)}


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_fits_its_window(api: Api, story: Story, open_page: Open, look: str) -> None:
    scheme, width, height = LOOKS[look]
    refused = next(entry.number for entry in api.world.journal if entry.status == 402)
    pages = {**PAGES, "payment": f"/payments/{story.declined}", "request": f"/requests/{refused}"}
    for name, path in pages.items():
        page = open_page(path, width=width, height=height, scheme=scheme)
        expect(page.locator("h1")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is wider than its window"
        keep(page, f"{name}-{look}")


def test_an_empty_world_and_an_empty_server(api: Api, open_page: Open) -> None:
    page = open_page("/")
    expect(page.get_by_text("Nothing here yet")).to_be_visible()
    keep(page, "empty-world")
    api.fake.worlds.close_all()
    page = open_page("/_fake/")
    expect(page.get_by_text("No world is open yet")).to_be_visible()
    keep(page, "empty-server")


@pytest.mark.usefixtures("story")
def test_a_hostile_name_does_nothing(open_page: Open) -> None:
    page = open_page("/")
    expect(page.get_by_text(HOSTILE)).to_be_visible()
    assert page.title() == "Accounts · shop · fake_stripe"


def test_what_happens_appears_by_itself(api: Api, open_page: Open) -> None:
    page = open_page("/requests")
    expect(page.get_by_text("No calls yet")).to_be_visible()
    api.customer(name="Ada")
    expect(page.locator("a.call")).to_have_count(1)
    page.get_by_role("button", name="Live").click()
    expect(page.get_by_role("button", name="Live")).to_have_attribute("aria-pressed", "false")


def test_the_journal_is_filtered_and_a_call_opened(api: Api, story: Story, open_page: Open) -> None:
    page = open_page("/requests")
    page.get_by_label("Status").select_option("failed")
    failed = sum(1 for entry in api.world.journal if entry.status >= 400)
    expect(page.locator("a.call")).to_have_count(failed)
    assert "status=failed" in page.url
    page.get_by_label("Search").fill("insufficient")
    expect(page.locator("a.call")).to_have_count(1)
    page.locator("a.call").click()
    detail = page.locator("#detail")
    expect(detail.get_by_text("Your card has insufficient funds.").first).to_be_visible()
    expect(page.locator("a.call")).to_have_attribute("aria-current", "true")
    assert re.search(r"/requests/\d+\?", page.url)
    page.get_by_label("Search").fill("")
    page.get_by_label("Account").select_option(story.sellers[2])
    expect(page.get_by_text("No call is like that")).to_be_visible()
    page.get_by_role("link", name="Clear filter").first.click()
    expect(page.locator("a.call")).to_have_count(len(api.world.journal))


@pytest.mark.usefixtures("story")
def test_on_a_phone_an_opened_call_comes_before_the_list(api: Api, open_page: Open) -> None:
    page = open_page("/requests", width=390, height=844)
    expect(page.locator("#detail")).to_be_hidden()
    page.locator("a.call").nth(len(api.world.journal) - 1).click()
    expect(page.locator("#detail h2")).to_be_in_viewport()
    keep(page, "request-opened-narrow")


@pytest.mark.usefixtures("story")
def test_going_back_shows_the_page_before(open_page: Open) -> None:
    page = open_page("/")
    page.get_by_role("link", name="Payments", exact=True).click()
    expect(page.locator("h1")).to_have_text("Payments")
    page.go_back()
    expect(page.locator("h1")).to_have_text("Accounts")


@pytest.mark.usefixtures("story")
def test_a_challenge_is_answered_with_a_button(open_page: Open) -> None:
    page = open_page("/")
    page.get_by_role("button", name="Authenticate").click()
    expect(page.get_by_role("status")).to_contain_text("is succeeded")
    expect(page.get_by_role("button", name="Authenticate")).to_have_count(0)


@pytest.mark.usefixtures("story")
def test_a_challenge_is_failed_with_a_button(open_page: Open) -> None:
    page = open_page("/payments")
    page.get_by_role("button", name="Fail", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("is requires_payment_method")


def test_clock_snapshot_reset_and_restore(api: Api, story: Story, open_page: Open) -> None:
    page = open_page("/controls")
    page.get_by_role("button", name="Freeze").click()
    expect(page.get_by_text("Frozen at")).to_be_visible()
    page.get_by_role("button", name="Advance the clock: +7 days").click()
    expect(page.get_by_role("status")).to_contain_text("Moved on by 7 days")
    page.get_by_label("Name of the snapshot").fill("before")
    page.get_by_role("button", name="Take a snapshot").click()
    page.get_by_role("button", name="Reset this world").click()
    keep(page, "asked-before-reset")
    page.get_by_role("button", name="Leave it").click()
    assert api.world.journal
    page.get_by_role("button", name="Reset this world").click()
    page.get_by_role("button", name="Yes, do it").click()
    expect(page.get_by_role("status")).to_contain_text("begins anew")
    assert not api.world.journal
    page.get_by_role("button", name="Restore before").click()
    page.get_by_role("button", name="Yes, do it").click()
    expect(page.get_by_role("status")).to_contain_text("Back at")
    assert api.world.platform_scope(livemode=False).get("payment_method", story.card) is not None


def test_a_fault_is_added_fires_and_is_cleared(api: Api, open_page: Open) -> None:
    page = open_page("/faults")
    page.get_by_role("button", name="Add the fault: Rate limit").click()
    expect(page.get_by_role("status")).to_contain_text("Installed fault_1")
    assert api.send("GET", "/v1/customers")[0] == 429
    page.get_by_label("What happens").select_option("status-503")
    page.get_by_label("Path").fill("/v1/customers")
    page.get_by_role("button", name="Add fault", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("Installed fault_2")
    assert api.send("GET", "/v1/customers")[0] == 503
    page.get_by_role("button", name="Clear all").click()
    page.get_by_role("button", name="Yes, do it").click()
    expect(page.get_by_text("Nothing goes wrong at present")).to_be_visible()
    assert not api.world.has_faults


@pytest.mark.usefixtures("story")
def test_settle_and_an_event_delivered_again(api: Api, open_page: Open) -> None:
    page = open_page("/controls")
    page.get_by_role("button", name="Settle now").click()
    expect(page.get_by_role("status")).to_contain_text("Settled")
    page.get_by_role("link", name="Events & webhooks").click()
    page.get_by_role("button", name="Keep them here instead").click()
    expect(page.get_by_text("collect mode")).to_be_visible()
    page.get_by_role("button", name=re.compile(r"Deliver payment_intent\.requires_action")).click()
    expect(page.get_by_role("status")).to_contain_text("goes to 1 endpoint")
    expect(page.get_by_text("Kept deliveries")).to_be_visible()


@pytest.mark.usefixtures("story")
def test_the_keyboard_is_enough(open_page: Open) -> None:
    page = open_page("/")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    keep(page, "shortcuts")
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("r")
    expect(page.locator("h1")).to_have_text("Requests")
    # Links are htmx's a moment after they are there; before that they load a new page, which has no focus.
    page.wait_for_function("!document.querySelector('.htmx-added, .htmx-settling, .htmx-swapping')")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("a.call").nth(1)).to_have_attribute("aria-current", "true")
    expect(page.locator("a.call").nth(1)).to_be_focused()
    page.keyboard.press("/")
    expect(page.get_by_label("Search")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_the_theme_is_kept(open_page: Open) -> None:
    page = open_page("/", scheme="dark")
    page.get_by_role("button", name="Theme").click()
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")


def test_a_world_is_opened_by_its_key_and_chosen_from_the_list(api: Api, open_page: Open) -> None:
    page = open_page("/_fake/ui/")
    page.get_by_label("API key of a world").fill("sk_test_another")
    page.get_by_role("button", name="Open world").click()
    expect(page.get_by_text("Nothing here yet")).to_be_visible()
    assert "another" not in page.url
    page.get_by_title("All worlds").click()
    page.get_by_role("link", name="shop", exact=True).click()
    expect(page.locator("h1")).to_have_text("Accounts")
    assert sorted(api.fake.worlds.names()) == ["another", "shop"]


def test_ten_thousand_calls_are_read_in_pages(api: Api, open_page: Open) -> None:
    api.customer(name="Ada")
    world, entry = api.world, api.world.journal[-1]
    world.journal = type(world.journal)((numbered(entry, n) for n in range(1, 10_001)), maxlen=10_000)
    page = open_page("/requests")
    expect(page.locator("a.call")).to_have_count(100)
    keep(page, "ten-thousand-calls")
    page.locator("#older").click()
    expect(page.get_by_text("101–200 of 10,000 calls")).to_be_visible()  # noqa: RUF001 - the page's own dash
    page.locator("#newer").click()
    expect(page.locator("#row-10000")).to_be_visible()
    page.get_by_label("Search").fill("nothing like this")
    expect(page.get_by_text("None of the 10,000 calls")).to_be_visible()


def numbered(entry: Any, number: int) -> Any:
    twin = copy.copy(entry)
    twin.number = number
    return twin


CONTRAST = """() => {
  const paint = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const read = (colour) => { paint.clearRect(0, 0, 1, 1); paint.fillStyle = colour; paint.fillRect(0, 0, 1, 1);
    return [...paint.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => { const [x, y, z] = [r, g, b].map((v) => { v /= 255;
    return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * x + 0.7152 * y + 0.0722 * z; };
  const ground = (e) => { for (; e; e = e.parentElement) { const c = read(getComputedStyle(e).backgroundColor);
    if (c[3] === 255) return c; } return [255, 255, 255]; };
  const bad = new Set();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) { const e = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || !e.checkVisibility() || e.closest('svg, noscript, .unseen, option')) continue;
    const [a, b] = [light(read(getComputedStyle(e).color)), light(ground(e))].sort((p, q) => q - p);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) bad.add(`${ratio.toFixed(2)} ${e.className || e.tagName}: ${e.textContent.trim().slice(0, 30)}`);
  } return [...bad]; }"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_against_its_ground(api: Api, story: Story, open_page: Open, scheme: str) -> None:
    refused = next(entry.number for entry in api.world.journal if entry.status == 402)
    for path in (*PAGES.values(), f"/payments/{story.declined}", f"/requests/{refused}", f"/objects/{story.card}"):
        assert open_page(path, scheme=scheme).evaluate(CONTRAST) == [], path
