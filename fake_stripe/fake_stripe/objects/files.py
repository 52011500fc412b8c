"""Files: uploads of evidence, identity documents and logos, as multipart/form-data. The bytes are not kept."""

from __future__ import annotations

import mimetypes
from typing import Any

from fake_stripe.errors import invalid
from fake_stripe.http.forms import UploadedFile
from fake_stripe.objects import file_links
from fake_stripe.objects.account_shape import empty_list
from fake_stripe.objects.registry import Call, operation
from fake_stripe.render.lists import paginate
from fake_stripe.scope import Scope, Wire

_KEPT = frozenset(
    {"additional_verification", "business_icon", "business_logo", "dispute_evidence", "identity_document"}
)
"""Purposes whose files never expire; others do after about seven months (`expires_at`)."""
_LIFETIME = 210 * 86_400
_LARGEST = 16 * 1024 * 1024
_TYPES = {"image/png": "png", "image/jpeg": "jpg", "application/pdf": "pdf", "text/csv": "csv", "text/plain": "txt"}


@operation("POST", "/v1/files")
def create(call: Call) -> Wire:
    """Keeps the description of an uploaded file; `file_link_data[create]` makes a link to it as well.

    Raises:
        ApiError: 400 when `file` is no file part, or larger than 16 MiB.
    """
    scope, params = call.scope, call.params
    file = params.get("file")
    if not isinstance(file, UploadedFile):
        raise invalid("Invalid file: must be uploaded as a part of a multipart/form-data request.", param="file")
    content = file.content
    if len(content) > _LARGEST:
        raise invalid("The file is too large: at most 16 MB can be uploaded.", param="file")
    purpose = params["purpose"]
    id_ = scope.new_id("file")
    made = scope.insert(
        {
            "id": id_,
            "object": "file",
            "created": call.now,
            "expires_at": None if purpose in _KEPT else call.now + _LIFETIME,
            "filename": file.filename or None,
            "links": empty_list(f"/v1/file_links?file={id_}"),
            "purpose": purpose,
            "size": len(content),
            "title": None,
            "type": _type_of(file),
            "url": f"https://files.stripe.com/v1/files/{id_}/contents",
        }
    )
    wanted = params.get("file_link_data")
    if isinstance(wanted, dict) and wanted.get("create"):
        file_links.make(scope, made, wanted)
    return made


def _type_of(file: UploadedFile) -> str | None:
    guessed = mimetypes.guess_type(file.filename or "")[0] or file.content_type
    return _TYPES.get(guessed) or (file.filename.rpartition(".")[2].lower() if "." in file.filename else None)


_TEST_DOCUMENTS = "file_identity_document_"  # docs.stripe.com/connect/testing#test-file-tokens
_NAMED_IN = frozenset({"back", "front", "icon", "logo"})


def refuse_unknown(scope: Scope, given: Any, at: str = "") -> None:
    """Raises `resource_missing` for the first file in nested parameters that neither the account nor its platform has.

    Looked for under the names that documents and branding have: `front`, `back`, `files`, `icon`, `logo`.
    """
    for name, value in given.items() if isinstance(given, dict) else ():
        path = f"{at}[{name}]" if at else name
        if name in _NAMED_IN and isinstance(value, str):
            require(scope, value, param=path)
        elif name == "files" and isinstance(value, list):
            for index, id_ in enumerate(value):
                require(scope, id_, param=f"{path}[{index}]")
        elif name != "metadata":
            refuse_unknown(scope, value, path)


def require(scope: Scope, file: str, *, param: str) -> None:
    """Raises `resource_missing` for a file that neither the account nor its platform has; "" unsets and passes."""
    home = scope.world.platform_scope(scope.livemode)
    if not file or file.startswith(_TEST_DOCUMENTS) or scope.get("file", file) or home.get("file", file):
        return
    raise scope.missing("file", file, param=param)


@operation("GET", "/v1/files/{file}")
def retrieve(call: Call) -> Wire:
    """One file's description."""
    return call.scope.require("file", call.path["file"], param="file", in_path=True)


@operation("GET", "/v1/files")
def list_all(call: Call) -> Wire:
    """Files, newest first, of one purpose if asked for."""
    found = call.scope.list("file", purpose=call.params.get("purpose") or None)
    return paginate(call, found, "/v1/files", type="file")
