"""Lists with cursors and searches: from an iterable of objects to the page that was asked for."""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from fake_stripe.errors import invalid
from fake_stripe.objects.registry import Call
from fake_stripe.render.references import type_of
from fake_stripe.scope import Wire

DEFAULT_LIMIT = 10
MAX_LIMIT = 100
_SEARCH_SINCE = "2020-08-27"
_TOO_OLD = (
    "Search is not supported on api version {}. Update your API version, or set the API Version of this request to {}"
    " or greater."
)


def list_object(data: list[Wire], url: str, *, has_more: bool = False, total_count: int | None = None) -> Wire:
    """The list object itself; `total_count` only where Stripe shows one (lists inside another object)."""
    page: Wire = {"object": "list", "data": data, "has_more": has_more}
    if total_count is not None:
        page["total_count"] = total_count
    page["url"] = url
    return page


def first_page(items: list[Wire], url: str) -> Wire:
    """A list inside another object: its first ten, with the count of all."""
    return list_object(items[:DEFAULT_LIMIT], url, has_more=len(items) > DEFAULT_LIMIT, total_count=len(items))


def paginate(call: Call, items: Iterable[Wire], url: str, *, type: str | None = None) -> Wire:  # noqa: A002 - Stripe's name
    """The page of `items` (newest first) that `limit`, `starting_after`, `ending_before` and `created` ask for.

    `url` is the list's own path. A limit out of range is clamped to 1..100, as observed. Raises `resource_missing`
    (400, its param the cursor's name) for a cursor that is not among the items; `type` words it, else its prefix.
    """
    params = call.params
    after, before = params.get("starting_after"), params.get("ending_before")
    if after and before:
        raise invalid("Received both starting_after and ending_before parameters. Please pass in only one.")
    limit = min(max(int(params.get("limit") or DEFAULT_LIMIT), 1), MAX_LIMIT)
    wanted = _created_between(items, params.get("created"))
    if after:
        wanted = _behind(call, wanted, after, type)
    elif before:
        newer = _ahead_of(call, wanted, before, type, limit)
        has_more = len(newer) > limit
        return list_object(list(newer)[1:] if has_more else list(newer), url, has_more=has_more)
    page = list(islice(wanted, limit + 1))
    return list_object(page[:limit], url, has_more=len(page) > limit)


def _missing(call: Call, cursor: str, param: str, type_: str | None) -> Exception:
    return call.scope.missing(type_ or type_of(cursor) or "object", cursor, param=param)


def _behind(call: Call, items: Iterator[Wire], cursor: str, type_: str | None) -> Iterator[Wire]:
    for item in items:
        if item["id"] == cursor:
            return items
    raise _missing(call, cursor, "starting_after", type_)


def _ahead_of(call: Call, items: Iterator[Wire], cursor: str, type_: str | None, limit: int) -> deque[Wire]:
    window: deque[Wire] = deque(maxlen=limit + 1)
    for item in items:
        if item["id"] == cursor:
            return window
        window.append(item)
    raise _missing(call, cursor, "ending_before", type_)


def _created_between(items: Iterable[Wire], created: Any) -> Iterator[Wire]:
    if created is None or created == "":
        return iter(items)
    if not isinstance(created, dict):
        return (item for item in items if _time_of(item) == int(created))
    low = max(int(created.get("gte", 0)), int(created["gt"]) + 1 if "gt" in created else 0)
    high = min(int(created.get("lte", 2**63)), int(created["lt"]) - 1 if "lt" in created else 2**63)
    return (item for item in items if low <= _time_of(item) <= high)


def _time_of(item: Wire) -> int:
    """When an object was made; invoice items call it `date`."""
    return int(item.get("created") or item.get("date") or 0)


def search(call: Call, items: Iterable[Wire], url: str, *, fields: dict[str, str] | None = None) -> Wire:
    """The page of a search: `items` (newest first) that match `call.params["query"]`.

    `fields` maps searchable names to dotted paths where they differ from the object's members. Raises Stripe's errors
    for a query that does not parse and for a limit over 100.
    """
    from fake_stripe.render.search import matcher  # noqa: PLC0415 - few runs ever search

    if call.version < _SEARCH_SINCE:
        raise invalid(_TOO_OLD.format(call.version, _SEARCH_SINCE))
    limit = _search_limit(call.params.get("limit"))
    matches = matcher(call.params["query"], fields or {})
    found = [item for item in items if matches(item)]
    start = _page_start(call.params.get("page"))
    page = found[start : start + limit]
    more = len(found) > start + limit
    result: Wire = {"object": "search_result", "data": page, "has_more": more, "next_page": None, "url": url}
    if more:
        result["next_page"] = _page_token(start + limit)
    if "total_count" in call.expand:
        result["total_count"] = len(found)
    return result


def _search_limit(asked: Any) -> int:
    limit = DEFAULT_LIMIT if asked is None else int(asked)
    if limit > MAX_LIMIT:
        text = f"This value must be less than or equal to {MAX_LIMIT} (it currently is '{limit}')."
        raise invalid(text, code="parameter_invalid_integer", param="limit")
    if limit < 1:
        raise invalid("This value must be greater than or equal to 1.", code="parameter_invalid_integer", param="limit")
    return limit


_TOKEN_ZERO = 0x5EA2C4


def _page_token(start: int) -> str:
    return format(start ^ _TOKEN_ZERO, "x")


def _page_start(token: Any) -> int:
    if not token:
        return 0
    try:
        return int(str(token), 16) ^ _TOKEN_ZERO
    except ValueError:
        raise invalid(f"Invalid search page: {token}", param="page") from None
