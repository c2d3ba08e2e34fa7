"""What the controller stops was let go of by all who watch it, or has served its time.

Only of calm hosts and one run of the controller: how long it waits is in its memory.
"""

from __future__ import annotations

from agent import events as ev
from bayplan.model import Health
from controller import instances
from controller.records import JOB_MODES, Task
from tests.sim.invariants.base import Part, View


class EndpointsDrain:
    watches = frozenset({Part.BOXES, Part.RECORDS, Part.VIEW})

    def __init__(self) -> None:
        self._ready: set[str] = set()
        #: Until when each task that was ready and shall go serves on, and in which run that was decided.
        self._until_ms: dict[str, tuple[int, int]] = {}

    def check(self, world: View) -> str:
        for task in [record for record in world.news.records if isinstance(record, Task)]:
            if task.leaving and task.id not in self._until_ms and task.id in self._ready:
                spec = world.control.spec(task.service_id, task.version)
                drains = spec is not None and spec.mode not in JOB_MODES
                until_ms = world.clock.now_ms + spec.drain_ms if spec is not None and drains else 0
                self._until_ms[task.id] = (until_ms, world.control.runs)
        if Part.VIEW in world.news.parts and world.control.running:
            shown = (instances.ready(world.state, each) for each in world.state.exposures)
            self._ready = {instance.id for found in shown for instance in found}
        for host, box in world.news.boxes:
            until_ms, run = self._until_ms.get(box.task_id, (0, 0))
            if box.phase is not ev.Phase.EXITED or box.exit_code or not world.calm(host.name):
                continue
            if self._ended_itself(world, box.task_id):
                continue
            if world.clock.now_ms < until_ms and run == world.control.runs and world.control.running:
                for watcher in world.watchers:
                    if box.task_id in watcher.uses:
                        return f"{box.task_id} was stopped on {host.name}, and {watcher.name} still uses it"
        return ""

    @staticmethod
    def _ended_itself(world: View, task_id: str) -> bool:
        """Whether its agent stopped it because it was unhealthy, whatever the controller had decided."""
        seen = world.state.statuses.get(task_id) if world.control.running else None
        return seen is not None and seen.health is Health.UNHEALTHY
