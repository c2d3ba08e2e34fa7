"""What a node shall have, straight from the table of tasks: made when its door can say it, not before."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from bayplan.model import Assignment, AssignmentColumns, Assignments, Desired, RestartCondition, ServiceSpec
from controller.core import dependencies, networking
from controller.decide import assign
from controller.records import Service
from controller.state import State
from controller.table import Rows, among
from controller.task_columns import COMPLETED, DESIRED_CODE, DESIRES, REMOVING
from controller.tasks import ODD

#: Kinds of assignments that are kept to be given again; more are made anew.
KINDS_KEPT_MAX = 20_000

_RUN, _STOP = DESIRED_CODE[Desired.RUN], DESIRED_CODE[Desired.STOP]
#: What stands for the number of an id that has none; the one id whose number it is travels whole as well.
_NO_NUMBER = 0
#: Bits of a kind's key: what is desired lowest, then the version, then the service's number.
_DESIRED_BITS, _VERSION_BITS = 2, 31


class _Kind(NamedTuple):
    """What tasks of a version have in common, and the records that it was made of."""

    service: Service
    spec: ServiceSpec
    alike: Assignment

    def made_of(self, service: Service, spec: ServiceSpec, restart: RestartCondition) -> bool:
        """Whether it was made of these very records."""
        return self.service is service and self.spec is spec and self.alike.restart is restart


class Assigner:
    """Makes desired sets. Equal kinds are the same object in all of them."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._kinds: dict[int, _Kind] = {}
        #: Those that hold as long as no service changes: many sets are made in a row.
        self._sure: dict[int, _Kind] = {}
        self._intents = -1

    def assignments(self, node_id: str) -> Assignments | None:
        """All that a node shall have, in columns; None for a node that is no more.

        A task that is to be removed is simply not in it; one that serves on for now runs, whatever shall
        become of it.
        """
        life = self._state.lives.get(node_id)
        if life is None:
            return None
        table = self._state.tasks.table
        rows = table.on_node(node_id)
        flags = table.flags[rows]
        kept, desired = (flags & REMOVING) == 0, np.where(flags & COMPLETED, _STOP, table.desired[rows])
        if self._state.leaving:
            leaving = among(rows, {table.row(task_id) for task_id in self._state.leaving})
            kept, desired = kept | leaving, np.where(leaving, _RUN, desired)
        if not kept.all():
            rows, desired = rows[kept], desired[kept]
        made = self._set(life.revision, rows, desired)
        overlays = networking.overlays(self._state, node_id, rows)
        return replace(made, overlays=overlays) if overlays else made

    def _set(self, revision: int, rows: Rows, desired: npt.NDArray[np.int64]) -> Assignments:
        table = self._state.tasks.table
        keys = (table.service[rows].astype(np.int64) << _VERSION_BITS | table.version[rows]) << _DESIRED_BITS
        present, kind_of = np.unique(keys | desired, return_inverse=True)
        if self._intents != self._state.intents:
            self._sure, self._intents = {}, self._state.intents
        kinds = [self._sure.get(key) or self._kind(key) for key in present.tolist()]
        alike = [each.alike for each in kinds]
        specs = {each.alike.spec_id: each.spec.container for each in kinds}
        slots = table.slot[rows]
        for index in np.flatnonzero(table.flags[rows] & ODD).tolist():
            task = self._state.tasks[table.id_of(int(rows[index]))]
            if task.goods:
                alike.append(assign.with_goods(alike[kind_of[index]], task))
                kind_of[index] = len(alike) - 1
        named = np.flatnonzero(table.number[rows] == _NO_NUMBER)
        tasks = [
            replace(alike[kind_of[index]], task_id=table.id_of(int(rows[index])), slot=int(slots[index]))
            for index in named.tolist()
        ]
        rows, kind_of = np.delete(rows, named), np.delete(kind_of, named)
        columns = AssignmentColumns(
            kinds=tuple(alike),
            ids=table.number[rows].astype("<i8").tobytes(),
            slots=table.slot[rows].astype("<u4").tobytes(),
            kind_of=kind_of.astype("<u4").tobytes(),
        )
        return Assignments(revision=revision, tasks=tuple(tasks), specs=specs, columns=columns)

    def _kind(self, key: int) -> _Kind:
        """What tasks with this key have in common; made anew when its records are."""
        state = self._state
        desired, version = key & (1 << _DESIRED_BITS) - 1, key >> _DESIRED_BITS & (1 << _VERSION_BITS) - 1
        service_id = state.tasks.table.services.names[key >> _DESIRED_BITS + _VERSION_BITS]
        service, spec = state.services[service_id], state.specs[service_id, version]
        restart = dependencies.restart_policy(state, service, spec).condition
        kept = self._kinds.get(key)
        if kept is not None and kept.made_of(service, spec, restart):
            self._sure[key] = kept
            return kept
        alike = assign.kind(service, version, spec, DESIRES[desired], restart)
        if kept is not None and kept.alike == alike:
            alike = kept.alike
        if len(self._kinds) >= KINDS_KEPT_MAX:
            self._kinds.clear()
        made = self._kinds[key] = self._sure[key] = _Kind(service, spec, alike)
        return made
