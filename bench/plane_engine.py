"""A node's engine that only says it runs containers: it keeps what it was told and goes through the states.

Each set of new tasks goes PREPARING, STARTING, RUNNING and healthy, a stage after the other, with ids of
containers and addresses as an engine gives them. An entry a task in each array, so that a fleet of them costs
little. Knows neither gRPC nor sessions; loop time is its only clock.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bayplan import ids
from bayplan.lifecycle import TaskState
from bayplan.model import Assignments, Desired, Health
from bayplan.session import StatusGroup

Rows = npt.NDArray[Any]

#: How long a container is being made, and then is starting until its first health check, in seconds.
STAGE_S = 0.02
#: The first address that the bridge hands out, 172.17.0.2, and how many there are.
FIRST_ADDRESS, ADDRESSES = 0xAC110002, 65_000

_STATES = (TaskState.PREPARING, TaskState.STARTING, TaskState.RUNNING, TaskState.SHUTDOWN)
_PREPARING, _STARTING, _RUNNING, _SHUTDOWN = range(4)
_HEALTH = (Health.NONE, Health.STARTING, Health.HEALTHY, Health.NONE)
_DESIRED = {Desired.RUN: 0, Desired.READY: 1, Desired.STOP: 2}
_RUN, _READY, _STOP = _DESIRED.values()
_ROW = np.dtype(
    [("id", "i8"), ("number", "u4"), ("since", "i8"), ("state", "i1"), ("desired", "i1"), ("fresh", "?")]
)
#: Four odd numbers, by which a task's number becomes the 32 bytes of its container's id.
_SPREAD = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93], "u8")


@dataclass
class Tally:
    """What all engines of a fleet have come to, in tasks; `held` is what they have now."""

    assigned: int = 0
    running: int = 0
    healthy: int = 0
    ended: int = 0
    held: int = 0
    #: By name of a count: at which number to note the time (monotonic s), and the times that were noted.
    marks: dict[str, int] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)

    def count(self, what: str, more: int) -> None:
        total = getattr(self, what) + more
        setattr(self, what, total)
        if total >= self.marks.get(what, total + 1) and what not in self.times:
            self.times[what] = time.monotonic()

    def expect(self, tasks: int) -> None:
        """Note when so many more tasks will have come to each state."""
        self.marks = {what: getattr(self, what) + tasks for what in ("assigned", "running", "healthy")}
        self.times = {}


class Engine:
    """The tasks of one node. `changed` is called when statuses are new."""

    def __init__(self, tally: Tally, changed: Callable[[], None]) -> None:
        self._tally = tally
        self._changed = changed
        self._numbers = 0
        self._rows = np.zeros(0, _ROW)

    def take(self, message: Assignments) -> ids.Numbers:
        """Begin what is new and end what is wanted no more; returns the numbers of tasks that are gone."""
        before, rows = self._rows, _wanted(message)
        places = np.minimum(np.searchsorted(before["id"], rows["id"]), max(0, len(before) - 1))
        known = before["id"][places] == rows["id"] if len(before) else np.zeros(len(rows), bool)
        held = before[places[known]]
        released = np.zeros(len(rows), bool)
        released[known] = (held["desired"] == _READY) & (rows["desired"][known] == _RUN)
        for column in ("number", "since", "state", "fresh"):
            rows[column][known] = held[column]
        self._begin(rows, ~known)
        stops = (rows["desired"] == _STOP) & (rows["state"] != _SHUTDOWN)
        _enter(rows, stops, _SHUTDOWN)
        gone = before["id"][~np.isin(before["id"], rows["id"], assume_unique=True)]
        self._rows = rows
        self._later(_STARTING, rows["id"][(~known | released) & (rows["desired"] == _RUN)])
        self._tally.count("held", len(rows) - len(before))
        self._tally.count("ended", len(gone))
        self._tally.count("assigned", int((~known).sum()))
        if rows["fresh"].any():
            self._changed()
        return gone

    def _begin(self, rows: Rows, new: Rows) -> None:
        count = int(new.sum())
        rows["number"][new] = np.arange(self._numbers, self._numbers + count)
        self._numbers += count
        _enter(rows, new, _PREPARING)

    def _later(self, state: int, numbers: ids.Numbers) -> None:
        if len(numbers):
            asyncio.get_running_loop().call_later(STAGE_S, self._stage, state, numbers)

    def _stage(self, state: int, numbers: ids.Numbers) -> None:
        """The next stage of those that still are wanted to run."""
        rows = self._rows
        there = np.isin(rows["id"], numbers) & (rows["desired"] == _RUN) & (rows["state"] < state)
        _enter(rows, there, state)
        count = int(there.sum())
        if state == _STARTING:
            self._tally.count("running", count)
            self._later(_RUNNING, rows["id"][there])
        else:
            self._tally.count("healthy", count)
        if count:
            self._changed()

    def statuses(self, most: int | None = None) -> tuple[StatusGroup, ...]:
        """What an agent would say of at most so many tasks whose status is new; of all tasks for None."""
        rows = self._rows
        chosen = np.arange(len(rows)) if most is None else np.flatnonzero(rows["fresh"])[:most]
        rows["fresh"][chosen] = False
        told = rows[chosen]
        return tuple(_group(told[told["state"] == state], state) for state in np.unique(told["state"]))

    @property
    def fresh(self) -> bool:
        """Whether there is a status that nobody was told."""
        return bool(self._rows["fresh"].any())


def _wanted(message: Assignments) -> Rows:
    """A row for each task of a desired set, by id."""
    told, odd = message.columns, message.tasks
    assert not odd, "the bench asks for no goods"
    rows = np.zeros(len(told.ids) // 8, _ROW)
    rows["id"] = np.frombuffer(told.ids, "<i8")
    desired = np.array([_DESIRED[kind.desired] for kind in told.kinds], "i1")
    if len(rows):
        rows["desired"] = desired[np.frombuffer(told.kind_of, "<u4")] if told.kind_of else desired[0]
    return rows


def _enter(rows: Rows, chosen: Rows, state: int) -> None:
    rows["state"][chosen] = state
    rows["since"][chosen] = time.time_ns() // 1_000_000
    rows["fresh"][chosen] = True


def _group(rows: Rows, state: int) -> StatusGroup:
    alive = state in (_STARTING, _RUNNING)
    containers = (rows["id"].astype("<u8")[:, None] * _SPREAD + 1).astype("<u8").tobytes()
    addresses = (FIRST_ADDRESS + rows["number"] % ADDRESSES).astype("<u4").tobytes()
    return StatusGroup(
        state=_STATES[state],
        health=_HEALTH[state],
        ids=rows["id"].astype("<i8").tobytes(),
        since_ms=rows["since"].astype("<i8").tobytes(),
        containers=b"" if state == _PREPARING else containers,
        addresses=addresses if alive else b"",
    )
