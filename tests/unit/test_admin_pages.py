"""The admin page: it reads and never writes, shows no secret, escapes everything, and answers without a ledger."""

from __future__ import annotations

import asyncio
import html
import io
import json
import logging
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cloneservice_server.domain.commands import NewCustomer, SavePaymentMethod
from cloneservice_server.domain.errors import InternalError, encode
from cloneservice_server.domain.values import NextAction, PlatformCustomer, RequestState
from cloneservice_server.ledger.view import SqlView, open_view
from cloneservice_server.ledger_commands import export
from cloneservice_server.pages.addresses import PAGE_SIZE
from cloneservice_server.pages.lineage import BOX_HEIGHT, BOX_WIDTH, METHOD_WIDTH, graph_of
from cloneservice_server.pages.lookup import look_up
from cloneservice_server.pages.rendering import HEADERS
from cloneservice_server.ports import (
    FinishRequest,
    LedgerUnavailable,
    NewEffect,
    PutCharge,
    PutClone,
    PutPlatformCustomer,
    SettleEffect,
    StripeCall,
)
from cloneservice_server.settings import SettingsError, load

from tests import admin_scenes as scenes
from tests.admin_site import AdminSite, admin_site
from tests.virtual_clock import VirtualClock

ROOT = Path(__file__).parents[2]
LINK = re.compile(r'href="(/admin/[^"]*)"')


class Ticking(VirtualClock):
    """A millisecond goes by at each look, so that things have an order."""

    def now_us(self) -> int:
        self.advance(0.001)
        return super().now_us()


@pytest.fixture
async def site() -> AsyncIterator[AdminSite]:
    """The page over a ledger in memory that has seen some weeks."""
    clock = Ticking()
    async with admin_site(clock) as running:
        await scenes.fill(running.ledger, clock.now_us(), items=60)
        yield running


async def crawl(site: AdminSite) -> dict[str, str]:
    """Every page that can be reached from the overview, and its text."""
    seen: dict[str, str] = {}
    ahead = ["/admin/", "/admin/search?q=nothing"]
    while ahead:
        path = ahead.pop()
        if path in seen:
            continue
        status, seen[path], _ = await site.answer(path)
        assert status == 200 or (status == 404 and path.startswith("/admin/shoppers/cus_Batch")), path
        ahead += [html.unescape(link) for link in LINK.findall(seen[path])]
    return seen


async def stored(site: AdminSite) -> str:
    text = io.StringIO()
    await export(site.ledger, text)
    return text.getvalue()


# ------------------------------------------------------------------------------------------------ it reads, that is all


async def test_every_page_can_be_reached_and_looking_changes_nothing(site: AdminSite) -> None:
    before = await stored(site)
    seen = await crawl(site)

    kinds = {path.removeprefix("/admin/").partition("?")[0].partition("/")[0] for path in seen}
    assert kinds >= {"", "requests", "shoppers", "accounts", "clones", "charges", "baskets", "batches", "events"}
    assert await stored(site) == before


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
@pytest.mark.parametrize("path", ["/admin/", f"/admin/requests/{scenes.PARKED}", f"/admin/batches/{scenes.BATCH}"])
async def test_only_get_and_head_are_methods(site: AdminSite, method: str, path: str) -> None:
    status, body, headers = await site.answer(path, method=method)

    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    assert "read only" in body


async def test_no_page_has_a_form_that_posts_a_script_or_a_style_of_its_own(site: AdminSite) -> None:
    pages = await crawl(site)
    wrong = re.compile(
        r"<script|<iframe|<object|<embed|<base|\sstyle=|<style|\son\w+=|javascript:|method=", re.IGNORECASE
    )

    assert {path: found[0] for path, body in pages.items() if (found := wrong.search(body))} == {}


async def test_head_answers_as_get_without_a_body(site: AdminSite) -> None:
    status, body, headers = await site.answer("/admin/charges", method="HEAD")

    assert (status, body, headers["Content-Type"]) == (200, "", "text/html; charset=utf-8")


async def test_the_address_without_its_last_slash_leads_there(site: AdminSite) -> None:
    status, _, headers = await site.answer("/admin", token="")

    assert (status, headers["Location"]) == (302, "/admin/")


# ------------------------------------------------------------------------------------------------------- who may look


async def test_without_a_token_nothing_is_shown_but_probes_and_metrics_are_as_ever(site: AdminSite) -> None:
    asked = {path: await site.answer(path, token="") for path in ("/admin/", "/admin/static/style.css", "/admin/x")}

    assert {status for status, _, _ in asked.values()} == {401}
    assert asked["/admin/"][2]["WWW-Authenticate"].startswith("Basic realm=")
    for path in ("/metrics", "/livez", "/readyz"):
        status, _, headers = await site.answer(path, token="")
        assert status == 200
        assert "Content-Security-Policy" not in headers


async def test_a_wrong_token_is_logged_without_the_token(site: AdminSite, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "cloneservice.audit")
    await site.answer("/admin/charges?state=declined", token="cst_wrongwrongwrong")
    await site.answer("/admin/charges?state=declined")
    fields = [getattr(record, "fields", {}) for record in caplog.records if record.name == "cloneservice.audit"]

    assert fields == [
        {"decision": "deny", "page": "/admin/charges", "status": 401},
        {"decision": "allow", "caller": "token:oncall", "page": "/admin/charges"},
    ]
    assert "wrongwrong" not in caplog.text


async def test_guessing_is_bounded(site: AdminSite) -> None:
    statuses = [(await site.answer("/admin/", token=f"cst_{n}"))[0] for n in range(12)]

    assert statuses == [401] * 10 + [429] * 2
    assert (await site.answer("/admin/"))[2]["Retry-After"] == "60"
    assert (await site.answer("/readyz", token=""))[0] == 200


async def test_every_answer_of_the_page_bears_the_headers_that_keep_it_to_its_reader(site: AdminSite) -> None:
    answers = [
        await site.answer("/admin/"),
        await site.answer("/admin/", token=""),
        await site.answer("/admin/nothing"),
        await site.answer("/admin/charges?after=nonsense"),
        await site.answer("/admin/", method="POST"),
        await site.answer("/admin/static/style.css"),
        await site.answer(f"/admin/search?q={scenes.CHARGE}"),
        *[await site.answer("/admin/", token="cst_wrong") for _ in range(11)],
    ]

    assert {status for status, _, _ in answers} == {200, 302, 400, 401, 404, 405, 429}
    assert [
        status for status, _, got in answers if any(got.get(name) != value for name, value in HEADERS.items())
    ] == []
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script-src" not in policy
    assert "unsafe" not in policy


def test_there_is_no_page_unless_it_is_asked_for(tmp_path: Path) -> None:
    settings = load({"stripe": "fake", "admin_listen": "127.0.0.1:0"}, {})
    assert settings.admin_token_file == ""

    with pytest.raises(SettingsError, match="--admin-token-file is for the page on the admin port"):
        load({"stripe": "fake", "admin_token_file": str(tmp_path / "tokens")}, {})


# ----------------------------------------------------------------------------------------------- what is never shown

SECRETS = {
    "client secret": "pi_3Abc_secret_SoSecret1",
    "Stripe key": "sk_test_SoSecret22222222",
    "webhook secret": "whsec_SoSecret33333333",
    "bearer token": "cst_SoSecret44444444",
    "card": "4000056655665556",
    "e-mail": "zoe.so.secret@example.com",
    "link with a secret": "https://hooks.stripe.com/a?client_secret=src_client_secret_SoSecret5",
}
MARKUP = "<script>alert('x')</script><img src=x onerror=alert(1)>\"'"


async def plant(site: AdminSite, text: str, request_id: str = "7e2a0b4f-0d0d-4c51-8674-8a0f2d4b6c78") -> None:
    """Put `text` wherever a caller or Stripe can put one."""
    now_us = VirtualClock().now_us()
    metadata = {"note": text, text: "as a key"}
    clone = replace(
        scenes.clones(now_us)[0],
        clone_id="cln_planted",
        metadata=metadata,
        last_error=encode(InternalError(text, metadata)),
    )
    clone = replace(clone, reusable=False, connected_customer_id=text, connected_object_id=text)
    charge = scenes.charges(now_us)[3]
    assert charge.decline is not None
    decline = replace(charge.decline, message=text, decline_code=text)
    action = NextAction("redirect", redirect_url=text)
    charge = replace(
        charge, charge_id="chg_planted", metadata=metadata, decline=decline, next_action=action, request_id=request_id
    )
    customer = PlatformCustomer(scenes.SHOPPER, text, scenes.VISA, metadata)
    await site.ledger.commit(None, [PutClone(clone), PutCharge(charge), PutPlatformCustomer(customer)])
    new = NewCustomer(text, email=text, name=text, metadata=metadata)
    claim = await scenes.begin(site.ledger, request_id, SavePaymentMethod("pm_1", new_customer=new), text)
    call = StripeCall(
        "POST", "/v1/customers", params={"email": text, "name": text, "metadata": metadata, "deep": [{"x": text}]}
    )
    await site.ledger.intend(claim, [], NewEffect(f"platform_customer:{request_id}", "platform_customer", call))
    settled = SettleEffect(f"platform_customer:{request_id}", 0, "cus_planted", {"id": "cus_planted", "kept": text})
    failed = FinishRequest(
        RequestState.FAILED,
        result=json.dumps({"client_secret": text, "x": text}),
        error=encode(InternalError(text, metadata)),
    )
    await site.ledger.commit(claim, [settled, failed])


@pytest.mark.parametrize("secret", SECRETS.values(), ids=list(SECRETS))
async def test_no_page_shows_a_secret_wherever_it_got_in(secret: str) -> None:
    clock = VirtualClock()
    async with admin_site(clock) as site:
        await scenes.fill(site.ledger, clock.now_us(), items=6)
        await plant(site, secret)
        pages = await crawl(site)

    assert "/admin/clones/cln_planted" in pages
    assert "/admin/charges/chg_planted" in pages
    assert "/admin/requests/7e2a0b4f-0d0d-4c51-8674-8a0f2d4b6c78" in pages
    assert [
        path for path, body in pages.items() if "SoSecret" in body or "so.secret" in body or secret[-6:] in body
    ] == []


async def test_every_value_is_escaped() -> None:
    clock = VirtualClock()
    async with admin_site(clock) as site:
        await scenes.fill(site.ledger, clock.now_us(), items=6)
        await plant(site, MARKUP)
        pages = await crawl(site)
        found = await site.page(f"search?q={MARKUP.replace('<', '%3C').replace('#', '')}x")

    assert [path for path, body in {**pages, "search": found}.items() if "<script" in body or "<img" in body] == []
    shown = [path for path, body in pages.items() if "&lt;script&gt;" in body]
    assert f"/admin/shoppers/{scenes.SHOPPER}" in shown
    assert len(shown) > 5


# ------------------------------------------------------------------------------------------------------ what is shown


async def test_one_shopper_is_shown_over_all_sellers(site: AdminSite) -> None:
    body = await site.page(f"shoppers/{scenes.SHOPPER}")

    assert [account for account in scenes.SELLERS if account not in body] == []
    assert body.count('class="lane"') == 12
    for words in (
        "shopper-10042",
        "access withdrawn",
        "charges disabled",
        "superseded",
        "stale",
        "Mastercard •••• 4444",
    ):
        assert words in body
    assert "197.18 EUR, 2,021.51 USD" in body
    assert "2 charges, 1 declined" in body


def test_no_box_of_the_drawing_lies_upon_another() -> None:
    now_us = VirtualClock().now_us()
    many = [replace(clone, platform_payment_method_id=f"pm_{n % 3}") for n, clone in enumerate(scenes.clones(now_us))]
    graph = graph_of(many, scenes.charges(now_us), (), {}, now_us=now_us)
    clones = [(box.x, box.y) for band in graph.bands for box in band.boxes]
    boxes = clones + [(one.x, one.y) for one in graph.methods]

    assert len(boxes) == len(many) + 3
    assert min(x for x, _ in clones) > max(one.x for one in graph.methods) + METHOD_WIDTH
    for x, y in boxes:
        assert 0 <= x <= graph.width - BOX_WIDTH
        assert 0 <= y <= graph.height - BOX_HEIGHT
        assert [1 for a, b in boxes if abs(a - x) < BOX_WIDTH and abs(b - y) < BOX_HEIGHT] == [1]


async def test_a_request_shows_its_steps_and_leads_to_stripes_log(site: AdminSite) -> None:
    body = await site.page(f"requests/{scenes.DECLINED}")

    steps = re.findall(r'<span class="strong">([^<]+)</span> <span class="badge \w+">([^<]+)</span>', body)
    assert steps == [
        ("Clone to the connected account", "done"),
        ("Create the connected customer", "done"),
        ("Create the PaymentIntent", "done"),
        ("Confirm the PaymentIntent", "refused"),
    ]
    assert "https://dashboard.stripe.com/test/workbench/logs?object=req_Declined00001" in body
    assert "CARD_DECLINED" in body
    assert "epoch 1" in body
    unknown = await site.page(f"requests/{scenes.UNKNOWN}")
    assert "outcome open" in unknown
    assert "STRIPE_OUTCOME_UNKNOWN" in unknown
    running = await site.page(f"requests/{scenes.RUNNING}")
    assert "replica-7c41" in running


@pytest.mark.parametrize(
    ("mode", "link"),
    [
        ("live", 'href="https://dashboard.stripe.com/workbench/logs?object=req_Declined00001"'),
        ("a double", '<span class="id">req_Declined00001</span>'),
    ],
)
async def test_the_dashboard_is_that_of_the_mode_and_none_of_a_double(mode: str, link: str) -> None:
    clock = VirtualClock()
    async with admin_site(clock, mode=mode) as site:
        await scenes.fill(site.ledger, clock.now_us(), items=3)
        body = await site.page(f"requests/{scenes.DECLINED}")

    assert link in body
    assert ("dashboard.stripe.com" in body) == (mode == "live")


async def test_a_batch_shows_how_far_it_is_and_why_items_failed() -> None:
    clock = VirtualClock()
    async with admin_site(clock) as site:
        await scenes.batch(site.ledger, items=400, done=260)
        clock.advance(26.0)
        body = await site.page(f"batches/{scenes.BATCH}")
        failed = await site.page(f"batches/{scenes.BATCH}?state=failed")

    for words in ("260 of 400 · 65 %", "10.0/s", "about 14 s left", "RESOURCE_NOT_FOUND", "NOT_CLONEABLE", ">#25<"):
        assert words in body
    assert 'max="400" value="260"' in body
    assert failed.count('<span class="badge bad">failed</span>') == 20


async def test_failures_too_many_to_be_counted_in_time_leave_the_batch_visible(
    site: AdminSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def too_many(*_: object) -> None:
        raise LedgerUnavailable("interrupted")

    monkeypatch.setattr(SqlView, "list_failures", too_many)
    body = await site.page(f"batches/{scenes.BATCH}")

    assert "too many to be counted by reason" in body
    assert "40 of 60 · 66 %" in body


async def test_charges_are_listed_by_state(site: AdminSite) -> None:
    declined = await site.page("charges?state=declined")
    none = await site.page("charges?state=processing")

    assert re.findall(r"/admin/charges/(chg_[^\"]+)", declined) == ["chg_00000000-0000-5000-8000-000000000004"]
    assert "None among the 5,000 charges" in none


async def test_lists_go_on_page_by_page_and_show_each_once(site: AdminSite) -> None:
    now_us = VirtualClock().now_us()
    pattern = scenes.charges(now_us)[0]
    more = [
        replace(pattern, charge_id=f"chg_more{n:03d}", create_time_us=now_us + n // 7) for n in range(2 * PAGE_SIZE)
    ]
    await site.ledger.commit(None, [PutCharge(charge) for charge in more])
    seen, path = [], "/admin/charges"
    while path:
        _, body, _ = await site.answer(path)
        seen += re.findall(r'href="/admin/charges/(chg_[^"]+)"', body)
        following = re.search(r'href="([^"]+)" rel="next"', body)
        path = html.unescape(following[1]) if following else ""

    assert len(seen) == len(set(seen)) == 2 * PAGE_SIZE + 24


async def test_items_of_a_batch_go_on_page_by_page() -> None:
    async with admin_site(VirtualClock()) as site:
        await scenes.batch(site.ledger, items=120, done=80)
        seen, path = [], f"/admin/batches/{scenes.BATCH}"
        while path:
            _, body, _ = await site.answer(path)
            seen += [int(number) for number in re.findall(r'<td class="num soft">(\d+)</td>', body)]
            following = re.search(r'href="([^"]+)" rel="next"', body)
            path = html.unescape(following[1]) if following else ""

    assert seen == list(range(120))


async def test_dead_letters_of_webhooks_are_listed(site: AdminSite) -> None:
    body = await site.page("events")

    for words in (f"/admin/requests/{scenes.DEAD_EVENT}", "evt_1DeadLetter", "payment_method.updated", "INTERNAL"):
        assert words in body
    assert "evt_1DeadLetter" in await site.page(f"requests/{scenes.DEAD_EVENT}")


# ------------------------------------------------------------------------------------------------------------ searching


@pytest.mark.parametrize(
    ("query", "where"),
    [
        (scenes.DECLINED, f"/admin/requests/{scenes.DECLINED}"),
        (scenes.DECLINED.upper(), f"/admin/requests/{scenes.DECLINED}"),
        (f"  {scenes.CHARGE} ", f"/admin/charges/{scenes.CHARGE}"),
        ("rfd_00000000-0000-5000-8000-000000000002", "/admin/charges/chg_00000000-0000-5000-8000-000000000002"),
        ("cln_00000000-0000-5000-8000-000000000005", "/admin/clones/cln_00000000-0000-5000-8000-000000000005"),
        (scenes.BASKET, f"/admin/baskets/{scenes.BASKET}"),
        (scenes.BATCH, f"/admin/batches/{scenes.BATCH}"),
        (scenes.SHOPPER, f"/admin/shoppers/{scenes.SHOPPER}"),
        ("shopper-10042", f"/admin/shoppers/{scenes.SHOPPER}"),
        (scenes.VISA, f"/admin/shoppers/{scenes.SHOPPER}"),
        (scenes.SELLERS[6], f"/admin/accounts/{scenes.SELLERS[6]}"),
        ("pi_3Charge04FakeIntent", "/admin/charges/chg_00000000-0000-5000-8000-000000000004"),
        ("req_Declined00001", f"/admin/requests/{scenes.DECLINED}"),
        (f"req_intent{scenes.UNKNOWN[:8]}", f"/admin/requests/{scenes.UNKNOWN}"),
        (f"pm_1{scenes.DECLINED[:8]}", f"/admin/requests/{scenes.DECLINED}"),
        (f"cus_{scenes.UNKNOWN[:8]}", f"/admin/requests/{scenes.UNKNOWN}"),
    ],
)
async def test_any_id_leads_to_what_it_is_of(site: AdminSite, query: str, where: str) -> None:
    status, _, headers = await site.answer(f"/admin/search?q={query.replace(' ', '+')}")

    assert (status, headers["Location"]) == (302, where)


@pytest.mark.parametrize("query", ["", "nothing", "pi_nothing", "x" * 5000, "\0", "%00", "' OR 1=1 --", "req_%25", "_"])
async def test_what_is_not_there_is_said_to_be_not_there(site: AdminSite, query: str) -> None:
    assert await look_up(open_view(site.ledger, VirtualClock()), query) == []


# ------------------------------------------------------------------------------------------------- when things go wrong


class Away:
    """A ledger that does not answer."""

    async def aclose(self) -> None: ...

    def __getattr__(self, _: str) -> Any:
        async def away(*_: object, **__: object) -> None:
            raise LedgerUnavailable("the disk is full")

        return away


class Broken(Away):
    """A ledger with a fault that nobody foresaw."""

    def __getattr__(self, _: str) -> Any:
        async def broken(*_: object, **__: object) -> None:
            raise RuntimeError("pi_3Abc_secret_SoSecret1 was here")

        return broken


@pytest.mark.parametrize(
    "path", ["", "requests", "requests/r", "shoppers/cus_1", "charges", "batches/b", "search?q=cus_1"]
)
async def test_while_the_ledger_is_away_each_page_says_so(path: str) -> None:
    async with admin_site(VirtualClock(), view=Away()) as site:
        status, body, _ = await site.answer(f"/admin/{path}")

    assert status == 503
    assert "The ledger does not answer" in body
    assert "disk" not in body


async def test_a_fault_of_the_page_tells_its_reader_where_to_look_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with admin_site(VirtualClock(), view=Broken()) as site:
        status, body, _ = await site.answer("/admin/charges")
    error_id = re.search(r"error_id=(\w+)", body)

    assert status == 500
    assert error_id is not None
    assert error_id[1] in caplog.text
    assert "SoSecret" not in body


async def test_many_readers_at_once_all_get_their_page(site: AdminSite) -> None:
    answers = await asyncio.gather(*(site.answer("/admin/charges") for _ in range(12)))

    assert {status for status, _, _ in answers} == {200}


async def test_a_state_that_is_not_well_is_on_every_page(site: AdminSite) -> None:
    site.state["ledger"] = False
    body = await site.page("charges")

    assert "The ledger cannot be written" in body
    assert "Ledger is away" in body


@pytest.mark.parametrize(
    "after", ["x", "t", "t0.a", "t-1.a", "tzz.a", "t1", "t7fffffffffffffffffff.a", "t1." + "a" * 400]
)
async def test_an_address_that_no_page_has_made_is_refused(site: AdminSite, after: str) -> None:
    assert (await site.answer(f"/admin/charges?after={after}"))[0] == 400


def test_the_stylesheet_is_that_of_fake_stripes_page_byte_for_byte() -> None:
    ours = ROOT / "server/cloneservice_server/pages/static/style.css"
    theirs = ROOT / "fake_stripe/fake_stripe/ui/static/style.css"

    assert ours.read_bytes() == theirs.read_bytes(), f"one look: cp {theirs.relative_to(ROOT)} {ours.relative_to(ROOT)}"
