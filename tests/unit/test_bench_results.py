"""The benchmarks' check stops what has doubled, and the committed page says what the committed figures say."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench import charts, page, regression, saga_ledgers, suite

RESULTS = Path(__file__).parents[2] / "bench" / "results"
BASELINE = regression.load()


@pytest.mark.parametrize("name", sorted(BASELINE))
def test_the_check_fails_on_a_doubled_ratio(name: str) -> None:
    findings = regression.compare(BASELINE | {name: BASELINE[name] * 2}, BASELINE)

    assert [finding.name for finding in findings if not finding.holds] == [name]


def test_the_check_lets_the_noise_of_a_busy_machine_pass() -> None:
    busy = {name: value * 1.5 for name, value in BASELINE.items()}

    assert [str(finding) for finding in regression.compare(busy, BASELINE) if not finding.holds] == []


def test_a_ratio_that_is_no_longer_measured_fails_the_check_unless_it_needs_what_may_not_be_there() -> None:
    missing = {finding.name for finding in regression.compare({}, BASELINE) if finding.holds}

    assert missing < set(BASELINE)
    assert all(any(optional in name for optional in regression.OPTIONAL) for name in missing)


def test_a_run_that_fails_the_check_once_is_measured_again_before_it_is_believed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    second = iter((1.2, 2.0))

    def measure(part: suite.Part, *, short: bool) -> dict[str, object]:
        return {"ratios": {"a / b": next(second)}}

    monkeypatch.setattr(regression, "load", lambda: {"a / b": 1.0})
    monkeypatch.setattr(suite, "measure", measure)

    believed = [suite.check({"saga": {"ratios": {"a / b": 2.1}}}, ["saga"], short=True) for _ in range(2)]

    assert believed == [True, False]
    assert "NOT  a / b" in capsys.readouterr().out


def test_the_committed_page_and_plots_are_those_of_the_committed_figures() -> None:
    results = page.read(RESULTS)

    assert (RESULTS / "README.md").read_text(encoding="utf-8") == page.markdown(results)
    plots = {path.stem: path.read_text(encoding="utf-8") for path in RESULTS.glob("*.svg")}
    assert plots == page.plots(results)


def test_the_committed_figures_have_every_part_and_every_ratio_of_the_baseline() -> None:
    results = page.read(RESULTS)

    assert list(results["parts"]) == list(suite.PARTS)
    assert set(BASELINE) <= set(suite.ratios(results["parts"]))


def test_the_committed_figures_name_no_place_of_the_machine() -> None:
    text = json.dumps(page.read(RESULTS))

    assert "/home/" not in text
    assert "/root" not in text
    assert "/tmp/" not in text


@pytest.mark.parametrize("plot", sorted(RESULTS.glob("*.svg")), ids=lambda path: path.stem)
def test_a_plot_is_small_and_can_be_read_in_light_and_dark(plot: Path) -> None:
    text = plot.read_text(encoding="utf-8")
    root = ET.fromstring(text)

    assert len(text) < 10_000
    assert "prefers-color-scheme:dark" in text
    assert root.find("{http://www.w3.org/2000/svg}title") is not None
    assert [element.tag for element in root.iter() if element.tag.endswith(("image", "script", "metadata"))] == []


def test_names_at_the_ends_of_lines_never_touch() -> None:
    lines = [charts.Series(name, [(1.0, 5.0, 5.0, 5.0), (10.0, 5.0, 5.0, 5.0)]) for name in ("SQLite", "PostgreSQL")]

    drawn = ET.fromstring(charts.lines("t", charts.Axis("x", log=True), charts.Axis("y"), lines))
    heights = [float(text.get("y", "")) for text in drawn.iter() if (text.text or "") in ("SQLite", "PostgreSQL")]

    assert abs(heights[0] - heights[1]) >= 14


async def test_what_the_engine_asks_of_its_ledger_can_be_asked_of_another() -> None:
    recorded = await saga_ledgers.record(2)

    await saga_ledgers.replay("sqlite://:memory:", recorded, in_flight=2)

    assert [asked[0][0] for asked in recorded] == ["begin_request"] * 2
    assert [asked[-1][0] for asked in recorded] == ["commit"] * 2


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.1234, "0.123"), (1.5, "1.5"), (27.04, "27"), (1234.5, "1,234"), (100.0, "100")]
)
def test_figures_are_shown_with_the_digits_that_count(value: float, text: str) -> None:
    assert charts.number(value) == text
