"""Parameters are checked in Stripe's words, one refusal at a time. Rows: stripe-behaviour 7.1, 7.2, 7.4, 7.5."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fake_stripe.errors import ApiError
from fake_stripe.http.forms import UploadedFile, decode
from fake_stripe.openapi.catalog import catalog

RECORDINGS = Path(__file__).parents[3] / "shared" / "recordings" / "visible.jsonl"
FORM = "application/x-www-form-urlencoded"


def accepted(method: str, path: str, form: str) -> dict[str, Any]:
    match = catalog().match(method, path)
    assert match is not None
    return match[0].validate(decode(form.encode(), FORM))


def refused(method: str, path: str, form: str) -> tuple[str, str | None, str | None]:
    """Message, code, param; each is a 400 invalid_request_error that was not executed."""
    with pytest.raises(ApiError) as caught:
        accepted(method, path, form)
    error = caught.value
    assert (error.status, error.type, error.executed) == (400, "invalid_request_error", False)
    return error.message, error.code, error.param


def message(method: str, path: str, form: str) -> str:
    return refused(method, path, form)[0]


# ---- 7.1 Encoding


def test_values_take_the_types_of_their_parameters() -> None:
    form = "amount=1099&currency=USD&confirm=true&metadata[a]=1&payment_method_types[]=card&off_session=one_off"
    assert accepted("POST", "/v1/payment_intents", form) == {
        "amount": 1099,
        "currency": "usd",
        "confirm": True,
        "metadata": {"a": "1"},
        "payment_method_types": ["card"],
        "off_session": "one_off",
    }


@pytest.mark.parametrize(
    "form", ["expand[]=a&expand[]=b", "expand[0]=a&expand[1]=b", "expand%5B%5D=a&expand%5b1%5d=x&expand[]=b"]
)
def test_both_ways_to_write_an_array_are_read(form: str) -> None:
    assert accepted("POST", "/v1/customers", "expand[]=a&expand[]=b")["expand"] == ["a", "b"]
    assert accepted("POST", "/v1/customers", form)["expand"][-1] == "b"


def test_indexed_items_keep_the_order_of_their_numbers() -> None:
    assert accepted("POST", "/v1/customers", "expand[10]=c&expand[2]=b&expand[1]=a")["expand"] == ["a", "b", "c"]


def test_hashes_in_arrays_and_ranges_in_queries_are_read() -> None:
    listed = accepted("GET", "/v1/charges", "created[gte]=5&created[lt]=9&limit=3&expand[]=data.customer")
    assert listed == {"created": {"gte": 5, "lt": 9}, "limit": 3, "expand": ["data.customer"]}
    assert accepted("GET", "/v1/charges", "created=5") == {"created": 5}
    items = accepted("POST", "/v1/invoices/create_preview", "subscription_details[items][0][quantity]=2")
    assert items == {"subscription_details": {"items": [{"quantity": 2}]}}


def test_pluses_percent_signs_and_other_scripts_are_decoded() -> None:
    assert accepted("POST", "/v1/customers", "name=Ren%C3%A9e+%2B+Zo\u00eb&description=100%") == {
        "name": "Ren\u00e9e + Zo\u00eb",
        "description": "100%",
    }


def test_an_empty_string_unsets_what_can_be_unset() -> None:
    assert accepted("POST", "/v1/customers/cus_1", "description=&metadata=&address=&phone=") == {
        "description": "",
        "metadata": "",
        "address": "",
        "phone": "",
    }
    assert accepted("POST", "/v1/customers/cus_1", "metadata[a]=") == {"metadata": {"a": ""}}


def test_an_empty_line_of_an_address_is_no_mistake() -> None:
    form = "address[line1]=Main+St+1&address[line2]=&shipping[name]=A&shipping[address][line2]="
    assert accepted("POST", "/v1/customers", form)["address"]["line2"] == ""


def test_an_empty_string_is_refused_where_it_cannot_unset() -> None:
    assert refused("POST", "/v1/payment_methods/pm_1/attach", "customer=") == (
        (
            "You passed an empty string for 'customer'. We assume empty values are an attempt to unset a parameter;"
            " however 'customer' cannot be unset. You should remove 'customer' from your request or supply a non-empty"
            " value."
        ),
        "parameter_invalid_empty",
        "customer",
    )
    card = "type=card&card[exp_month]=1&card[exp_year]=2034&card[number]="
    assert "'card[number]' cannot be unset" in message("POST", "/v1/payment_methods", card)


# ---- 7.2 Validation errors


def test_an_unknown_parameter_is_named() -> None:
    assert refused("POST", "/v1/customers", "nope=1") == (
        "Received unknown parameter: nope",
        "parameter_unknown",
        "nope",
    )


def test_several_unknown_parameters_are_named_together() -> None:
    got = refused("POST", "/v1/customers", "b=1&a=2&address[nope]=3")
    assert got == ("Received unknown parameters: b, a, address[nope]", "parameter_unknown", "b")


def test_an_unknown_member_is_named_in_brackets() -> None:
    got = refused("POST", "/v1/customers", "invoice_settings[nope]=1")
    assert got == ("Received unknown parameter: invoice_settings[nope]", "parameter_unknown", "invoice_settings[nope]")


def test_unknown_comes_before_missing_and_missing_before_wrong() -> None:
    path = "/v1/payment_intents"
    assert message("POST", path, "amount=abc&nope=1") == "Received unknown parameter: nope"
    assert message("POST", path, "amount=abc") == "Missing required param: currency."
    assert message("POST", path, "amount=abc&currency=usd") == "Invalid integer: abc"


def test_of_several_wrong_values_the_first_declared_is_refused_whatever_the_order_on_the_wire() -> None:
    form = "currency=usd&capture_method=never&amount=abc"
    assert message("POST", "/v1/payment_intents", form) == "Invalid integer: abc"


def test_a_missing_parameter_is_named() -> None:
    got = refused("POST", "/v1/payment_intents", "currency=usd")
    assert got == ("Missing required param: amount.", "parameter_missing", "amount")
    got = refused("POST", "/v1/payment_methods", "type=sepa_debit&sepa_debit[x]=1")
    assert got[0] == "Received unknown parameter: sepa_debit[x]"
    got = refused("POST", "/v1/customers", "shipping[phone]=1")
    assert got == ("Missing required param: shipping[address].", "parameter_missing", "shipping[address]")


@pytest.mark.parametrize("value", ["abc", "20.0", "1e3", " 5", "99999999999999999999", "9223372036854775808", "\u0665"])
def test_what_is_not_a_whole_number_is_refused(value: str) -> None:
    got = refused("POST", "/v1/payment_intents", f"currency=usd&amount={value}")
    assert got == (f"Invalid integer: {value}", "parameter_invalid_integer", "amount")


def test_a_refund_of_less_than_one_is_refused() -> None:
    for amount in ("-1", "0"):
        assert refused("POST", "/v1/refunds", f"charge=ch_1&amount={amount}") == (
            "This value must be greater than or equal to 1.",
            "parameter_invalid_integer",
            "amount",
        )


@pytest.mark.parametrize("value", ["True", "1", "yes"])
def test_what_is_not_a_boolean_is_refused(value: str) -> None:
    got = refused("POST", "/v1/charges", f"amount=100&currency=usd&capture={value}")
    assert got == (f"Invalid boolean: {value}", None, "capture")


def test_a_scalar_for_a_hash_or_an_array_is_refused_without_the_value() -> None:
    assert refused("POST", "/v1/customers", "address=x") == ("Invalid object", None, "address")
    assert refused("POST", "/v1/customers", "expand=x") == ("Invalid array", None, "expand")
    assert refused("POST", "/v1/customers", "metadata=x") == ("Invalid object", None, "metadata")


def test_a_hash_for_a_text_is_refused() -> None:
    assert refused("POST", "/v1/customers", "name[a]=1") == ('Invalid string: {"a"=>"1"}', None, "name")


def test_a_word_outside_an_enum_is_refused_with_the_list() -> None:
    assert refused("POST", "/v1/refunds", "charge=ch_1&reason=x") == (
        "Invalid reason: must be one of duplicate, fraudulent, or requested_by_customer",
        None,
        "reason",
    )
    assert message("POST", "/v1/setup_intents", "usage=x") == "Invalid usage: must be one of off_session or on_session"
    nested = refused("POST", "/v1/payment_intents", "amount=100&currency=usd&automatic_payment_methods[enabled]=true"
                     "&automatic_payment_methods[allow_redirects]=x")  # fmt: skip
    assert nested == (
        "Invalid automatic_payment_methods[allow_redirects]: must be one of always or never",
        None,
        "automatic_payment_methods[allow_redirects]",
    )


def test_an_unsupported_currency_is_refused_with_the_list() -> None:
    text, code, param = refused("POST", "/v1/payment_intents", "amount=100&currency=xyz")
    assert text.startswith("Invalid currency: xyz. Stripe currently supports these currencies: usd, aed, afn,")
    assert (code, param) == (None, "currency")


def test_a_malformed_email_is_refused() -> None:
    got = refused("POST", "/v1/customers", "email=nobody")
    assert got == ("Invalid email address: nobody", "email_invalid", "email")
    assert accepted("GET", "/v1/customers", "email=nobody") == {"email": "nobody"}


def test_a_text_that_is_too_long_is_shown_by_its_ends() -> None:
    text = "abcd" + "-" * 5000 + "wxyz"
    got = refused("POST", "/v1/customers", f"description={text}")
    assert got == ("Invalid string: abcd...wxyz; must be at most 5000 characters", None, "description")


# ---- 7.4 Limits of lists and searches


def test_a_limit_out_of_range_is_brought_into_it_by_lists_and_refused_by_searches() -> None:
    assert accepted("GET", "/v1/customers", "limit=200") == {"limit": 100}
    assert accepted("GET", "/v1/customers", "limit=0") == {"limit": 1}
    assert refused("GET", "/v1/customers/search", "query=a&limit=200") == (
        "This value must be less than or equal to 100 (it currently is '200').",
        "parameter_invalid_integer",
        "limit",
    )


# ---- 7.5 Metadata


def test_metadata_has_its_limits() -> None:
    fifty = "&".join(f"metadata[k{number}]=v" for number in range(50))
    assert len(accepted("POST", "/v1/customers", fifty)["metadata"]) == 50
    assert message("POST", "/v1/customers", fifty + "&metadata[more]=v") == (
        "Metadata can have up to 50 keys, but you've set 51."
    )
    assert refused("POST", "/v1/customers", f"metadata[{'k' * 41}]=v")[0] == (
        f"Metadata keys can have up to 40 characters, but you passed in a key that is 41 characters."
        f" Invalid key: {'k' * 41}"
    )
    assert message("POST", "/v1/customers", f"metadata[k]={'v' * 501}").startswith(
        "Metadata values can have up to 500 characters, but you passed in a value that is 501 characters."
    )
    assert message("POST", "/v1/customers", "metadata[a][b]=1").startswith("Invalid string:")


# ---- Ids and details in one parameter; what goes beyond the document


def test_a_parameter_that_is_an_id_or_details_takes_both() -> None:
    assert accepted("POST", "/v1/tokens", "card=card_1&customer=cus_1")["card"] == "card_1"
    assert accepted("POST", "/v1/tokens", "bank_account=ba_1&customer=cus_1")["bank_account"] == "ba_1"
    details = "card[number]=4242424242424242&card[exp_month]=1&card[exp_year]=2034"
    assert accepted("POST", "/v1/tokens", details)["card"]["number"] == "4242424242424242"
    assert accepted("POST", "/v1/payment_methods", "type=card&card[token]=tok_visa")["card"] == {"token": "tok_visa"}
    assert accepted("POST", "/v1/customers", "source=tok_visa") == {"source": "tok_visa"}
    assert accepted("POST", "/v1/customers", "source[object]=card")["source"] == {"object": "card"}
    assert message("POST", "/v1/customers", "source[]=x") == "Invalid object"


def test_card_details_in_payment_method_data_are_checked_like_those_of_a_payment_method() -> None:
    form = "amount=100&currency=usd&payment_method_data[type]=card&payment_method_data[card]"
    assert accepted("POST", "/v1/payment_intents", f"{form}[token]=tok_visa")["payment_method_data"] == {
        "type": "card",
        "card": {"token": "tok_visa"},
    }
    unknown = message("POST", "/v1/payment_intents", f"{form}[nope]=1")
    assert unknown == "Received unknown parameter: payment_method_data[card][nope]"


def test_the_journal_is_told_what_an_unknown_name_may_have_meant() -> None:
    match = catalog().match("POST", "/v1/payment_intents")
    assert match is not None
    pairs = [("ammount", "1"), ("payment_method_data[typ]", "card"), ("zzzzzz", "1"), ("currency", "usd")]
    assert match[0].suggestions(pairs) == [
        "ammount: did you mean amount?",
        "payment_method_data[typ]: did you mean payment_method_data[type]?",
    ]


def test_a_file_upload_keeps_its_bytes_its_name_and_its_type() -> None:
    body = (
        b'--B\r\nContent-Disposition: form-data; name="purpose"\r\n\r\ndispute_evidence\r\n'
        b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
        b"\x89PNG\r\n\xff\x00\r\n--B--\r\n"
    )
    pairs = decode(body, 'multipart/form-data; boundary="B"')
    assert [name for name, _ in pairs] == ["purpose", "file"]
    file = pairs[1][1]
    assert isinstance(file, UploadedFile)
    assert (file.filename, file.content_type, file.content) == ("a.png", "image/png", b"\x89PNG\r\n\xff\x00")


def test_an_empty_file_is_a_file() -> None:
    body = (
        b'--B\r\nContent-Disposition: form-data; name="purpose"\r\n\r\ndispute_evidence\r\n'
        b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n\r\n--B--\r\n'
    )
    match = catalog().match("POST", "/v1/files")
    assert match is not None
    assert match[0].validate(decode(body, "multipart/form-data; boundary=B"))["file"] == ""


@pytest.mark.shared
def test_every_recorded_request_that_stripe_accepted_is_accepted() -> None:
    if not RECORDINGS.exists():
        pytest.skip("no recordings beside the checkout")
    checked = 0
    for line in RECORDINGS.read_text("utf-8").splitlines():
        for exchange in json.loads(line)["exchanges"]:
            match = catalog().match(exchange["method"], exchange["path"])
            assert match is not None, exchange["path"]
            if exchange["status"] == 200:
                match[0].validate([(name, value) for name, value in exchange["params"]])
                checked += 1
    assert checked > 300
