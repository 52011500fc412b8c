"""The routes of `/_fake/`: a table that both answers requests and describes itself as OpenAPI."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import orjson

from fake_stripe.wire import Request, Response

if TYPE_CHECKING:
    from fake_stripe.app import FakeStripe
    from fake_stripe.world import World

JSON_TYPE = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]


class ControlError(Exception):
    """A control request that cannot be carried out: its status and what to do about it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(slots=True)
class Asked:
    """One control request.

    Attributes:
        params: query, form or JSON members together.
        path: the path parameters.
        key: the API key that it names, if any.
    """

    app: "FakeStripe"
    request: Request
    params: dict[str, Any]
    path: dict[str, str]
    key: str | None

    @property
    def world(self) -> "World":
        """The world that the request's key opens."""
        if self.key is None:
            raise ControlError(
                400,
                "Say which world: Authorization: Bearer sk_test_<name>, or ?key=sk_test_<name>, or X-Fake-World.",
            )
        return self.app.world(self.key)

    @property
    def world_name(self) -> str:
        """The name of that world, opening none."""
        from fake_stripe.http.keys import key_of  # noqa: PLC0415 - avoids a cycle at import

        if self.key is None:
            return self.world.name
        return key_of(b"Bearer " + self.key.encode()).world

    def text(self, name: str, default: str | None = None) -> str | None:
        """A parameter as text."""
        value = self.params.get(name, default)
        return None if value is None else str(value)

    def required(self, name: str) -> Any:
        """A parameter that must be there."""
        if name not in self.params:
            raise ControlError(400, f"{name!r} is missing")
        return self.params[name]

    def number(self, name: str, default: float | None = None) -> float | None:
        """A parameter as a number."""
        value = self.params.get(name, default)
        try:
            found = None if value is None else float(value)
        except (TypeError, ValueError):
            found = math.nan
        if isinstance(value, bool) or (found is not None and not math.isfinite(found)):
            raise ControlError(400, f"{name!r} must be a number, not {value!r}")
        return found

    def flag(self, name: str) -> bool:
        """A parameter as yes or no."""
        return self.params.get(name) in (True, 1, "1", "true", "yes")


Answer = Any
Control = Callable[[Asked], Answer]


@dataclass(slots=True)
class Route:
    """One control operation."""

    method: str
    template: str
    summary: str
    call: Control
    params: dict[str, str] = field(default_factory=dict)
    pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        parts = re.split(r"\{(\w+)\}", self.template)
        self.pattern = re.compile("".join(f"(?P<{p}>[^/]+)" if i % 2 else re.escape(p) for i, p in enumerate(parts)))


ROUTES: list[Route] = []


def route(method: str, template: str, /, **params: str) -> Callable[[Control], Control]:
    """Register a control operation; its docstring is its summary, `params` describe its parameters."""

    def register(call: Control) -> Control:
        ROUTES.append(Route(method, template, " ".join((call.__doc__ or "").split()), call, params))
        return call

    return register


def asked_of(app: "FakeStripe", request: Request, path: dict[str, str]) -> Asked:
    """The request's parameters, wherever they stand, and its world."""
    params: dict[str, Any] = dict(parse_qsl(request.query.decode("utf-8", "replace"), keep_blank_values=True))
    content_type = request.headers.get(b"content-type", b"")
    if request.body:
        if content_type.startswith(b"application/x-www-form-urlencoded") and request.body[:1] not in b"{[":
            params |= dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
        else:
            given = _from_yaml(request.body) if b"yaml" in content_type else _from_json(request.body)
            if not isinstance(given, dict):
                raise ControlError(400, "the body must be an object")
            params |= given
    return Asked(app, request, params, path, _key_of(request, params))


def _from_json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as problem:
        raise ControlError(400, f"the body is not JSON: {problem}") from None


def _from_yaml(body: bytes) -> Any:
    """YAML for people who write seeds by hand; the safe loader makes plain values only."""
    import yaml  # noqa: PLC0415 - only who sends YAML pays for it

    try:
        return yaml.safe_load(body)
    except yaml.YAMLError as problem:
        raise ControlError(400, f"the body is not YAML: {problem}") from None


def _key_of(request: Request, params: dict[str, Any]) -> str | None:
    from fake_stripe.http.keys import secret_in  # noqa: PLC0415 - avoids a cycle at import

    if isinstance(params.get("key"), str):
        return str(params.pop("key"))
    name = request.headers.get(b"x-fake-world")
    if name:
        return "sk_test_" + name.decode("latin-1")
    return secret_in(request.headers.get(b"authorization")) or None


def json_response(status: int, value: Any) -> Response:
    """A JSON answer."""
    return Response(status, list(JSON_TYPE), orjson.dumps(value, option=orjson.OPT_INDENT_2))


def openapi() -> dict[str, Any]:
    """The control API as an OpenAPI 3.1 document, made from the table of routes."""
    paths: dict[str, Any] = {}
    for found in ROUTES:
        operation: dict[str, Any] = {
            "summary": found.summary,
            "operationId": found.call.__name__,
            "responses": {"200": {"description": "Done."}, "400": {"description": "What is wrong, and what to do."}},
        }
        names = re.findall(r"\{(\w+)\}", found.template)
        operation["parameters"] = [_parameter(name, "path", "", required=True) for name in names]
        if found.method in ("GET", "DELETE"):
            operation["parameters"] += [_parameter(name, "query", text) for name, text in found.params.items()]
        elif found.params:
            properties = {name: {"description": text, **_choices(text)} for name, text in found.params.items()}
            schema = {"type": "object", "properties": properties}
            operation["requestBody"] = {"content": {"application/json": {"schema": schema}}}
        paths.setdefault(found.template, {})[found.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fake_stripe control API",
            "version": "1",
            "description": "A world is chosen by API key: Authorization, ?key= or X-Fake-World.",
        },
        "components": {"securitySchemes": {"world": {"type": "http", "scheme": "bearer"}}},
        "security": [{"world": []}, {}],
        "paths": paths,
    }


def _parameter(name: str, place: str, text: str, *, required: bool = False) -> dict[str, Any]:
    schema = {"type": "string", **_choices(text)}
    found: dict[str, Any] = {"name": name, "in": place, "required": required, "schema": schema}
    if text:
        found["description"] = text
    return found


def _choices(text: str) -> dict[str, Any]:
    """`deliver | collect` in a description is an enumeration."""
    words = text.split(" | ")
    return {"enum": words} if len(words) > 1 and all(re.fullmatch(r"\w+", word) for word in words) else {}
