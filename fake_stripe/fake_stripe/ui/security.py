"""What keeps the page to its reader: a strict policy for its content, and buttons that no other site can press."""

from urllib.parse import urlsplit

from fake_stripe.wire import Request

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = [
    ("Content-Security-Policy", POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
]


def is_foreign(request: Request) -> bool:
    """Whether a POST may come from another site.

    The page's own carry a header that no other site can send without being asked first, which this server never
    grants; and where the browser says from where a request comes, it must say: from here.
    """
    headers = request.headers
    if headers.get(b"hx-request") != b"true":
        return True
    if headers.get(b"sec-fetch-site", b"same-origin") != b"same-origin":
        return True
    origin = headers.get(b"origin")
    return origin is not None and urlsplit(origin.decode("latin-1")).netloc.encode("latin-1") != headers.get(b"host")
