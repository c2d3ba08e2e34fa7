"""A task id is started on at most one node, ever."""

from __future__ import annotations

from tests.sim.invariants.base import Part, View


class OneNodePerTask:
    watches = frozenset({Part.BOXES})

    def __init__(self) -> None:
        self._started_on: dict[str, str] = {}
        self._read: dict[str, int] = {}

    def check(self, world: View) -> str:
        for name, host in world.hosts.items():
            for task_id, _ in host.starts[self._read.get(name, 0) :]:
                first = self._started_on.setdefault(task_id, name)
                if first != name:
                    return f"task {task_id} was started on {first} and on {name}"
            self._read[name] = len(host.starts)
        return ""
