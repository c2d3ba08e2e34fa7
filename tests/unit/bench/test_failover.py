"""How figures of the failover bench become a table: what never happened is not a fast time."""

from __future__ import annotations

from bench.failover import median, ratio
from bench.fleets import Fleet


class Named:
    def __init__(self, name: str) -> None:
        self.name = name


OURS, THEIRS = Named("ours"), Named("theirs")


def compared(**figures: list[float | None]) -> str:
    fleets: list[Fleet] = [OURS, THEIRS]  # type: ignore[list-item]
    return ratio(figures, *fleets)


def test_one_measurement_stands_alone_and_several_show_their_range() -> None:
    assert median([7.1234]) == "7.1"
    assert median([3.0, 1.04, 2.2]) == "2.2 (1.0-3)"


def test_what_never_happened_is_above_all_times() -> None:
    assert median([None]) == "never"
    assert median([4.0, None, None]) == "never (4-never)"
    assert median([]) == "-"


def test_a_ratio_needs_a_time_on_both_sides() -> None:
    assert compared(ours=[2.0], theirs=[4.0]) == "0.50"
    assert compared(ours=[None], theirs=[4.0]) == "-"
    assert compared(ours=[0.0], theirs=[0.0]) == "-"
    assert compared(theirs=[4.0]) == "-"
