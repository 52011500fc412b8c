"""The double's README: every Python block runs, as a module or as the pytest file it is."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "fake_stripe" / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_it_is_short_enough_to_read() -> None:
    assert len(README.splitlines()) <= 250


@pytest.mark.parametrize("code", [block for block in BLOCKS if "def test_" not in block])
def test_its_code_runs(code: str, tmp_path: Path) -> None:
    (tmp_path / "readme.py").write_text(code, encoding="utf-8")
    runpy.run_path(str(tmp_path / "readme.py"))


@pytest.mark.parametrize("code", [block for block in BLOCKS if "def test_" in block])
def test_its_tests_pass(code: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(code)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "fake_stripe"))
    result = pytester.runpytest_subprocess("-p", "fake_stripe.pytest_plugin", "-W", "ignore")
    result.assert_outcomes(passed=1)


def test_its_links_lead_somewhere() -> None:
    linked = [target for target in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in target]

    assert linked
    assert [target for target in linked if not (ROOT / "fake_stripe" / target).exists()] == []
