"""`/_fake/ui/`: what each page shows of a world, and that looking changes nothing."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser

import orjson
import pytest
from fake_stripe.ui.naming import address_of
from fake_stripe.wire import Request

from tests.fake_stripe.page_story import HOSTILE, Story, shop_api, tell
from tests.fake_stripe.page_visits import seen, visit
from tests.fake_stripe.stripe_calls import Api

Told = tuple[Api, Story]


@pytest.fixture(scope="module")
def told() -> Told:
    """One told world: the tests of this file only look at it."""
    api = shop_api()
    return api, tell(api)


def column(page: str, name: str) -> str:
    return next(part for part in page.split("<article")[1:] if f">{name}</h2>" in part)


# ---- the way in


def test_a_browser_at_the_root_is_sent_to_the_only_world(told: Told) -> None:
    response = visit(told[0], "/_fake/", root=True)
    assert (response.status, dict(response.headers)["Location"]) == (302, address_of("shop") + "/")


def test_a_browser_is_sent_to_the_list_when_there_are_more_worlds_or_none(told: Told) -> None:
    api = Api()
    api.fake.worlds.open("another")
    response = visit(api, "/_fake/", root=True)
    assert (response.status, dict(response.headers)["Location"]) == (302, "/_fake/ui/")
    assert "Worlds" in visit(api, "/_fake/ui/", root=True).body.decode()


@pytest.mark.parametrize("accept", [b"", b"*/*", b"application/json"])
def test_programs_get_the_json_that_they_always_got(told: Told, accept: bytes) -> None:
    response = visit(told[0], "/_fake/", root=True, accept=accept)
    assert response.status == 200
    assert "operations" in orjson.loads(response.body)


def test_the_list_names_the_test_that_a_world_was_opened_for() -> None:
    api = Api()
    api.fake.worlds.reset("test0123456789abcdefghij", seed="tests/test_shop.py::test_pays")
    page = visit(api, "/_fake/ui/", root=True).body.decode()
    assert "tests/test_shop.py::test_pays" in page
    assert "0123456789abcdef" not in page


@pytest.mark.parametrize("path", ["/_fake/ui/w/nobody/", "/_fake/ui/nowhere", "/_fake/ui/w/"])
def test_a_world_that_is_not_open_says_so(told: Told, path: str) -> None:
    response = visit(told[0], path, root=True)
    assert response.status == 404
    assert b"All worlds" in response.body


# ---- what is shown


def test_accounts_are_columns_with_the_platform_first(told: Told) -> None:
    page = seen(told[0])
    names = [name.strip() for name in re.findall(r'<h2 class="cut"[^>]*>([^<]*)</h2>', page)]
    assert names == ["Platform", "Bakery", "Florist", "Bücher"]


def test_a_column_holds_customers_their_cards_and_charges(told: Told) -> None:
    bakery = column(seen(told[0]), "Bakery")
    assert [
        text in bakery for text in ("Ada Lovelace", "Visa •••• 4242", "$19.99 USD", "partly refunded", "clone")
    ] == [True] * 5
    assert "3 clones" in column(seen(told[0]), "Platform")


def test_a_search_keeps_only_what_matches(told: Told) -> None:
    page = seen(told[0], q="grace@example.com")
    assert "Grace Hopper" in page
    assert "Ada Lovelace" not in page
    assert "Nothing matches" in seen(told[0], q="nobody at all")


def test_lineage_is_drawn_from_each_original_to_each_clone(told: Told) -> None:
    api, story = told
    page = seen(api, "/lineage")
    assert page.count('class="edge"') == len(story.clones)
    assert all(f"/objects/{id_}" in page for id_ in (story.card, *story.clones))
    family = seen(api, "/lineage", of=story.card)
    assert family.count('class="edge"') == 3


def test_a_clone_made_as_a_legacy_token_is_in_the_lineage() -> None:
    api = shop_api()
    seller = str(api.post("/v1/accounts", type="standard", country="US")["id"])
    owner = api.customer(source="tok_visa")
    card = str(api.get(f"/v1/customers/{owner}")["default_source"])
    token = api.post("/v1/tokens", account=seller, customer=owner, card=card)
    assert token["id"] in seen(api, "/lineage")
    api.customer(account=seller, source=token["id"])
    page = seen(api, "/lineage")
    assert (token["card"]["id"] in page, token["id"] in page) == (True, False)


def test_a_payments_timeline_tells_its_calls_and_events_in_order(told: Told) -> None:
    api, story = told
    page = seen(api, f"/payments/{story.declined}")
    order = ["payment_intent.created", "Your card has insufficient funds", "payment_intent.payment_failed"]
    timeline = page[page.index('class="timeline"') :]
    places = [timeline.index(text) for text in order]
    assert places == sorted(places)


def test_what_no_call_caused_is_in_the_timeline_too() -> None:
    api = shop_api()
    story = tell(api)
    api.world.faults.clear()
    handled = api.fake.handle(
        Request(
            "POST",
            f"/_fake/authentications/{story.waiting}",
            headers={b"authorization": b"Bearer sk_test_shop"},
            body=b'{"outcome": "succeeded"}',
        )
    )
    assert handled.status == 200
    page = seen(api, f"/payments/{story.waiting}")
    assert "By itself, or from this page" in page
    assert "payment_intent.succeeded" in page


# ---- the journal


def test_the_journal_filters_by_account_status_fault_and_text(told: Told) -> None:
    api, story = told

    def rows(**query: str) -> int:
        return seen(api, "/requests", **query).count('class="call"')

    everything = len(api.world.journal)
    assert rows() == everything
    assert 0 < rows(account=story.sellers[0]) < everything
    assert rows(status="failed") == sum(1 for entry in api.world.journal if entry.status >= 400)
    assert rows(status="402") == 1
    assert rows(fault="any") == rows(status="lost") == 1
    assert rows(q="insufficient") == 1
    assert rows(q="nothing is like this") == 0


def number_of(api: Api, status: int, path: str) -> int:
    return next(int(e.number) for e in api.world.journal if e.status == status and e.path == path)


def test_an_opened_call_shows_request_answer_and_changes(told: Told) -> None:
    api, story = told
    entry = next(e for e in api.world.journal if e.path == f"/v1/payment_methods/{story.clones[0]}/attach")
    page = seen(api, f"/requests/{entry.number}")
    detail = page[page.index('id="detail"') :]
    assert all(text in detail for text in ("What it changed", "<del>null</del>", "Answer", '"payment_method"'))


def test_a_misspelt_parameter_is_explained(told: Told) -> None:
    assert "emial: did you mean email?" in seen(told[0], f"/requests/{number_of(told[0], 400, '/v1/customers')}")


def test_an_unknown_path_shows_the_nearest_operations(told: Told) -> None:
    page = seen(told[0], f"/requests/{number_of(told[0], 404, '/v1/custommers')}")
    assert "GET /v1/customers" in page


def test_an_id_that_lives_on_another_account_is_pointed_at(told: Told) -> None:
    """The mistake that other doubles let through: a platform's PaymentMethod on a connected account."""
    api, story = told
    page = seen(api, f"/requests/{number_of(api, 400, '/v1/payment_intents')}")
    assert f"{story.card}</a> does exist: on the platform" in page


def test_a_lost_answer_is_shown_with_its_fault(told: Told) -> None:
    api = told[0]
    entry = next(e for e in api.world.journal if e.fate)
    page = seen(api, f"/requests/{entry.number}")
    assert "carried out, and its answer never sent" in page
    assert "Answer that the client never got" in page
    assert '"commit_then_drop"' in page


def test_a_call_is_found_by_its_request_id_too(told: Told) -> None:
    entry = told[0].world.journal[3]
    assert entry.request_id in seen(told[0], f"/requests/{entry.request_id}")


def test_a_call_that_the_journal_forgot_says_so(told: Told) -> None:
    assert "That call is gone" in seen(told[0], "/requests/999999")


def test_ten_thousand_calls_are_paged() -> None:
    api = shop_api()
    entry = (api.customer(), api.world.journal[-1])[1]
    world = api.world
    world.journal = type(world.journal)((_numbered(entry, n) for n in range(1, 10_001)), maxlen=10_000)
    newest = seen(api, "/requests")
    assert newest.count('class="call"') == 100
    assert "1–100 of 10,000 calls" in newest  # noqa: RUF001 - the page's own dash
    older = seen(api, "/requests", before="9901")
    assert ('id="row-9900"' in older, 'id="row-9901"' in older, 'id="newer"' in older) == (True, False, True)
    assert seen(api, "/requests", before="2").count('class="call"') == 1


def _numbered(entry: object, number: int) -> object:
    import copy

    twin = copy.copy(entry)
    twin.number = number  # type: ignore[attr-defined]
    return twin


# ---- empty states


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/", "Nothing here yet"),
        ("/lineage", "Nothing was cloned yet"),
        ("/payments", "No payments yet"),
        ("/requests", "No calls yet"),
        ("/events", "No events yet"),
        ("/faults", "Nothing goes wrong at present"),
        ("/controls", "Freeze"),
    ],
)
def test_an_empty_world_says_what_to_do_next(path: str, hint: str) -> None:
    assert hint in seen(shop_api(), path)


def test_a_server_without_worlds_says_how_one_begins() -> None:
    api = Api()
    api.fake.worlds.close_all()
    assert "No world is open yet" in visit(api, "/_fake/ui/", root=True).body.decode()


# ---- looking


PAGES = ("/", "/lineage", "/payments", "/requests", "/events", "/faults", "/controls")


def test_looking_changes_nothing(told: Told) -> None:
    api, story = told
    world = api.world

    def state() -> tuple[object, ...]:
        figures = [(s.account_id, t, s.count(t)) for s in world.scopes() for t in s.types()]
        return figures, len(world.journal), world.ids.counter, world.scheduled, len(world.changes)

    before = state()
    for path in (*PAGES, f"/payments/{story.payment}", f"/objects/{story.card}", "/requests/3"):
        seen(api, path)
    assert state() == before


def test_a_look_under_the_same_mark_is_answered_with_nothing(told: Told) -> None:
    api = told[0]
    mark = re.findall(r'X-Mark": "(\w+)"', seen(api, "/requests"))[0]
    headers = {b"accept": b"text/html", b"x-mark": mark.encode()}
    again = api.fake.handle(Request("GET", address_of("shop") + "/requests", headers=headers))
    assert (again.body, dict(again.headers)["HX-Reswap"]) == (b"", "none")


class Outline(HTMLParser):
    """What a reader with a screen reader gets: controls and their names, ids, headings."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.fields: list[dict[str, str | None]] = []
        self.labels: set[str | None] = set()
        self.within = 0
        self.open: list[str] = []
        self.headings: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if found.get("id"):
            self.ids.append(str(found["id"]))
        if tag == "label":
            self.within += 1
            self.labels.add(found.get("for"))
        if tag in ("input", "select") and found.get("type") != "hidden" and not self.within:
            self.fields.append(found)
        if tag in ("h1", "h2", "h3"):
            self.headings.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag == "label":
            self.within -= 1


@pytest.mark.parametrize("path", PAGES)
def test_every_field_has_a_label_and_every_id_is_one_of_a_kind(told: Told, path: str) -> None:
    outline = Outline()
    outline.feed(visit(told[0], path).body.decode())
    assert [field for field in outline.fields if field.get("id") not in outline.labels] == []
    assert sorted({id_ for id_ in outline.ids if outline.ids.count(id_) > 1}) == []
    assert outline.headings.count("h1") == 1


def test_a_hostile_name_is_text_and_nothing_else(told: Told) -> None:
    page = visit(told[0]).body.decode()
    assert HOSTILE not in page
    assert HOSTILE in unescape(page)
