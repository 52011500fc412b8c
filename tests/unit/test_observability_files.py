"""Dashboard, alerts and the on-call page speak of metrics that exist, and every alert is explained."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from cloneservice_server.observability.metrics import Metrics
from cloneservice_server.rpc.status import TABLE

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/observability"
ALERTS = yaml.safe_load((FOLDER / "alerts.yaml").read_text(encoding="utf-8"))
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
OPERATIONS = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
NAME = re.compile(r"\b(?:cloneservice|process)_[a-z_]+\b")
LABEL = re.compile(r"\{([^}]*)\}")


def exposed() -> dict[str, set[str]]:
    """Every series that /metrics can have, and its labels."""
    found: dict[str, set[str]] = {}
    for collector in Metrics().registry._collector_to_names:
        for metric in getattr(collector, "describe", collector.collect)():
            found |= {series: set(getattr(collector, "_labelnames", ())) for series in _series(metric)}
    return found


def _series(metric: Any) -> list[str]:
    ends = {"histogram": ["_bucket", "_count", "_sum"], "counter": ["_total"]}.get(metric.type, [""])
    return [metric.name + end for end in ends]


EXPOSED = exposed()


def expressions() -> list[str]:
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return [*panels, *(rule["expr"] for rule in RULES), DASHBOARD["templating"]["list"][1]["query"]]


@pytest.mark.parametrize("expression", expressions())
def test_every_metric_that_is_asked_for_exists_with_its_labels(expression: str) -> None:
    names = {name for name in NAME.findall(expression) if not name.endswith("_seconds_") and name != "cloneservice_"}

    assert names
    assert names - set(EXPOSED) == set()
    asked = {label for body in LABEL.findall(expression) for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", body)}
    asked |= {label for group in re.findall(r"by \(([^)]*)\)", expression) for label in re.split(r",\s*", group)}
    known = set().union(*(EXPOSED[name] for name in names)) | {"le", "job"}
    assert asked - known == set()


def test_reasons_that_are_asked_for_exist() -> None:
    asked = {reason for text in expressions() for reason in re.findall(r'reason="([A-Z_]+)"', text)}

    assert asked
    assert asked - set(TABLE) == set()


def test_every_metric_is_on_the_dashboard() -> None:
    """What nobody looks at need not be measured."""
    shown = {re.sub(r"_(?:bucket|count|sum)$", "", name) for text in expressions() for name in NAME.findall(text)}
    ours = {re.sub(r"_(?:bucket|count|sum)$", "", name) for name in EXPOSED if name.startswith("cloneservice_")}

    assert {name for name in ours if not name.endswith("_created")} - shown == set()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_is_explained_where_it_says(rule: Any) -> None:
    page, _, anchor = rule["annotations"]["runbook"].partition("#")

    assert (page, anchor, rule["labels"]["severity"] in ("page", "ticket")) == (
        "docs/operations.md",
        rule["alert"].lower(),
        True,
    )
    assert f"### {rule['alert']}\n" in OPERATIONS


def test_the_page_explains_only_alerts_and_metrics_that_exist() -> None:
    explained = set(re.findall(r"^### (\w+)$", OPERATIONS, re.MULTILINE))
    table = OPERATIONS.split("## Metrics")[1].split("## Alerts")[0]
    named = {
        f"cloneservice_{name}"
        for row in table.splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`(\w+)`", row.split("|")[1])
    }
    ours = {re.sub(r"_(?:bucket|count|sum)$", "", name) for name in EXPOSED if name.startswith("cloneservice_")}

    assert explained == {rule["alert"] for rule in RULES}
    assert named ^ {name for name in ours if not name.endswith("_created")} == set()


def test_compose_mounts_files_that_exist_and_are_yaml_or_json() -> None:
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    mounted = re.findall(r"\./(deploy/observability/[\w.-]+):", compose)

    assert {Path(name).name for name in mounted} == {path.name for path in FOLDER.iterdir()}
    assert [name for name in mounted if not yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))] == []


def test_what_would_break_the_exporter_is_not_installed() -> None:
    """xds-protos overwrites OpenTelemetry's protos, and pip says nothing."""
    locks = [(ROOT / name).read_text(encoding="utf-8") for name in ("requirements.lock", "requirements-dev.lock")]

    assert [
        name for name in ("xds-protos", "grpcio-csds", "grpcio-admin") if any(f"\n{name}==" in lock for lock in locks)
    ] == []
    assert all("opentelemetry-proto==" in lock for lock in locks)
