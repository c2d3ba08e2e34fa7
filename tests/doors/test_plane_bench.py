"""The bench of the control plane runs, at its smallest: a real controller, real sessions, all of its rows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def rows(folder: Path, *chosen: str) -> dict[str, dict[str, Any]]:
    file = folder / "line.json"
    arguments = [*chosen, "--quick", "--fleet", "4x40", "--json", str(file)]
    done = subprocess.run(
        [sys.executable, "-m", "bench.plane", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {row["what"]: row for row in json.loads(file.read_text())["rows"]}


def test_a_deploy_is_measured_until_the_controller_shows_all_tasks_as_ready(tmp_path: Path) -> None:
    found = rows(tmp_path, "deploy", "one", "fairness")
    assert found["4 agents x 40 tasks: submit to healthy"]["value"] > 0
    assert "shown" in found["4 agents x 40 tasks: submit to healthy"]["note"]
    assert found["submit to agent, one task: p99"]["value"] > 0


def test_simulated_agents_outlive_their_controller_and_keep_their_tasks(tmp_path: Path) -> None:
    found = rows(tmp_path, "restart")
    assert found["restart: all agents back"]["value"] > 0
    assert found["restart: tasks started or ended by it"]["value"] == 0


def test_changes_are_followed_from_their_submit_to_their_agents(tmp_path: Path) -> None:
    found = rows(tmp_path, "changes")
    row = next(row for what, row in found.items() if what.endswith("submit to assigned, p99"))
    assert row["value"] > 0
    assert "0 never" in row["note"], row["note"]
