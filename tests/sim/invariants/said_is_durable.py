"""What an agent tells its controller is in its journal by then: revisions taken over and, unless its disk
takes nothing, ends of tasks."""

from __future__ import annotations

from bayplan.lifecycle import ENDED
from tests.sim.invariants.base import Part, View


class SaidIsDurable:
    watches = frozenset({Part.JOURNALS})

    def __init__(self) -> None:
        self._read: dict[str, int] = {}

    def check(self, world: View) -> str:
        for name in sorted(world.news.spoke):
            host = world.hosts[name]
            fresh = host.reports[self._read.get(name, 0) :]
            self._read[name] = len(host.reports)
            for said, kept, kept_ends in fresh:
                if said.revision > kept.revision:
                    return f"{name} said revision {said.revision}, and keeps {kept.revision}"
                assigned = {assignment.task_id for assignment in kept.tasks}
                ended = {status.task_id for status in said.tasks if status.state in ENDED}
                if not host.journal.owed and (unkept := sorted((ended & assigned) - kept_ends)):
                    return f"{name} said that {unkept} ended, and does not keep it"
        return ""
