"""What a job has completed is not done again: no second task for its slot, no second run of its container."""

from __future__ import annotations

from agent import events as ev
from controller.records import GLOBAL_MODES, JOB_MODES, Service
from tests.sim.invariants.base import Part, View

#: A slot of a service at a version.
Slot = tuple[str, int, int]


class JobsRunOnce:
    watches = Part.HOST

    def __init__(self) -> None:
        self._done: set[Slot] = set()
        self._known: set[str] = set()
        self._last_run: dict[str, int] = {}

    def check(self, world: View) -> str:
        if not world.control.running:
            return ""
        state = world.state
        for slot in list(self._done):
            # What is scaled away and comes back, or went back to, is work that is asked for anew.
            service = state.services.get(slot[0])
            scaled = service is not None and not _global(world, service) and slot[2] > service.replicas
            if service is None or scaled or service.version != slot[1]:
                self._done.discard(slot)
        for task in state.tasks.values():
            slot = (task.service_id, task.version, task.slot)
            if task.id not in self._known and slot in self._done:
                return f"{task} is made, and the work of its slot was done"
        self._known |= state.tasks.keys()
        jobs = {key for key, spec in state.specs.items() if spec.mode in JOB_MODES}
        mine = {task.id: task for task in state.tasks.values() if (task.service_id, task.version) in jobs}
        done = [task for task in mine.values() if task.completed]
        self._done |= {(task.service_id, task.version, task.slot) for task in done}
        return self._run_again(world, set(mine))

    def _run_again(self, world: View, tasks: set[str]) -> str:
        for name, host in world.hosts.items():
            for box in host.engine.boxes.values():
                if box.task_id not in tasks:
                    continue
                if box.runs > self._last_run.get(box.task_id, box.runs):
                    return f"{name} runs {box.task_id} again, which ended with success"
                if box.phase is ev.Phase.EXITED and box.exit_code == 0:
                    self._last_run[box.task_id] = box.runs
        return ""


def _global(world: View, service: Service) -> bool:
    return world.state.spec_of(service).mode in GLOBAL_MODES
