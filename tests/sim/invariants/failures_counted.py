"""A slot's count of failures in a row never goes back while its version stays, whoever restarts, unless a
user's request gives it a clean slate, it was given up in between, or a task has proved itself."""

from __future__ import annotations

from controller.records import Task
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
                if same and not before.removing and task.failures < expected:
                    return f"{task} has {task.failures} failures behind it, and its slot has {expected}"
        return ""
