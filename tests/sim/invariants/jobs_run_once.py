"""What a job has completed is not done again: no second task for its slot, no second run of its container."""

from __future__ import annotations

from agent import events as ev
from controller.records import GLOBAL_MODES, JOB_MODES, Service
from tests.sim.invariants.base import Part, View

#: A slot of a service at a version, in a run of its schedule.
Slot = tuple[str, int, int, int]


class JobsRunOnce:
    watches = frozenset({Part.BOXES, Part.VIEW, Part.SERVICES})

    def __init__(self) -> None:
        self._done: set[Slot] = set()
        self._known: set[str] = set()
        self._last_run: dict[str, int] = {}

    def check(self, world: View) -> str:
        if world.control.running:
            if self._done and Part.SERVICES in world.news.parts:
                self._forget(world)
            for task, status in world.news.sightings:
                slot = (task.service_id, task.version, task.slot, task.run)
                if status is not None and task.id not in self._known and slot in self._done:
                    return f"{task} is made, and the work of its slot was done"
                self._known.add(task.id)
                done = status is not None and task.completed and task.wanted  # one that is gone was asked for
                if done and self._is_job(world, task.service_id, task.version):
                    self._done.add(slot)
        return self._run_again(world)

    def _forget(self, world: View) -> None:
        """What is scaled away and comes back, or went back to, is work that is asked for anew."""
        state = world.state
        for slot in list(self._done):
            service = state.services.get(slot[0])
            scaled = service is not None and not _global(world, service) and slot[2] > service.replicas
            if service is None or scaled or service.version != slot[1]:
                self._done.discard(slot)

    def _run_again(self, world: View) -> str:
        for host, box in world.news.boxes:
            task = world.control.tasks_ever.get(box.task_id)
            if task is None or not self._is_job(world, task.service_id, task.version):
                continue
            if box.runs > self._last_run.get(box.task_id, box.runs):
                return f"{host.name} runs {box.task_id} again, which ended with success"
            if box.phase is ev.Phase.EXITED and box.exit_code == 0:
                self._last_run[box.task_id] = box.runs
        return ""

    def _is_job(self, world: View, service_id: str, version: int) -> bool:
        spec = world.control.spec(service_id, version)
        return spec is not None and spec.mode in JOB_MODES


def _global(world: View, service: Service) -> bool:
    return world.state.spec_of(service).mode in GLOBAL_MODES
