"""The same seed gives the same trace, whatever Python's hash seed is: nothing hangs on a set's order."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _trace(seed: int, hash_seed: str) -> bytes:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.sim.chaos", str(seed)]
    return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True).stdout


@pytest.mark.parametrize("seed", [4, 5])
def test_the_same_seed_gives_the_same_trace_under_another_hash_seed(seed: int) -> None:
    first, second = _trace(seed, "0"), _trace(seed, "1")
    assert len(first.splitlines()) > 200
    assert first == second


def test_another_seed_gives_another_trace() -> None:
    assert _trace(5, "0") != _trace(6, "0")
