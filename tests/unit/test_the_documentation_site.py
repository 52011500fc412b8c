"""The site is put together from pages all over the repository, and every link in it leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cloneservice.v1 import clone_service_pb2, types_pb2
from cloneservice_server.rpc.status import TABLE

from docs.site.build import fetched_from_elsewhere
from docs.site.commands import PARSERS
from docs.site.contract import WHAT_TO_DO, Contract, descriptors
from docs.site.pages import OUTSIDE, BrokenLink, Site, tabbed

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    staged = Site(ROOT, tmp_path_factory.mktemp("site") / "pages")
    staged.stage()
    return staged


def test_every_page_of_the_repository_is_on_it(site: Site) -> None:
    pages = {path.relative_to(site.folder).as_posix() for path in site.folder.rglob("*.md")}

    assert set(OUTSIDE.values()) <= pages
    assert {"index.md", "guarantees.md", "adr/index.md", "fake-stripe-coverage.md"} <= pages


def test_every_page_is_in_the_menu_once(site: Site) -> None:
    config = (ROOT / "docs/site/mkdocs.yml").read_text(encoding="utf-8")
    shown = re.findall(r"[\w/-]+\.md\b", config.partition("\nnav:")[2])
    staged = {path.relative_to(site.folder).as_posix() for path in site.folder.rglob("*.md")}
    made = {f"reference/{name}.md" for name in ("rpcs", "messages", "errors", *PARSERS)}

    assert sorted(shown) == sorted(staged | made)


def test_a_link_is_turned_to_where_its_page_went(site: Site) -> None:
    assert site.turned("docs/adr/index.md", "[it](../../bench/README.md#the-transport)") == (
        "[it](../benchmarks/index.md#the-transport)"
    )
    assert site.turned("docs/scale.md", "[all](../protos/cloneservice/v1/errors.proto)") == "[all](reference/errors.md)"


def test_what_is_no_page_becomes_text_and_what_is_not_there_an_error(site: Site) -> None:
    assert site.turned("client/go/README.md", "see [client.go](client.go).") == "see client.go."
    with pytest.raises(BrokenLink, match=r"docs/scale\.md links to nowhere\.md"):
        site.turned("docs/scale.md", "[x](nowhere.md)")


def test_code_is_left_as_it_is(site: Site) -> None:
    code = "```text\n[x](nowhere.md)\n```\n"

    assert site.turned("docs/scale.md", code) == code


def test_sections_become_tabs() -> None:
    assert tabbed("#### Go\n\n```go\nx := 1\n```\n\n#### Java\n\nA.\n") == (
        '=== "Go"\n\n    ```go\n    x := 1\n    ```\n\n=== "Java"\n\n    A.\n'
    )


def test_a_page_that_fetches_something_is_found(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(
        '<a href="https://a.example">out</a><link rel="canonical" href="https://b.example">'
        '<script src="app.js"></script><img src="//c.example/x.png"><script src="https://d.example/x.js"></script>'
    )
    (tmp_path / "page.css").write_text("@import 'https://e.example/f.css'; a { background: url(data:x) }")

    assert fetched_from_elsewhere(tmp_path) == [
        "page.html: <img> //c.example/x.png",
        "page.html: <script> https://d.example/x.js",
        "page.css: https://e.example/f.css",
    ]


def test_every_reason_tells_the_caller_what_to_do() -> None:
    assert WHAT_TO_DO.keys() == TABLE.keys()


def test_the_reference_has_every_rpc_message_and_reason() -> None:
    described = Contract(descriptors())
    rpcs, messages, errors = described.rpcs_page(), described.messages_page(), described.errors_page()

    for rpc in clone_service_pb2.DESCRIPTOR.services_by_name["CloneService"].methods:
        assert f"\n## {rpc.name}\n" in rpcs
    for message in types_pb2.DESCRIPTOR.message_types_by_name:
        assert f"\n## {message}\n" in messages
    assert all(f"`{reason}`" in errors for reason in TABLE)
    assert "| **Calls to Stripe** | on the account POST `/v1/payment_intents/{pi}/capture`. |" in rpcs
    assert "| `platform_customer_id` | string | **Required.**" in rpcs
