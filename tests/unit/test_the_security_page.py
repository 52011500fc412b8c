"""docs/security.md names tests that exist, and its policy is one that a server takes."""

from __future__ import annotations

import re
from pathlib import Path

from cloneservice_server.access.policy import parse
from cloneservice_server.listeners import rpc_names

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/security.md").read_text(encoding="utf-8")
TESTS = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests").rglob("test_*.py")))


def test_each_test_that_is_named_exists() -> None:
    files = re.findall(r"`((?:unit|e2e|contract)/test_\w+\.py)`", PAGE)
    parts = [part for name in re.findall(r"`\.\.\._(\w+)(?:\.\.\.)?`", PAGE) for part in [name.rstrip("_")]]

    assert len(files) > 10
    assert [name for name in files if not (ROOT / "tests" / name).exists()] == []
    assert parts
    assert [part for part in parts if not re.search(rf"def test_\w*{part}", TESTS)] == []


def test_every_threat_has_an_answer_and_a_test() -> None:
    table = PAGE.split("## Threats")[1].split("\n## ")[0]
    rows = [row.strip("|").split("|") for row in table.splitlines() if row.startswith("| ")][1:]

    assert len(rows) > 15
    assert [row for row in rows if len(row) != 4 or not all(cell.strip() for cell in row)] == []


def test_the_policy_on_the_page_is_valid() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)

    (rule,) = parse(example.encode(), rpc_names()).rules

    assert (rule.caller.name, rule.max_amounts) == ("checkout", {"USD": 50000, "EUR": 50000})
