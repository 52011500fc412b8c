"""Rules that no linter keeps for us: sizes, names, money as integers, nothing dangerous, nothing of one machine."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("client", "server", "fake_stripe", "tests", "bench", "protos")
FUNCTION_LINES = 70
FILE_LINES = 600
FORBIDDEN_STEMS = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers", "base"}
FORBIDDEN_CLASS = re.compile(r"(?:Manager|Helper|Utils?)$")
MONEY = re.compile(r"(?:^|_)(?:amount|amounts|minor_units|fee|fees|price|balance|refunded|received|capturable)(?:_|$)")
DANGEROUS_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}
DANGEROUS_CALLS = {"eval", "exec", "os.system", "os.popen"}


def sources() -> list[Path]:
    found = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")) if "_pb2" not in path.name]
    assert len(found) > 50
    return found


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sources():
        yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"), str(path))


Function = ast.FunctionDef | ast.AsyncFunctionDef


def lines_of(function: Function) -> int:
    """From `def` to the end, docstring left out: saying more must not cost anything."""
    first = function.body[0]
    said = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    docstring = (first.end_lineno or 0) - first.lineno + 1 if said else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


def over_long_functions(place: str, tree: ast.Module) -> list[str]:
    functions = (node for node in ast.walk(tree) if isinstance(node, Function))
    return [
        f"{place}:{node.lineno} {node.name} has {lines_of(node)} lines"
        for node in functions
        if lines_of(node) > FUNCTION_LINES
    ]


def float_money(place: str, tree: ast.Module) -> list[str]:
    """Money that is annotated as a float, made one, rounded, or divided with `/`."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.annotation is not None:
            bad = _is_money(node) and _names_float(node.annotation)
        elif isinstance(node, ast.AnnAssign):
            bad = _is_money(node.target) and _names_float(node.annotation)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.returns is not None:
            bad = MONEY.search(node.name) is not None and _names_float(node.returns)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            bad = _is_money(node.left) or _is_money(node.right)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("float", "round"):
            bad = any(_is_money(argument) for argument in node.args)
        else:
            continue
        if bad:
            found.append(f"{place}:{node.lineno} {ast.unparse(node).splitlines()[0]}")
    return found


def _is_money(node: ast.AST) -> bool:
    name = ""
    if isinstance(node, ast.arg):
        name = node.arg
    elif isinstance(node, ast.Name):
        name = node.id
    elif isinstance(node, ast.Attribute):
        name = node.attr
    elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        name = str(node.slice.value)
    return MONEY.search(name) is not None


def _names_float(annotation: ast.AST) -> bool:
    return any(isinstance(node, ast.Name) and node.id == "float" for node in ast.walk(annotation))


def dangerous(place: str, tree: ast.Module) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            bad = any(alias.name.split(".")[0] in DANGEROUS_MODULES for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            bad = str(node.module).split(".")[0] in DANGEROUS_MODULES
        elif isinstance(node, ast.Call):
            bad = ast.unparse(node.func) in DANGEROUS_CALLS or any(
                word.arg == "shell" and not (isinstance(word.value, ast.Constant) and word.value.value is False)
                for word in node.keywords
            )
        else:
            continue
        if bad:
            found.append(f"{place}:{node.lineno}")
    return found


def test_no_function_is_longer_than_70_lines() -> None:
    assert [line for place, tree in trees() for line in over_long_functions(place, tree)] == []


def test_no_file_is_longer_than_600_lines() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in sources()}

    assert {place: length for place, length in lengths.items() if length > FILE_LINES} == {}


def test_no_module_or_folder_has_a_name_that_says_nothing() -> None:
    parts = {part for path in sources() for part in path.relative_to(ROOT).with_suffix("").parts}

    assert {part for part in parts if part.lstrip("_") in FORBIDDEN_STEMS} == set()


def test_no_class_is_a_manager_or_a_helper() -> None:
    classes = [node.name for _, tree in trees() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]

    assert [name for name in classes if FORBIDDEN_CLASS.search(name)] == []


def test_nobody_copies_a_payment_method() -> None:
    """What Stripe and we do is cloning; "copy" would promise that the two stay alike."""
    server = [(place, tree) for place, tree in trees() if place.startswith(("server/", "client/"))]
    names = [
        node.name
        for _, tree in server
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    ]

    assert len(names) > 100
    assert [name for name in names if re.search(r"cop(?:y|ies|ied)", name, re.IGNORECASE)] == []


def test_money_is_never_a_float() -> None:
    assert [line for place, tree in trees() for line in float_money(place, tree)] == []


def test_nothing_is_pickled_evaluated_or_given_to_a_shell() -> None:
    assert [line for place, tree in trees() for line in dangerous(place, tree)] == []


@pytest.mark.parametrize(
    "source",
    [
        "def f(amount: float): ...",
        "minor_units: float = 1",
        "x.fee / 2",
        "round(charge['amount_received'])",
        "float(amount)",
        "def application_fee() -> float: ...",
        "amount: float | None = None",
    ],
)
def test_float_money_is_found(source: str) -> None:
    assert len(float_money("x", ast.parse(source))) == 1


@pytest.mark.parametrize(
    "source",
    ["import pickle", "from marshal import loads", "eval('1')", "exec(x)", "run('x', shell=True)", "os.system('x')"],
)
def test_dangerous_code_is_found(source: str) -> None:
    assert len(dangerous("x", ast.parse(source))) == 1


def test_a_long_function_is_found() -> None:
    assert over_long_functions("x", ast.parse("def f():\n" + "    x\n" * 70)) != []
    assert over_long_functions("x", ast.parse("def f():\n" + "    x\n" * 69)) == []


# ------------------------------------------------------------------------------------------------ committed files


def committed() -> list[Path]:
    """Files that git knows, or would know: the tree as it will be shared."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as wrong:
        pytest.skip(f"not a git checkout: {wrong}")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


FORBIDDEN_TEXT = {
    "a live key": re.compile(rb"\b(?:sk|rk)_live_[A-Za-z0-9]{16,}"),
    "a webhook secret": re.compile(rb"\bwhsec_[A-Za-z0-9]{24,}"),
    "a private key": re.compile(rb"-----BEGIN [A-Z ]*PRIVATE " + rb"KEY-----\n[A-Za-z0-9+/]{20}"),
    "a folder of one machine": re.compile(rb"(?<![\w.}/-])/(?:home/\w+|root|wo" + rb"rk)/"),
    "a package index": re.compile(rb"--(?:extra-)?index-url|pythonhosted\.org"),
}


@pytest.mark.parametrize("what", sorted(FORBIDDEN_TEXT))
def test_no_committed_file_holds(what: Any) -> None:
    pattern, own = FORBIDDEN_TEXT[what], Path(__file__)
    texts = ((path, path.read_bytes()) for path in committed() if path != own)

    assert [str(path.relative_to(ROOT)) for path, text in texts if b"\0" not in text and pattern.search(text)] == []
