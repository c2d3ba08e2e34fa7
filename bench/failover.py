"""What faults, rollouts and changes of scale cost, for bayplan and for Docker Swarm on the same engines.

Three hosts do the work; the controller is on the switch and Swarm's manager on a fourth host, so that no
fault takes the leader. The same service runs on both, one after the other, and everything is measured from
outside: by what the engines list and what each orchestrator's own API says of its nodes.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bayplan.errors import ProblemError
from bench.changes import CHANGES, Change
from bench.common import Options, options, progress, publish
from bench.engines import EngineError
from bench.faults import FAULTS, Fault, UnsettledError
from bench.fleets import Bayplan, Fleet
from bench.swarm import Swarm
from tests.real.testbed import Testbed

#: A row: what was measured, and the figure for each fleet by its name (seconds, or a count).
Figures = dict[str, dict[str, list[float | None]]]

#: How an orchestrator, an engine or the wait for them says that it does not work.
FAILURES = (ProblemError, EngineError, UnsettledError, AssertionError)
#: Shown where something did not happen in time.
NEVER = "never"


@dataclass(frozen=True)
class Plan:
    """Which faults and changes, and how often all of it."""

    faults: Sequence[Fault]
    changes: Sequence[Change]
    rounds: int


FULL = Plan(FAULTS, CHANGES, rounds=1)
QUICK = Plan(FAULTS[-1:], CHANGES[:1], rounds=1)


class Bench:
    """Collects the figures of all fleets into rows, in the order in which they were first measured."""

    def __init__(self) -> None:
        self.figures: Figures = {}

    def note(self, fleet: Fleet, measured: dict[str, float | None]) -> None:
        for row, figure in measured.items():
            self.figures.setdefault(row, {}).setdefault(fleet.name, []).append(figure)
        told = ", ".join(f"{row} {shown(figure)}" for row, figure in measured.items())
        progress(f"{fleet.name}: {told}")

    def run(self, fleet: Fleet, *works: Callable[[Fleet], dict[str, float | None]]) -> None:
        """On a new cluster, one after the other. What fails is told and has no figures; the rest goes on."""
        try:
            fleet.start()
            for work in works:
                self.note(fleet, work(fleet))
        except FAILURES as error:
            progress(f"{fleet.name}: {type(error).__name__}: {error}")
        finally:
            fleet.stop()

    def rows(self, fleets: Sequence[Fleet], pairs: Sequence[tuple[Fleet, Fleet]]) -> list[dict[str, str]]:
        return [
            {"": row}
            | {fleet.name: median(figures.get(fleet.name, [])) for fleet in fleets}
            | {f"{ours.name} : {theirs.name}": ratio(figures, ours, theirs) for ours, theirs in pairs}
            for row, figures in self.figures.items()
        ]


def shown(figure: float | None) -> str:
    return NEVER if figure is None else f"{figure:.1f}" if figure % 1 else f"{figure:.0f}"


def median(figures: Sequence[float | None]) -> str:
    """The median, with `never` above everything; with the range where it was measured more than once."""
    if not figures:
        return "-"
    ordered = sorted(figures, key=lambda figure: float("inf") if figure is None else figure)
    middle = shown(statistics.median_high([float("inf") if f is None else f for f in ordered]))
    middle = NEVER if middle == "inf" else middle
    if len(ordered) == 1:
        return middle
    return f"{middle} ({shown(ordered[0])}-{shown(ordered[-1])})"


def ratio(figures: dict[str, list[float | None]], ours: Fleet, theirs: Fleet) -> str:
    both = [figures.get(fleet.name, []) for fleet in (ours, theirs)]
    if not all(both) or any(figure is None for side in both for figure in side):
        return "-"
    mine, other = (statistics.median([f for f in side if f is not None]) for side in both)
    return f"{mine / other:.2f}" if other else "-"


def main(wanted: Options) -> None:
    plan = QUICK if wanted.quick else FULL
    bench = Bench()
    with Testbed(hosts=4, live_restore=False) as bed:  # Swarm refuses engines with live-restore
        hosts, manager = bed.hosts[:3], bed.hosts[3]
        slow = Bayplan(bed, hosts), Swarm(bed, hosts, manager)
        fast = Bayplan(bed, hosts, "1s"), Swarm(bed, hosts, manager, "1s")
        for _ in range(plan.rounds):
            for fault in plan.faults:
                for fleet in (*slow, *fast):  # anew for each: a node that came and went is used with caution
                    bench.run(fleet, fault.measure)
            for fleet in slow:
                bench.run(fleet, *(change.measure for change in plan.changes))
    publish("failover", bench.rows((*slow, *fast), (slow, fast)), wanted)


if __name__ == "__main__":
    main(options("Faults, rollouts and changes of scale, beside Docker Swarm."))
