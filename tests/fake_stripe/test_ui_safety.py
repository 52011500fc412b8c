"""The page keeps secrets to itself, runs nobody's scripts, and lets no other site press its buttons."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fake_stripe.ui.masking import body_markup, json_markup, masked_text, world_name
from fake_stripe.ui.naming import address_of
from fake_stripe.wire import Request

from tests.fake_stripe.page_story import HOSTILE, shop_api, tell
from tests.fake_stripe.page_visits import HOST, press, pressed, seen, visit
from tests.fake_stripe.stripe_calls import Api

PAGES = ("/", "/lineage", "/payments", "/requests", "/events", "/faults", "/controls")
OWN = {b"hx-request": b"true", b"sec-fetch-site": b"same-origin", b"origin": b"http://" + HOST}


@pytest.fixture(scope="module")
def api() -> Api:
    found = shop_api()
    tell(found)
    return found


def everything(api: Api) -> str:
    """All pages of the world, each call and each object opened."""
    paths = [*PAGES, *(f"/requests/{entry.number}" for entry in api.world.journal)]
    for scope in api.world.scopes():
        for type_ in scope.types():
            paths += [f"/objects/{obj['id']}" for obj in scope.list(type_)]
    paths += [f"/payments/{obj['id']}" for scope in api.world.scopes() for obj in scope.list("payment_intent")]
    text = "".join(visit(api, path).body.decode() for path in paths)
    assert len(text) > 500_000
    return text


def test_no_page_holds_a_key_or_a_client_secret(api: Api) -> None:
    api.world.policy("")
    text = everything(api)
    assert "client_secret" in text
    assert re.findall(r"sk_test_shop|_secret_[A-Za-z0-9]+|whsec_[A-Za-z0-9]+", text) == []


def test_no_page_holds_a_script_a_style_or_a_handler_of_its_own(api: Api) -> None:
    text = everything(api)
    assert set(re.findall(r"<script[^>]*>", text)) == set(
        re.findall(r'<script src="/_fake/ui/static/[^"]*"[^>]*>', text)
    )
    assert re.findall(r"<style|<[^>]*\sstyle=|<[^>]*\son[a-z]+=|javascript:", text) == []
    assert HOSTILE not in text


@pytest.mark.parametrize("path", [*PAGES, "/nowhere"])
def test_every_page_carries_a_strict_policy(api: Api, path: str) -> None:
    headers = dict(visit(api, path).headers)
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "headers",
    [
        {},  # a plain form of any site
        {b"origin": b"http://" + HOST, b"sec-fetch-site": b"same-origin"},  # a form, even of this page
        {**OWN, b"sec-fetch-site": b"cross-site"},
        {**OWN, b"sec-fetch-site": b"same-site"},
        {**OWN, b"sec-fetch-site": b"none"},
        {**OWN, b"origin": b"https://evil.example"},
        {**OWN, b"origin": b"null"},
        {**OWN, b"origin": b"http://127.0.0.1:1"},
        {b"hx-request": b"true", b"origin": b"http://evil.example"},  # an old browser
    ],
)
def test_no_other_site_can_press_a_button(headers: dict[bytes, bytes]) -> None:
    api = shop_api()
    api.customer()
    response = press(api, "reset", headers=headers)
    assert response.status == 403
    assert len(api.world.journal) == 1


def test_a_foreign_site_cannot_open_a_world_either(api: Api) -> None:
    request = Request("POST", "/_fake/ui/open", headers={b"host": HOST}, body=b"key=sk_test_new")
    assert api.fake.handle(request).status == 403
    assert api.fake.worlds.names() == ["shop"]


def test_a_world_is_opened_by_its_key_and_named_without_it() -> None:
    api = shop_api()
    sent = {b"host": HOST, **OWN}
    answer = api.fake.handle(Request("POST", "/_fake/ui/open", headers=sent, body=b"key=sk_test_another"))
    assert dict(answer.headers)["HX-Redirect"] == address_of("another") + "/"
    assert "another" not in address_of("another")


def test_a_live_key_is_refused_and_not_repeated() -> None:
    api = shop_api()
    key = b"sk_live_" + b"51Habcdefghijklmnop"
    answer = api.fake.handle(Request("POST", "/_fake/ui/open", headers={b"host": HOST, **OWN}, body=b"key=" + key))
    assert b"Invalid API Key provided" in answer.body
    assert key not in answer.body


@pytest.mark.parametrize(
    ("name", "shown"),
    [("shop", "shop"), ("4eC39HqLyjWDarjtT1zdp7dc", "••••p7dc"), ("51Habcdefghijklmnopqrstuvwxyz", "••••wxyz")],
)
def test_a_world_whose_name_may_be_a_real_key_shows_its_end_only(name: str, shown: str) -> None:
    assert world_name(name) == shown


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("pi_1_secret_abc", "pi_1_secret_••••"),
        ("see http://x/?key=sk_test_12345678901234&a=1", "see http://x/?key=sk_test_**********1234&a=1"),
        ("whsec_abcdef", "whsec_••••"),
    ],
)
def test_secrets_are_masked_wherever_they_stand(text: str, masked: str) -> None:
    assert masked_text(text) == masked


def test_members_called_secret_are_masked_and_json_is_escaped() -> None:
    text = json_markup({"secret": "x1", "client_secret": "y1", "name": "<b>&"})
    assert "x1" not in text
    assert "y1" not in text
    assert "&lt;b&gt;&amp;" in text


def test_a_body_that_is_cut_is_masked_as_text() -> None:
    assert "abc" not in body_markup(b'{"client_secret": "pi_1_secret_abc')


@pytest.mark.parametrize(
    "name", ["../pages.py", "..%2Fpages.py", "page.js/", "nothing.css", "/etc/passwd", "", "x\0.css"]
)
def test_only_the_pages_own_files_are_served(api: Api, name: str) -> None:
    response = visit(api, f"/_fake/ui/static/{name}", root=True)
    assert response.status == 404 or name == "page.js/"


@pytest.mark.parametrize("name", ["style.css", "page.js", "htmx.min.js", "icon.svg"])
def test_files_are_served_with_their_type_and_kept_by_caches(api: Api, name: str) -> None:
    response = visit(api, f"/_fake/ui/static/{name}", root=True)
    headers = dict(response.headers)
    assert (response.status, "immutable" in headers["Cache-Control"]) == (200, True)
    assert headers["Content-Type"].split(";")[0] in ("text/css", "text/javascript", "image/svg+xml")


def test_what_is_vendored_has_its_licence_beside_it() -> None:
    folder = Path(str(importlib.util.find_spec("fake_stripe.ui").submodule_search_locations[0])) / "static"  # type: ignore[union-attr,index]
    assert "Zero-Clause BSD" in (folder / "htmx.LICENSE.txt").read_text(encoding="utf-8")
    assert re.findall(rb"https?://(?!www\.w3\.org)[^\"' ]+", (folder / "style.css").read_bytes()) == []


def test_serving_the_api_and_the_control_api_loads_no_templates() -> None:
    code = (
        "import sys; from fake_stripe import FakeStripe; from fake_stripe.wire import Request\n"
        "fake = FakeStripe(); key = {b'authorization': b'Bearer sk_test_a'}\n"
        "assert fake.handle(Request('POST', '/v1/customers', headers=key)).status == 200\n"
        "assert fake.handle(Request('GET', '/_fake/world', headers=key)).status == 200\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('jinja2', 'markupsafe') or '.ui' in name])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_without_jinja2_the_page_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("fake_stripe.ui")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    response = visit(Api(), "/_fake/ui/", root=True)
    assert response.status == 501
    assert b"pip install 'cloneservice[fake]'" in response.body


def test_a_notice_repeats_what_was_typed_as_text() -> None:
    api = shop_api()
    response = press(api, "snapshot", label=HOSTILE.replace("/", ""))
    assert "&lt;script&gt;" in response.body.decode()
    assert "Kept the present state" in pressed(api, "snapshot", label="x")
    assert "<script>document" not in visit(api, "/controls").body.decode()
    assert "script" in seen(api, "/controls")
