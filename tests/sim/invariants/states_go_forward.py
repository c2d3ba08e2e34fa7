"""What the controller sees of a task never goes back, within an epoch."""

from __future__ import annotations

from bayplan.lifecycle import ENDED, TaskState
from tests.sim.invariants.base import Part, View

_ORDER = {state: number for number, state in enumerate(TaskState)}


class StatesGoForward:
    watches = frozenset({Part.VIEW})

    def __init__(self) -> None:
        self._epoch = 0
        self._seen: dict[str, TaskState] = {}

    def check(self, world: View) -> str:
        if not world.control.running:
            return ""
        state = world.state
        if state.cluster.epoch != self._epoch:
            self._epoch, self._seen = state.cluster.epoch, {}
        for task, status in world.news.sightings:
            if status is None:
                continue
            before, now = self._seen.get(task.id), status.state
            self._seen[task.id] = now
            if before is None or before is now:
                continue
            if before in ENDED or _ORDER[now] < _ORDER[before]:
                return f"task {task.id} was {before} and is {now}"
        return ""
