"""A slot's count of failures in a row never goes back while its version stays, whoever restarts, unless a
user's request gives it a clean slate, it was given up in between, or a task has proved itself. Tasks of a
node that is removed go with it, and those of a global service with a drained one: what they had behind them
outlives no controller."""

from __future__ import annotations

from controller.records import GLOBAL_MODES, Task
from tests.sim.invariants.base import Part, View


class FailuresCounted:
    watches = frozenset({Part.RECORDS})

    def __init__(self) -> None:
        #: The newest task of each slot, and how many requests about its stack were answered by
        #: the time at which it was made.
        self._newest: dict[tuple[str, int], tuple[Task, int]] = {}

    def check(self, world: View) -> str:
        for task in [record for record in world.news.records if isinstance(record, Task)]:
            service = world.control.records.get(("Service", task.service_id))
            if service is None:
                continue
            slot = (task.service_id, task.slot)
            answers = world.intents.answers.get(service.stack, 0)
            before, answers_then = self._newest.get(slot, (task, answers))
            if before.id == task.id:
                self._newest[slot] = (task, answers_then)
            elif task.created_ms > before.created_ms:
                self._newest[slot] = (task, answers)
                expected = before.failures + (before.end is not None)
                same = (task.version, task.run, answers) == (before.version, before.run, answers_then)
                removed = _is_removed(world, before)
                if same and not before.removing and not removed and task.failures < expected:
                    return f"{task} has {task.failures} failures behind it, and its slot has {expected}"
        return ""


def _is_removed(world: View, task: Task) -> bool:
    """Whether it went with its node, or, of a global service, as its node was drained."""
    records, spec = world.control.records, world.control.spec(task.service_id, task.version)
    if spec is not None and spec.mode in GLOBAL_MODES and ("Task", task.id) not in records:
        return True
    return bool(task.node_id) and ("Node", task.node_id) not in records
