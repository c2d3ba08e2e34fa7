"""Makes room for waiting tasks that are more important than others: those are stopped, and wait themselves.

Off unless the controller was told so. Who gives way is decided in `decide.preempt`. Never does a task of a
job (its work would be lost), of a fenced service, of one on each node, or one that must stay with its data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from msgspec.structs import replace

from bayplan.model import Desired, HomePolicy, ServiceMode, ServiceSpec
from bayplan.views import ServiceAction
from controller.core import draining
from controller.core.ground import Ground
from controller.core.trial import NOWHERE, Trial
from controller.core.turn import Turn
from controller.decide import deploy, preempt
from controller.decide.demand import Demand
from controller.decide.fleet import CAUSES, Fleet
from controller.decide.preempt import Eviction, Holder, Room
from controller.decide.verdicts import SHORT, shortage
from controller.records import GLOBAL_MODES, JOB_MODES, Task
from controller.state import State

_SHORT = [code for code, cause in enumerate(CAUSES) if cause in SHORT]
#: Why tasks of a mode give way to nobody.
_MODES = dict.fromkeys(JOB_MODES, "of jobs") | {ServiceMode.GLOBAL: "on each node"}


class Rooms:
    """What stands on the nodes of a fleet, for who looks for somebody to give way. Tasks that are `gone` from
    the fleet are not there."""

    def __init__(
        self, state: State, ground: Ground, fleet: Fleet, gone: Callable[[Task], bool] | None = None
    ) -> None:
        self._state, self._ground, self._fleet, self._gone = state, ground, fleet, gone
        self._rooms: dict[int, Room] = {}

    def near(self, service_id: str, asked: Demand) -> list[int]:
        """The rows that are short of something, of least first; none where more room is not what is
        missing."""
        fleet = self._fleet
        rows = np.flatnonzero(np.isin(fleet.causes(asked, service_id), _SHORT))
        order = np.argsort(shortage(fleet, asked, rows), kind="stable")
        found: list[int] = rows[order][: preempt.NODES_MAX].tolist()
        return found

    def best(self, asked: Demand, rows: list[int]) -> Eviction | None:
        """Where on these rows who gives way to one more task; None if nowhere."""
        return preempt.best(asked.by_dimension, asked.priority, map(self.room, rows))

    def promise(self, eviction: Eviction, asked: Demand) -> None:
        """The room that comes free is taken: the next task looks elsewhere, or further."""
        room, gone = eviction.room, {each.task_id for each in eviction.holders}
        holders = [each._replace(leaving=each.leaving or each.task_id in gone) for each in room.holders]
        free = dict(room.free)
        for name, amount in asked.by_dimension.items():
            free[name] = free.get(name, 0) - amount
        row = self._fleet.rows[room.node_id]
        self._rooms[row] = room._replace(free=free, holders=tuple(holders))

    def room(self, row: int) -> Room:
        """A node with what stands there."""
        known = self._rooms.get(row)
        if known is None:
            fleet, state = self._fleet, self._state
            node_id = fleet.ids[row]
            free = {name: column.item(row) for name, column in fleet.free.items()}
            there = [task for task in state.tasks_on(node_id) if state.holds_node(task)]
            there = [task for task in there if self._gone is None or not self._gone(task)]
            holders = tuple(self._holder(task) for task in there)
            known = self._rooms[row] = Room(node_id, fleet.nodes[row].name, free, holders)
        return known

    def _holder(self, task: Task) -> Holder:
        asked = self._ground.demand(task.service_id, task.version)
        keeps = _keeps(self._state.specs[task.service_id, task.version])
        if not keeps and (task.desired is not Desired.RUN or task.displaced):
            keeps = "about to move"
        return Holder(task.id, asked.priority, asked.by_dimension, leaving=task.leaving, keeps=keeps)


class Preemption:
    """What one turn may still do."""

    def __init__(self, turn: Turn, ground: Ground) -> None:
        self._turn = turn
        self._left = preempt.EVICTIONS_PER_TURN_MAX
        self._rooms = Rooms(turn.state, ground, ground.fleet())

    def make_room(self, service_id: str, asked: Demand, count: int) -> None:
        """For up to `count` waiting tasks that no node can take now."""
        for found in _evictions(self._rooms, service_id, asked, count, self._left):
            self._left -= len(found.holders)
            for holder in found.holders:
                self._evict(holder, service_id, asked.priority)

    def _evict(self, holder: Holder, service_id: str, priority: int) -> None:
        turn, state = self._turn, self._turn.state
        task = state.tasks[holder.task_id]
        victim, winner = state.services[task.service_id], state.services[service_id]
        draining.begin(turn, victim, (task.id,))
        turn.put(replace(task, desired=Desired.STOP))
        if task.id not in state.leaving:
            turn.nodes.add(task.node_id)
        turn.services.add(victim.id)
        node = state.nodes[task.node_id].name
        text = f"gives way on {node} to {winner.name}, of priority {priority} (its own is {holder.priority})"
        turn.note("task", f"{victim.name}.{task.slot}", text)


def _evictions(rooms: Rooms, service_id: str, asked: Demand, count: int, left: int) -> Iterator[Eviction]:
    """Who gives way to so many tasks, one after the other, as long as `left` tasks may."""
    if asked.priority < preempt.PRIORITY_GAP_MIN or not left:
        return
    rows = rooms.near(service_id, asked)
    for _ in range(count):
        found = rooms.best(asked, rows)
        if found is None or len(found.holders) > left:
            return
        left -= len(found.holders)
        rooms.promise(found, asked)
        yield found


def relieved(turn: Turn, ground: Ground, tried: Trial, changes: Iterable[deploy.Change]) -> frozenset[str]:
    """The services of a trial of these changes whose tasks find no room but will, because others would give
    way; none of a service that is changed, too: the trial has its tasks gone, or placed anew."""
    if not turn.settings.preemption:
        return frozenset()
    state, left, found = turn.state, preempt.EVICTIONS_TRIED_MAX, set()
    changed = {each.service.id for each in changes if each.service and each.action is not ServiceAction.SAME}
    rooms = Rooms(state, ground, tried.fleet, gone=lambda task: task.leaving or task.service_id in changed)
    for lot in tried.lots:
        missing, service = int((lot.nodes == NOWHERE).sum()), state.service_named(lot.name)
        if missing and lot.refusal is not None and _may_preempt(lot.spec):
            key = service.id if service else lot.name
            made = list(_evictions(rooms, key, lot.refusal.demand, missing, left))
            left -= sum(len(each.holders) for each in made)
            if len(made) == missing:
                found.add(lot.name)
    return frozenset(found)


def _may_preempt(spec: ServiceSpec) -> bool:
    """Whether others give way to its tasks: not where they are bound to a node."""
    return spec.mode not in GLOBAL_MODES and spec.homes is not HomePolicy.STAY


def _keeps(spec: ServiceSpec) -> str:
    """Why the tasks of a service give way to nobody; empty: they may."""
    if spec.fence:
        return "fenced"
    return "with their volumes" if spec.homes is HomePolicy.STAY else _MODES.get(spec.mode, "")
