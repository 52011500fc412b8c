"""The catalog finds the operation that a request means, knows what may be expanded, and loads what it needs."""

from __future__ import annotations

import pytest
from fake_stripe.openapi.brackets import nest
from fake_stripe.openapi.build import compile_catalog
from fake_stripe.openapi.catalog import Catalog, catalog, expandable
from fake_stripe.openapi.lenience import LEAST, UNDOCUMENTED, UNSET_BY_EMPTY


def _found(method: str, path: str) -> tuple[str, dict[str, str]] | None:
    match = catalog().match(method, path)
    return None if match is None else (match[0].path, match[1])


def test_it_has_every_operation_of_the_document() -> None:
    operations = list(catalog().operations())
    assert len(operations) == 594
    assert len({(o.method, o.path) for o in operations}) == 594
    assert catalog().version == "2026-08-26.dahlia"


def test_every_operation_is_found_by_its_own_path() -> None:
    for operation in catalog().operations():
        path = "/".join("x1" if part.startswith("{") else part for part in operation.path.split("/"))
        match = catalog().match(operation.method, path)
        assert match is not None, operation.path
        assert match[0].method == operation.method
        assert match[0].path.count("{") <= operation.path.count("{")


@pytest.mark.parametrize(
    ("method", "path", "template", "params"),
    [
        ("POST", "/v1/customers", "/v1/customers", {}),
        ("GET", "/v1/customers/cus_1", "/v1/customers/{customer}", {"customer": "cus_1"}),
        ("GET", "/v1/customers/search", "/v1/customers/search", {}),
        ("DELETE", "/v1/accounts/acct_1", "/v1/accounts/{account}", {"account": "acct_1"}),
        (
            "POST",
            "/v1/payment_intents/pi_1/confirm",
            "/v1/payment_intents/{intent}/confirm",
            {"intent": "pi_1"},
        ),
        (
            "GET",
            "/v1/customers/cus_1/sources/card_1",
            "/v1/customers/{customer}/sources/{id}",
            {"customer": "cus_1", "id": "card_1"},
        ),
    ],
)
def test_literal_segments_come_before_parameters(method: str, path: str, template: str, params: dict[str, str]) -> None:
    assert _found(method, path) == (template, params)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/customers/"),
        ("GET", "/v1/nothing"),
        ("PUT", "/v1/customers"),
        ("DELETE", "/v1/customers"),
        ("GET", "v1/customers"),
        ("GET", ""),
        ("GET", "/v1/customers//sources"),
        ("GET", "/v2/core/accounts"),
    ],
)
def test_a_request_that_means_no_operation_finds_none(method: str, path: str) -> None:
    assert _found(method, path) is None


@pytest.mark.parametrize(
    ("object_type", "field", "expected"),
    [
        ("payment_intent", "latest_charge", True),
        ("payment_intent", "amount", False),
        ("payment_intent", "nothing", False),
        ("customer", "invoice_settings.default_payment_method", True),
        ("customer", "sources", True),
        ("customer", "address", False),
        ("charge", "refunds", True),
        ("nothing", "id", False),
    ],
)
def test_what_may_be_expanded_is_the_documents(object_type: str, field: str, *, expected: bool) -> None:
    assert expandable(object_type, field) is expected


def test_what_goes_beyond_the_document_names_operations_that_exist() -> None:
    known = {(o.method, o.path) for o in catalog().operations()}
    assert {*UNDOCUMENTED, *UNSET_BY_EMPTY, *LEAST} <= known
    for operation in catalog().operations():
        if (operation.method, operation.path) in UNDOCUMENTED:
            assert operation.parameters.names


def test_brackets_nest_as_stripes_do() -> None:
    pairs = [
        ("a[b][c]", "1"),
        ("a[b][d]", "2"),
        ("l[]", "x"),
        ("l[]", "y"),
        ("i[0][k]", "p"),
        ("i[1][k]", "q"),
        ("o[][k]", "1"),
        ("o[][m]", "2"),
        ("o[][k]", "3"),
        ("broken[x", "z"),
        ("twice", "1"),
        ("twice", "2"),
    ]
    assert nest(pairs) == {
        "a": {"b": {"c": "1", "d": "2"}},
        "l": ["x", "y"],
        "i": {"0": {"k": "p"}, "1": {"k": "q"}},
        "o": [{"k": "1", "m": "2"}, {"k": "3"}],
        "broken[x": "z",
        "twice": "2",
    }


_DOCUMENT = {
    "info": {"version": "test"},
    "components": {
        "schemas": {
            "thing": {
                "type": "object",
                "description": "Prose that must not get in.",
                "properties": {
                    "id": {"type": "string"},
                    "owner": {
                        "anyOf": [{"type": "string"}, {"$ref": "#/components/schemas/thing"}],
                        "x-expansionResources": {"oneOf": [{"$ref": "#/components/schemas/thing"}]},
                        "nullable": True,
                    },
                },
            }
        }
    },
    "paths": {
        "/v1/things": {
            "post": {
                "operationId": "PostThings",
                "requestBody": {
                    "content": {
                        "application/x-www-form-urlencoded": {
                            "schema": {
                                "properties": {
                                    "a": {"type": "string", "maxLength": 5, "description": "More prose."},
                                    "b": {
                                        "anyOf": [{"type": "string", "maxLength": 5}, {"enum": [""], "type": "string"}]
                                    },
                                    "c": {"type": "string", "maxLength": 5},
                                },
                                "required": ["a"],
                            }
                        }
                    }
                },
                "responses": {
                    "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/thing"}}}}
                },
            }
        }
    },
}


def test_the_compiler_keeps_facts_and_stores_equal_parts_once() -> None:
    text = compile_catalog(_DOCUMENT)
    assert b"rose" not in text
    assert text.count(b'{"t":"s","l":5}') == 1
    built = Catalog(text)
    operation = next(built.operations())
    assert (operation.id, operation.response) == ("PostThings", "thing")
    assert operation.validate([("a", "1"), ("b", "")]) == {"a": "1", "b": ""}
    assert built.facts(built.object_shape("thing")["p"]["owner"])["X"] == ["thing"]
