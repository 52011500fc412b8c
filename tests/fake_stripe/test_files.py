"""Files and links to them."""

import orjson
import pytest
from fake_stripe.journal import MOST_BYTES
from fake_stripe.wire import Request

from tests.fake_stripe.stripe_calls import SELLER, Api, Wire


@pytest.fixture
def api() -> Api:
    return Api()


def upload(api: Api, *, account: str | None = None, link: bool = False) -> Wire:
    parts = [
        ('name="purpose"', b"dispute_evidence"),
        ('name="file"; filename="receipt.pdf"', b"%PDF-1.4 \xff\x00 receipt"),
    ]
    if link:
        parts.append(('name="file_link_data[create]"', b"true"))
    body = b"".join(
        b"--cut\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + content + b"\r\n"
        for head, content in parts
    )
    headers = {
        b"authorization": f"Bearer {api.key}".encode(),
        b"content-type": b"multipart/form-data; boundary=cut",
    }
    if account:
        headers[b"stripe-account"] = account.encode()
    response = api.fake.handle(Request("POST", "/v1/files", headers=headers, body=body + b"--cut--\r\n"))
    assert response.status == 200, response.body
    shown: Wire = orjson.loads(response.body)
    return shown


def test_an_upload_is_described_by_name_size_and_type(api: Api) -> None:
    made = upload(api)
    assert (made["object"], made["purpose"], made["filename"]) == ("file", "dispute_evidence", "receipt.pdf")
    assert (made["size"], made["type"], made["expires_at"]) == (19, "pdf", None)
    assert made["links"]["data"] == []
    assert api.get(f"/v1/files/{made['id']}") == made
    assert [o["id"] for o in api.get("/v1/files", purpose="dispute_evidence")["data"]] == [made["id"]]
    assert api.get("/v1/files", purpose="business_logo")["data"] == []


def test_a_file_belongs_to_the_account_it_was_uploaded_for(api: Api) -> None:
    made = upload(api, account=SELLER)
    assert api.refused(404, "GET", f"/v1/files/{made['id']}")["message"] == f"No such file upload: '{made['id']}'"


def test_a_file_must_be_a_file_part(api: Api) -> None:
    assert api.refused(400, "POST", "/v1/files", purpose="dispute_evidence", file="text")["param"] == "file"


def test_links_are_made_with_the_upload_or_later_and_expire(api: Api) -> None:
    made = upload(api, link=True)
    assert len(made["links"]["data"]) == 1
    link = api.post("/v1/file_links", file=made["id"], metadata={"a": "b"})
    assert (link["expired"], link["metadata"]) == (False, {"a": "b"})
    assert api.post(f"/v1/file_links/{link['id']}", expires_at="now")["expired"] is True
    assert len(api.get("/v1/file_links", file=made["id"])["data"]) == 2
    assert [o["id"] for o in api.get("/v1/file_links", expired=True)["data"]] == [link["id"]]


def test_the_journal_remembers_an_upload_without_its_bytes_and_of_a_long_call_the_beginning(api: Api) -> None:
    upload(api)
    api.send("POST", "/v1/customers", {"description": "x" * 100_000})
    shown, long = list(api.world.journal)[-2:]
    assert shown.as_dict()["params"]["file"].endswith("bytes)")
    assert len(long.raw_params) == MOST_BYTES


def test_a_file_that_nobody_uploaded_proves_nothing(api: Api) -> None:
    seller = api.post("/v1/accounts", type="custom", country="US", business_type="individual")["id"]
    document: Wire = {"verification": {"document": {"front": "file_1Nowhere"}}}
    error = api.refused(400, "POST", f"/v1/accounts/{seller}", individual=document)
    assert error == {
        "type": "invalid_request_error",
        "code": "resource_missing",
        "message": "No such file upload: 'file_1Nowhere'",
        "param": "individual[verification][document][front]",
    }
    error = api.refused(400, "POST", f"/v1/accounts/{seller}/persons", **document)
    assert error["param"] == "verification[document][front]"


@pytest.mark.parametrize("uploaded_for", [None, SELLER])
def test_a_document_may_be_uploaded_by_the_platform_or_for_the_account(api: Api, uploaded_for: str | None) -> None:
    file = upload(api, account=uploaded_for)["id"]
    person = api.post(f"/v1/accounts/{SELLER}/persons", verification={"document": {"front": file}})
    assert person["verification"]["document"]["front"] == file


def test_stripes_test_documents_are_there_without_an_upload(api: Api) -> None:
    document = {"front": "file_identity_document_success"}
    person = api.post(f"/v1/accounts/{SELLER}/persons", verification={"document": document})
    assert person["verification"]["document"]["front"] == "file_identity_document_success"


def test_evidence_that_nobody_uploaded_is_refused(api: Api) -> None:
    wanted: Wire = {"amount": 900, "currency": "usd", "payment_method_types": ["card"], "confirm": True}
    api.post("/v1/payment_intents", payment_method="pm_card_createDispute", **wanted)
    dispute = api.get("/v1/disputes")["data"][0]["id"]
    error = api.refused(400, "POST", f"/v1/disputes/{dispute}", evidence={"receipt": "file_1Nowhere"})
    assert (error["code"], error["param"]) == ("resource_missing", "evidence[receipt]")
    receipt = upload(api)["id"]
    answered = api.post(f"/v1/disputes/{dispute}", evidence={"receipt": receipt}, submit=False)
    assert answered["evidence"]["receipt"] == receipt
