"""What the controller stops was let go of by all who watch it and by all copies, or has served its time.

Only of calm hosts and one run of the controller: how long it waits is in its memory.
"""

from __future__ import annotations

from agent import events as ev
from bayplan.model import Health
from controller import instances
from controller.doors.followers import Follower
from controller.records import JOB_MODES, Service, Task
from tests.sim.invariants.base import Part, View


class EndpointsDrain:
    watches = frozenset({Part.BOXES, Part.RECORDS, Part.VIEW})

    def __init__(self) -> None:
        self._ready: set[str] = set()
        #: Until when each task that was ready and shall go serves on, and in which run that was decided.
        self._until_ms: dict[str, tuple[int, int]] = {}
        #: By task the copies that were followed when it was decided that it shall go.
        self._followed: dict[str, list[tuple[str, Follower]]] = {}

    def check(self, world: View) -> str:
        for task in [record for record in world.news.records if isinstance(record, Task)]:
            if task.leaving and task.id not in self._until_ms and task.id in self._ready:
                spec = world.control.spec(task.service_id, task.version)
                drains = spec is not None and spec.mode not in JOB_MODES
                until_ms = world.clock.now_ms + spec.drain_ms if spec is not None and drains else 0
                self._until_ms[task.id] = (until_ms, world.control.runs)
                self._followed[task.id] = [] if _goes_whole(world, task) else _followers(world)
        if Part.VIEW in world.news.parts and world.control.running:
            shown = (
                instances.ready(world.state, each)
                for each in world.state.exposures.keys() & world.state.services
            )
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
                if name := self._still_given(world, box.task_id):
                    return f"{box.task_id} was stopped on {host.name}, and {name} still gives it"
        return ""

    def _still_given(self, world: View, task_id: str) -> str:
        """A calm node that followed all the time and whose copy gives a task."""
        there = _followers(world)
        for name, follower in self._followed[task_id]:
            copy = world.hosts[name].copy
            if copy is None or (name, follower) not in there or not world.calm(name):
                continue
            if any(each.id == task_id for listing in copy.directory for each in listing.given()):
                return name
        return ""

    @staticmethod
    def _ended_itself(world: View, task_id: str) -> bool:
        """Whether its agent stopped it because it was unhealthy, whatever the controller had decided."""
        seen = world.state.statuses.get(task_id) if world.control.running else None
        return seen is not None and seen.health is Health.UNHEALTHY


def _followers(world: View) -> list[tuple[str, Follower]]:
    """The nodes whose copies follow the controller's directory."""
    keeper = world.control.keeper
    following = keeper.following.items() if keeper is not None else ()
    return [(world.hosts_by_id[asker.node_id].name, each) for asker, each in following]


def _goes_whole(world: View, task: Task) -> bool:
    """Whether the service is removed: nobody else could take over, and copies are not waited for."""
    service = world.control.records.get(("Service", task.service_id))
    return not isinstance(service, Service) or service.removed
