"""What `init` takes for its flags, and what it refuses."""

from __future__ import annotations

import pytest

from bayplan.errors import ProblemError
from controller.config import parse_heartbeat, parse_pool
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


def test_the_range_of_networks_is_taken_as_it_is_written_or_the_usual_one() -> None:
    assert (parse_pool(""), parse_pool("172.20.0.0/14")) == ("10.64.0.0/10", "172.20.0.0/14")


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/7", "10.0.0.0/29", "127.0.0.0/8", "fd00::/64", "x"])
def test_a_range_that_networks_cannot_be_in_is_refused_by_its_flag(text: str) -> None:
    with pytest.raises(ProblemError, match="--network-pool"):
        parse_pool(text)
