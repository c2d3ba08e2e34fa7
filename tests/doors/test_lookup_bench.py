"""The bench of lookups runs, at its smallest: real servers, real tools, all of its rows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def rows(folder: Path, *parts: str) -> dict[str, dict[str, Any]]:
    file = folder / "line.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench.lookup", *parts, "--quick", "--json", str(file)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {row["what"]: row for row in json.loads(file.read_text())["rows"]}


def assert_measured(found: dict[str, dict[str, Any]], tool: str, *names: str) -> None:
    """Each of these has a figure; where the tool that asks is missing one row names its package."""
    if tool in found:
        assert found[tool]["note"].startswith("apt-get install ")
        return
    for name in names:
        assert found[name]["value"] > 0, found[name]


def test_dns_is_measured_beside_its_rivals(tmp_path: Path) -> None:
    found = rows(tmp_path, "dns")
    assert_measured(found, "DNS", "DNS, 1,000 names of 3: bayplan", "DNS, A, AAAA, SRV, NXDOMAIN: bayplan")


def test_lookups_are_measured_over_http_and_grpc(tmp_path: Path) -> None:
    assert_measured(rows(tmp_path, "http"), "HTTP, gRPC", "lookup: bayplan, HTTP", "lookup: bayplan, gRPC")


def test_a_thousand_watchers_hear_of_each_change(tmp_path: Path) -> None:
    found = rows(tmp_path, "watch")
    last = found["change to the last of 1,000 watchers: p50"]
    assert last["value"] > 0 and last["note"].startswith("10 changes")
