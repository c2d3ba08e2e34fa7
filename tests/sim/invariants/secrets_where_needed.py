"""A secret lies only on nodes that were given a task which mounts it."""

from __future__ import annotations

from bayplan.model import FileKind
from controller.records import Task
from tests.sim.invariants.base import Part, View


class SecretsWhereNeeded:
    watches = frozenset({Part.JOURNALS, Part.RECORDS})

    def __init__(self) -> None:
        #: Digests by node id.
        self._needed: dict[str, set[str]] = {}

    def check(self, world: View) -> str:
        for task in [record for record in world.news.records if isinstance(record, Task)]:
            spec = world.control.spec(task.service_id, task.version)
            if spec is not None and task.node_id and spec.container.files:
                digests = {mount.digest for mount in spec.container.files}
                self._needed.setdefault(task.node_id, set()).update(digests)
        for name in sorted(world.news.spoke):
            host = world.hosts[name]
            needed = self._needed.get(host.identity.node_id, set())
            for file in host.files:
                if file.kind is FileKind.SECRET and file.digest not in needed:
                    return f"{name} has a secret that none of its tasks ever mounted"
        return ""
