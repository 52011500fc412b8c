"""Form bodies and query strings as (name, value) pairs in the order of the wire."""

from urllib.parse import unquote

from fake_stripe.errors import invalid
from fake_stripe.wire import Request


class UploadedFile(str):
    """The value of a file part of a multipart body: as a string its text in latin-1, beside it its name and type."""

    __slots__ = ("content_type", "filename")

    filename: str
    content_type: str

    @property
    def content(self) -> bytes:
        """The bytes of the file."""
        return self.encode("latin-1")


def is_multipart(request: Request) -> bool:
    """Whether the body consists of parts, as uploads do."""
    return request.headers.get(b"content-type", b"").startswith(b"multipart/form-data")


def decode(raw: bytes, content_type: str) -> list[tuple[str, str]]:
    """The pairs of a urlencoded or multipart body, or of a query string.

    Broken percent escapes stay as they are and invalid UTF-8 is replaced: what is wrong with a value is for validation
    to say. A part that is a file has an `UploadedFile` as its value.
    """
    if content_type.startswith("multipart/form-data"):
        return _multipart(raw, content_type)
    text = raw.decode("utf-8", "replace")
    pairs = []
    if "+" in text:
        text = text.replace("+", " ")
    escaped = "%" in text
    for piece in text.split("&"):
        if piece:
            name, _, value = piece.partition("=")
            if escaped:
                if "%" in name:
                    name = _name(name)
                if "%" in value:
                    value = unquote(value)
            pairs.append((name, value))
    return pairs


_names: dict[str, str] = {}


def _name(escaped: str) -> str:
    """An unescaped name; clients send the same ones (`metadata%5Border%5D`) again and again."""
    found = _names.get(escaped)
    if found is None:
        if len(_names) > 4096:
            _names.clear()
        found = _names[escaped] = unquote(escaped)
    return found


def _multipart(raw: bytes, content_type: str) -> list[tuple[str, str]]:
    boundary = _attribute(content_type, "boundary")
    if not boundary:
        raise invalid("Invalid request: the multipart body has no boundary.")
    pairs: list[tuple[str, str]] = []
    for part in raw.split(b"--" + boundary.encode("latin-1")):
        head, found, content = part.partition(b"\r\n\r\n")
        if not found:
            continue
        headers = head.decode("utf-8", "replace")
        content = content.removesuffix(b"\r\n")
        disposition = _header(headers, "content-disposition")
        name = _attribute(disposition, "name")
        if "filename" in disposition:
            file = UploadedFile(content.decode("latin-1"))
            file.filename = _attribute(disposition, "filename")
            file.content_type = _header(headers, "content-type") or "application/octet-stream"
            pairs.append((name, file))
        elif name:
            pairs.append((name, content.decode("utf-8", "replace")))
    return pairs


def _header(headers: str, wanted: str) -> str:
    for line in headers.split("\r\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() == wanted:
            return value.strip()
    return ""


def _attribute(header: str, wanted: str) -> str:
    for piece in header.split(";")[1:]:
        name, _, value = piece.strip().partition("=")
        if name.lower() == wanted:
            return value.strip().strip('"')
    return ""
