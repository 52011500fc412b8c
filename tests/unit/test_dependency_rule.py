"""Who may import whom, read from the source: the rule of CONTRIBUTING, kept by a test.

domain <- ports <- workflows; gateway, ledger and rpc beside them, each with its own library; the composition root above
all. fake_stripe knows neither the server nor the client, and the server knows fake_stripe for `--stripe fake` only.
The testing kit is the exception that only tests open: a whole server on the double, behind `cloneservice.testing`,
which the rest of the client never imports.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVER, FAKE, CLIENT = "cloneservice_server", "fake_stripe", "cloneservice"
PACKAGES = {SERVER: ROOT / "server", FAKE: ROOT / "fake_stripe", CLIENT: ROOT / "client"}
OWN = tuple(
    f"{SERVER}.{name}" for name in ("domain", "ports", "ports_batches", "ports_observer", "ports_pages", "log_context")
)
GRPC = ("grpc", "google", "grpc_status", "grpc_health", "grpc_reflection", "grpc_channelz", "cloneservice.v1")

ALLOWED = {
    f"{SERVER}.domain": (f"{SERVER}.domain",),
    f"{SERVER}.ports": OWN,
    f"{SERVER}.ports_observer": (f"{SERVER}.domain",),
    f"{SERVER}.workflows": (*OWN, f"{SERVER}.workflows"),
    f"{SERVER}.stripe_gateway": (*OWN, f"{SERVER}.stripe_gateway", "stripe", "aiohttp", "yarl", "orjson"),
    f"{SERVER}.ledger": (*OWN, f"{SERVER}.ledger", "asyncpg", "orjson"),
    f"{SERVER}.rpc": (*OWN, f"{SERVER}.rpc", f"{SERVER}.access", *GRPC),
    f"{SERVER}.cli": (SERVER, FAKE, "uvloop"),
    f"{SERVER}.webhooks": (SERVER, "aiohttp"),
    f"{SERVER}.pages": (SERVER, "aiohttp", "jinja2", "markupsafe"),
    f"{SERVER}.testing": (SERVER, FAKE, CLIENT),
    f"{SERVER}.pytest_plugin": (SERVER, FAKE, f"{CLIENT}.testing", "pytest"),
    SERVER: (SERVER, *GRPC),
    f"{SERVER}.observability": (SERVER, *GRPC, "prometheus_client", "aiohttp", "opentelemetry"),
    f"{SERVER}.access": (f"{SERVER}.domain", f"{SERVER}.access", "yaml"),
    FAKE: (FAKE, "orjson", "httptools", "h2", "hyperframe", "hpack", "uvloop", "yaml"),
    f"{FAKE}.pytest_plugin": (FAKE, "pytest"),
    f"{FAKE}.ui": (FAKE, "orjson", "jinja2", "markupsafe"),
    CLIENT: (CLIENT, "grpc", "google", "grpc_status"),
    f"{CLIENT}.testing": (f"{SERVER}.testing",),
}
"""Package to the packages that it may import besides the standard library; the longest name wins."""

LAZY = {
    f"{FAKE}.pytest_plugin": ("stripe",),
    f"{FAKE}.sdk": ("stripe",),
    f"{FAKE}.sandbox": ("stripe",),
}
"""Doors of fake_stripe for the SDK: it is imported where they are opened, or for types."""

DOORS = {
    f"{CLIENT}.testing": (f"{SERVER}.pytest_plugin",),
    f"{SERVER}.testing": (f"{CLIENT}.testing", f"{SERVER}.pytest_plugin", f"{SERVER}.cli"),
}
"""The testing kit's modules to the only ones that may import them: `cloneservice-server dev` seeds like the fixture."""


@dataclass(frozen=True, slots=True)
class Import:
    module: str
    name: str
    line: int
    lazy: bool
    """Inside a function, or for the type checker only."""

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.name}"


def modules(package: str) -> Iterator[tuple[str, str]]:
    """(dotted name, source) of each module that is not generated."""
    folder = PACKAGES[package]
    for path in sorted((folder / package).rglob("*.py")):
        if "_pb2" not in path.name:
            dotted = ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
            yield dotted, path.read_text(encoding="utf-8")


def imports(module: str, source: str, *, is_package: bool = False) -> list[Import]:
    found: list[Import] = []

    def visit(node: ast.AST, lazy: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend(Import(module, alias.name, node.lineno, lazy) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = module.split(".")[: None if is_package and node.level == 1 else -node.level or None]
            origin = ".".join([*parent, *filter(None, [node.module])]) if node.level else str(node.module)
            found.extend(Import(module, f"{origin}.{alias.name}", node.lineno, lazy) for alias in node.names)
        within = lazy or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or _for_types_only(node)
        for child in ast.iter_child_nodes(node):
            visit(child, within)

    visit(ast.parse(source), lazy=False)
    return found


def _for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def is_in(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def allowed(one: Import) -> bool:
    if one.name.split(".")[0] in sys.stdlib_module_names:
        return True
    if one.lazy and any(is_in(one.name, package) for package in LAZY.get(one.module, ())):
        return True
    for door, openers in DOORS.items():
        if is_in(one.name, door) and one.module != door:
            return one.module in openers
    rule = max((name for name in ALLOWED if is_in(one.module, name)), key=len)
    return any(is_in(one.name, package) for package in ALLOWED[rule])


def forbidden(module: str, source: str) -> list[str]:
    return [str(one) for one in imports(module, source) if not allowed(one)]


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_each_module_imports_only_what_its_place_allows(package: str) -> None:
    found = [line for module, source in modules(package) for line in forbidden(module, source)]

    assert found == []


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_the_rule_sees_the_code(package: str) -> None:
    assert sum(1 for _ in modules(package)) > 5


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (f"{SERVER}.domain.values", "import grpc"),
        (f"{SERVER}.domain.values", f"from {SERVER} import ports"),
        (f"{SERVER}.ports", f"from {SERVER}.workflows import engine"),
        (f"{SERVER}.workflows.engine", "import stripe"),
        (f"{SERVER}.workflows.engine", "def f():\n    import stripe"),
        (f"{SERVER}.workflows.engine", f"from {SERVER}.ledger import open_ledger"),
        (f"{SERVER}.workflows.engine", f"from {SERVER}.rpc.status import status_of"),
        (f"{SERVER}.ledger.sqlite", f"from {SERVER}.workflows.engine import Engine"),
        (f"{SERVER}.rpc.servicer", f"from {SERVER}.workflows.engine import Engine"),
        (f"{SERVER}.rpc.servicer", f"from {SERVER}.stripe_gateway import gateway"),
        (f"{SERVER}.rpc.servicer", "from cloneservice import CloneClient"),
        (f"{SERVER}.app", "from fake_stripe import FakeStripe"),
        (f"{SERVER}.app", "import stripe"),
        (f"{FAKE}.world", f"from {SERVER}.domain import values"),
        (f"{FAKE}.world", "from cloneservice.v1 import types_pb2"),
        (f"{FAKE}.world", "import grpc"),
        (f"{FAKE}.world", "def f():\n    import stripe"),
        (f"{FAKE}.sdk", "import stripe"),
        (f"{CLIENT}._client", f"from {SERVER} import settings"),
        (f"{CLIENT}._client", "from fake_stripe import FakeStripe"),
        (f"{CLIENT}._client", f"from {CLIENT}.testing import LocalCloneService"),
        (f"{CLIENT}.testing", f"from {SERVER} import app"),
        (f"{SERVER}.app", f"from {SERVER}.testing import seed"),
    ],
)
def test_a_forbidden_import_is_found(module: str, source: str) -> None:
    assert len(forbidden(module, source)) == 1


def test_relative_imports_are_seen_too() -> None:
    assert forbidden(f"{SERVER}.domain.values", "from ..ledger import sqlite") == [
        f"{SERVER}.domain.values:1 imports {SERVER}.ledger.sqlite"
    ]


# -------------------------------------------------------------------------------- what else has one place only

SQL = re.compile(
    r"\b(?:SELECT\s.+\sFROM|INSERT\s+INTO|UPDATE\s\w+\sSET|DELETE\s+FROM|CREATE\s+(?:TABLE|INDEX))\b", re.DOTALL
)


def texts(source: str) -> list[str]:
    return [
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def test_sql_is_written_in_the_ledger_only() -> None:
    places = {module for module, source in modules(SERVER) for text in texts(source) if SQL.search(text)}

    assert places
    assert {place for place in places if not is_in(place, f"{SERVER}.ledger")} == set()


def test_the_connected_account_header_is_set_in_the_gateway_only() -> None:
    places = {
        module
        for module, source in modules(SERVER)
        for text in texts(source)
        if text in ("Stripe-Account", "stripe_account")
    }

    assert places
    assert {place for place in places if not is_in(place, f"{SERVER}.stripe_gateway")} == set()
