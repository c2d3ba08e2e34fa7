"""Which slots have a task coming that has no room on a node yet: one that waits for room, for its back-off or
for other services. It comes before all that is new, so that nobody is promised its room.

Of a service this changes only when settling looks at it, or places its tasks: both say so with `note`. So
most services are worked out once, and a trial costs what has changed since the one before. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from bayplan.lifecycle import ENDED
from bayplan.model import Desired, ServiceSpec
from controller.core import dependencies, placing
from controller.records import GLOBAL_MODES, Service
from controller.state import State
from controller.table import Rows
from controller.task_columns import COMPLETED, DESIRED_CODE, REMOVING
from controller.tasks import ODD, STATE_CODE, STATES

Ints = npt.NDArray[np.int64]
#: Slots, each with the id of the node that it is bound to (empty: any).
Bound = Mapping[int, str]

#: Every row of the table.
ALL = slice(None)

_STOP = DESIRED_CODE[Desired.STOP]
#: By code of a state whether a task in it has ended.
_ENDED = np.zeros(len(STATES) + 1, bool)
_ENDED[[STATE_CODE[each] for each in ENDED]] = True


class Owing:
    """Remembers what each service has coming."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._unsure = set(state.services)
        self._coming: dict[str, Bound] = {}

    def note(self, service_ids: Iterable[str]) -> None:
        """These may have something else coming now."""
        self._unsure.update(service_ids)

    def coming(self) -> list[tuple[Service, Bound]]:
        """The services that have something coming, by name."""
        services = self._state.services
        self.make_sure(len(self._unsure))
        found = [(services[service_id], slots) for service_id, slots in self._coming.items()]
        return sorted(found, key=lambda each: each[0].name)

    def make_sure(self, most: int) -> None:
        """Work out at most so many of those that may have something else coming now."""
        for _ in range(min(most, len(self._unsure))):
            service_id = self._unsure.pop()
            service, slots = self._state.services.get(service_id), None
            if service is not None and not service.removed:
                slots = coming(self._state, service, self._state.spec_of(service))
            if slots:
                self._coming[service_id] = slots
            else:
                self._coming.pop(service_id, None)


def coming(state: State, service: Service, spec: ServiceSpec, *, grows: bool = False) -> Bound:
    """The slots of a service of this spec that have a task coming; of one that `grows` only those that have
    one now."""
    held, count = held_slots(state, service), spec.replicas
    if spec.mode not in GLOBAL_MODES and held.size >= count and (not count or held[count - 1] == count):
        return {}  # all of them, from 1 on
    open_slots = dict(placing.slots(state, spec))
    for slot in held.tolist():
        open_slots.pop(slot, None)
    table, rows = state.tasks.table, state.tasks.table.of_service(service.id)
    rows = rows[~leaving(state, rows) | ((table.flags[rows] & COMPLETED) != 0)]
    if grows or spec.schedule is not None:  # what has no task yet is new, or has its time later
        there = set(table.slot[rows].tolist())
        open_slots = {slot: node_id for slot, node_id in open_slots.items() if slot in there}
    ended = rows[_ENDED[table.state[rows]] | ((table.flags[rows] & (COMPLETED | ODD)) != 0)]
    for task in state.tasks.of(ended):
        if task.slot in open_slots and dependencies.is_over(state, service, task):
            del open_slots[task.slot]
    return open_slots


def held_slots(state: State, service: Service) -> Ints:
    """The slots of a service, ascending, in which a task that shall stay takes room on a node that is not
    given up."""
    tasks, rows = state.tasks, state.tasks.table.of_service(service.id)
    rows = rows[~leaving(state, rows)]
    rows = rows[tasks.on_node_mask(rows)]
    rows = rows[~state.are_lost(tasks.table.node[rows])]
    return np.flatnonzero(np.bincount(tasks.table.slot[rows]))  # slots are small numbers


def staying_slots(state: State, service: Service) -> Ints:
    """The slots of a service, ascending, that have a task which shall not end, wherever it is."""
    rows = state.tasks.table.of_service(service.id)
    rows = rows[~leaving(state, rows)]
    return np.flatnonzero(np.bincount(state.tasks.table.slot[rows]))


def leaving(state: State, rows: Rows | slice = ALL) -> npt.NDArray[np.bool_]:
    """Which of these tasks shall end; by default for each row of the table."""
    table = state.tasks.table
    found: npt.NDArray[np.bool_] = (table.desired[rows] == _STOP) | ((table.flags[rows] & REMOVING) != 0)
    return found
