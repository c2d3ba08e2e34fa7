"""Figures that can be believed: medians of neighbours, verdicts, a warning when the machine drifts."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from bench.measuring import Calibration, Options, Report, at_least, at_most, duel, percentile, timed


def test_a_figure_reaches_its_aim_its_floor_or_nothing() -> None:
    speed, wait = at_least(500, 5_000), at_most(500, 100)
    assert [speed.verdict(each) for each in (5_000, 500, 499)] == ["aim", "floor", "MISSED"]
    assert [wait.verdict(each) for each in (100, 500, 501)] == ["aim", "floor", "MISSED"]


def test_a_percentile_is_one_of_the_values() -> None:
    assert [percentile([3, 1, 2], share) for share in (0.0, 0.5, 0.99)] == [1, 2, 3]


def test_waiting_is_wall_time_and_not_cpu_time() -> None:
    waited = timed(lambda: time.sleep(0.05))
    assert waited.wall_s >= 0.05 > waited.cpu_s


def test_a_duel_runs_both_in_turns() -> None:
    order: list[str] = []
    result = duel(lambda: order.append("a"), lambda: (order.append("b"), time.sleep(0.005)), rounds=2)
    assert order == ["a", "b", "a", "b"]
    assert result.ratio > 1


def test_a_report_ends_with_one_line_of_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "line.json"
    with Report("example", Options(quick=True, seed=7, json=file)) as report:
        report.add("speed", 600.0, "1/s", at_least(500, 5_000))
        report.add("swarm", None, "", note="no engine here")
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert line == json.loads(file.read_text())
    assert (line["bench"], line["seed"]) == ("example", 7)
    assert [row["verdict"] for row in line["rows"]] == ["floor", ""]
    assert "numpy" in line["versions"]


def test_a_machine_that_slows_down_makes_the_run_noisy() -> None:
    report = Report("example", Options(quick=True, seed=1, json=None))
    report.calibrations += [Calibration(10, 10), Calibration(10, 12)]
    assert not report.noisy
    report.calibrations.append(Calibration(15, 10))
    assert report.noisy
    assert report.line()["noisy"]
