"""What `init` takes for its flags, and what it refuses."""

from __future__ import annotations

import pytest

from bayplan.errors import ProblemError
from controller.config import parse_heartbeat
from controller.decide.liveness import Timing


def test_without_a_heartbeat_the_timing_is_the_default() -> None:
    assert parse_heartbeat("") == Timing() == parse_heartbeat("2s")


def test_a_node_is_suspect_after_two_beats_and_down_after_three() -> None:
    timing = parse_heartbeat("500ms")
    assert (timing.heartbeat_ms, timing.suspect_ms, timing.down_ms) == (500, 1_000, 1_500)


@pytest.mark.parametrize("text", ["0", "100ms", "2m", "often"])
def test_a_heartbeat_out_of_bounds_is_refused_by_its_flag(text: str) -> None:
    with pytest.raises(ProblemError, match="--heartbeat"):
        parse_heartbeat(text)
