"""What a user does to a service or a node, and how long until the engines show it; under requests or not."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.common import progress
from bench.engines import Look, first_times
from bench.faults import settle
from bench.fleets import Fleet, Web

#: One change; Swarm's slowest takes some 35 s.
CHANGE_TIMEOUT_S = 120.0

SMALL, LARGE = 10, 50
ROLLED = 20
#: A third of them are on the node that is drained.
DRAINED = 30

Measured = dict[str, float | None]


@dataclass(frozen=True)
class Change:
    """A change with what it needs before; it leaves nothing of the service, but maybe a drained node."""

    name: str
    measure: Callable[[Fleet], Measured]


def timed(fleet: Fleet, row: str, order: Callable[[], None], done: Callable[[Look], bool]) -> Measured:
    began = time.monotonic()
    order()
    return first_times(fleet.hosts, {row: done}, began, CHANGE_TIMEOUT_S)


def called(fleet: Fleet, row: str, order: Callable[[], None], done: Callable[[Look], bool]) -> Measured:
    """The same under constant requests, with a second row for those that failed."""
    with fleet.calling() as calls:
        times = timed(fleet, row, order, done)
    if calls.failed:
        progress(f"{fleet.name}: {row}: {calls.failed} of {calls.sent} requests failed: {calls.reasons}")
    return times | {f"{row}: failed requests": float(calls.failed)}


def remove(fleet: Fleet, replicas: int) -> Measured:
    """Until no container is left, running or not."""
    return timed(fleet, f"remove {replicas}", fleet.remove, lambda seen: seen.all == 0)


def scaling(fleet: Fleet) -> Measured:
    """10 -> 50 -> 10, and 50 removed."""
    fleet.deploy(Web(SMALL))
    settle(fleet, SMALL)

    def scaled(row: str, replicas: int) -> Measured:
        return timed(fleet, row, lambda: fleet.scale(replicas), lambda seen: seen.running() == replicas)

    measured = scaled(f"scale {SMALL} to {LARGE}", LARGE) | scaled(f"scale {LARGE} to {SMALL}", SMALL)
    fleet.scale(LARGE)
    settle(fleet, LARGE)
    return measured | remove(fleet, LARGE)


def rolling(parallelism: int, start_first: bool) -> Change:
    order = "start-first" if start_first else "stop-first"
    row = f"roll {ROLLED}, {parallelism} at a time, {order}"

    def measure(fleet: Fleet) -> Measured:
        fleet.deploy(Web(ROLLED, "1", parallelism, start_first))
        settle(fleet, ROLLED)
        measured = called(
            fleet,
            row,
            lambda: fleet.deploy(Web(ROLLED, "2", parallelism, start_first)),
            lambda seen: seen.running() == ROLLED == seen.running(version="2"),
        )
        remove(fleet, ROLLED)
        return measured

    return Change(row, measure)


def draining(fleet: Fleet) -> Measured:
    fleet.deploy(Web(DRAINED))
    settle(fleet, DRAINED)
    host = fleet.hosts[1]
    return called(
        fleet,
        f"drain a node of {DRAINED // len(fleet.hosts)}",
        lambda: fleet.drain(host),
        lambda seen: seen.on(host.name) == 0 and seen.running() == DRAINED,
    )


CHANGES = (
    Change("scale and remove", scaling),
    *(rolling(parallelism, start_first) for start_first in (False, True) for parallelism in (1, 5)),
    Change("drain", draining),
)
