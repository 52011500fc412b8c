"""Which reasons the server's code can raise, read from its source: what the comments of the contract are held to.

From an RPC's method and its workflow the calls are followed, function by function; every domain error that is made on
the way counts, and so does what Stripe may refuse the steps with that are taken on the way (`stripe_gateway.steps`).
Which branch is taken is not looked at: this is what the code *can* raise.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cloneservice_server.domain import commands, errors
from cloneservice_server.rpc.servicer import CloneServicer
from cloneservice_server.stripe_gateway.steps import STEPS
from cloneservice_server.workflows.registry import WORKFLOWS

SERVER = "cloneservice_server"
ROOT = Path(__file__).parents[1] / "server"
PARTS = {
    ("self", "_queries"): f"{SERVER}.workflows.queries.Queries",
    ("self", "_tokens"): f"{SERVER}.rpc.paging.PageTokens",
    ("self", "_batches"): f"{SERVER}.workflows.batches.Batches",
    ("self", "_events"): f"{SERVER}.workflows.event_intake.EventIntake",
}
"""What the servicer holds, by attribute."""
READERS = ("run", "reader", "self._reader()")
"""What reads Stripe by `.read(call, step=...)`, as written."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
REASON_OF = {
    cls.__name__: cls.reason
    for cls in vars(errors).values()
    if isinstance(cls, type) and issubclass(cls, errors.DomainError) and cls is not errors.DomainError
}


@dataclass(frozen=True, slots=True)
class Place:
    """One function: its module, its name there, and its source."""

    module: str
    name: str
    node: Function


@cache
def functions() -> dict[str, Place]:
    """Every function of the server, by dotted name."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for name, node in _functions(ast.parse(path.read_text(encoding="utf-8")).body):
            found[f"{module}.{name}"] = Place(module, name, node)
    return found


def _functions(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, Function]]:
    for node in body:
        if isinstance(node, Function):
            yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node.body, f"{prefix}{node.name}.")


@cache
def imports(module: str) -> dict[str, str]:
    """Each name that a module imports, to the dotted name of what it is."""
    tree = ast.parse((ROOT / Path(*module.split("."))).with_suffix(".py").read_text(encoding="utf-8"))
    return {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def dotted(place: Place, node: ast.expr) -> str:
    """The dotted name that an expression stands for within a function; "" if that is not known."""
    match node:
        case ast.Name(id=name):
            return imports(place.module).get(name, f"{place.module}.{name}")
        case ast.Attribute(value=ast.Name(id="self"), attr=name):
            return f"{place.module}.{place.name.rpartition('.')[0]}.{name}"
        case ast.Attribute(value=ast.Attribute(value=ast.Name(id=owner), attr=part), attr=name):
            return f"{PARTS[owner, part]}.{name}" if (owner, part) in PARTS else ""
        case ast.Attribute(value=ast.Name(id=owner), attr=name) if owner in imports(place.module):
            return f"{imports(place.module)[owner]}.{name}"
    return ""


@cache
def reasons_of(name: str) -> frozenset[str]:
    """What the function of that dotted name can raise, with all that it refers to."""
    found: set[str] = set()
    seen, due = set(), [name]
    while due:
        current = due.pop()
        if current in seen or current not in functions():
            continue
        seen.add(current)
        place = functions()[current]
        for node in ast.walk(place.node):
            if isinstance(node, ast.Call):
                found |= made_by(place, node)
            if isinstance(node, (ast.Name, ast.Attribute)):
                due.append(dotted(place, node))
    return frozenset(found)


def made_by(place: Place, call: ast.Call) -> frozenset[str]:
    """The reasons that one call brings in: an error that is made, or a step at Stripe."""
    name = dotted(place, call.func)
    if name.startswith(f"{SERVER}.domain.errors.") and name.rpartition(".")[2] in REASON_OF:
        return frozenset({REASON_OF[name.rpartition(".")[2]]})
    if name == f"{SERVER}.ports.NewEffect" and isinstance(call.args[1], ast.Constant):
        return STEPS[str(call.args[1].value)]
    if isinstance(call.func, ast.Attribute) and call.func.attr == "read" and ast.unparse(call.func.value) in READERS:
        step = next((word.value for word in call.keywords if word.arg == "step"), ast.Constant("read"))
        assert isinstance(step, ast.Constant), "a step is named where it is taken"
        return STEPS[str(step.value)]
    return frozenset()


def reasons_of_rpc(rpc: str) -> frozenset[str]:
    """What an RPC that is served can raise."""
    roots: list[Callable[..., Any]] = [getattr(CloneServicer, rpc)]
    if rpc in commands.COMMANDS:
        workflow = WORKFLOWS[commands.COMMANDS[rpc]]
        answering = () if workflow.unattended else (workflow.carry_out, workflow.preview)
        roots += [root for root in answering if root is not None]
    return frozenset().union(*(reasons_of(f"{root.__module__}.{root.__qualname__}") for root in roots))


def reasons_in(module: str) -> frozenset[str]:
    """The errors made anywhere in a module."""
    own = [place for place in functions().values() if place.module == module]
    calls = [(place, node) for place in own for node in ast.walk(place.node) if isinstance(node, ast.Call)]
    return frozenset().union(*(made_by(place, call) for place, call in calls))
