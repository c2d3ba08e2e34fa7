"""Makes room for waiting tasks that are more important than others: those are stopped, and wait themselves.

Off unless the controller was told so. Who gives way is decided in `decide.preempt`. Never does a task of a
job (its work would be lost), of a fenced service, of one on each node, or one that must stay with its data.
"""

from __future__ import annotations

import numpy as np
from msgspec.structs import replace

from bayplan.model import Desired, HomePolicy, ServiceSpec
from controller.core import draining
from controller.core.ground import Ground
from controller.core.trial import NOWHERE, Trial
from controller.core.turn import Turn
from controller.decide import preempt
from controller.decide.demand import Demand
from controller.decide.fleet import CAUSES, Fleet
from controller.decide.preempt import Holder, Room
from controller.decide.verdicts import SHORT, shortage
from controller.records import GLOBAL_MODES, JOB_MODES, Task

_SHORT = [code for code, cause in enumerate(CAUSES) if cause in SHORT]


class Preemption:
    """What one turn may still do; on `paper` (the fleet of a trial) nobody is stopped, and more is tried."""

    def __init__(self, turn: Turn, ground: Ground, paper: Fleet | None = None) -> None:
        self._turn, self._ground, self._paper = turn, ground, paper
        self._left = preempt.EVICTIONS_PER_TURN_MAX if paper is None else preempt.EVICTIONS_TRIED_MAX
        self._rooms: dict[int, Room] = {}

    def make_room(self, service_id: str, asked: Demand, count: int) -> int:
        """For up to `count` waiting tasks that no node can take now; for how many there will be room."""
        if asked.priority < preempt.PRIORITY_GAP_MIN or not self._left:
            return 0
        fleet = self._ground.fleet() if self._paper is None else self._paper
        rows = np.flatnonzero(np.isin(fleet.causes(asked, service_id), _SHORT))
        rows = rows[np.argsort(shortage(fleet, asked, rows), kind="stable")][: preempt.NODES_MAX]
        for number in range(count):
            rooms = [self._room(fleet, row) for row in rows.tolist()]
            found = preempt.best(asked.by_dimension, asked.priority, rooms)
            if found is None or len(found.holders) > self._left:
                return number
            self._left -= len(found.holders)
            for holder in found.holders if self._paper is None else ():
                self._evict(holder, service_id, asked.priority)
            self._promise(fleet.rows[found.room.node_id], found, asked)
        return count

    def _promise(self, row: int, eviction: preempt.Eviction, asked: Demand) -> None:
        """The room that comes free is taken: the next task looks elsewhere, or further."""
        room = eviction.room
        gone = {each.task_id for each in eviction.holders}
        holders = [each._replace(leaving=each.leaving or each.task_id in gone) for each in room.holders]
        free = dict(room.free)
        for name, amount in asked.by_dimension.items():
            free[name] = free.get(name, 0) - amount
        self._rooms[row] = room._replace(free=free, holders=tuple(holders))

    def _room(self, fleet: Fleet, row: int) -> Room:
        known = self._rooms.get(row)
        if known is None:
            node_id, state = fleet.ids[row], self._turn.state
            free = {name: column.item(row) for name, column in fleet.free.items()}
            there = [task for task in state.tasks_on(node_id) if state.holds_node(task)]
            holders = tuple(self._holder(task) for task in there)
            known = self._rooms[row] = Room(node_id, fleet.nodes[row].name, free, holders)
        return known

    def _holder(self, task: Task) -> Holder:
        asked = self._ground.demand(task.service_id, task.version)
        spec = self._turn.state.specs[task.service_id, task.version]
        yields = _yields(spec) and task.desired is Desired.RUN and not task.displaced
        return Holder(task.id, asked.priority, asked.by_dimension, leaving=task.leaving, yields=yields)

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


def relieved(turn: Turn, ground: Ground, tried: Trial) -> frozenset[str]:
    """The services of a trial whose tasks find no room but will, because others would give way."""
    found, preemption = set(), Preemption(turn, ground, tried.fleet)
    for lot in tried.lots if turn.settings.preemption else ():
        missing = int((lot.nodes == NOWHERE).sum())
        if missing and lot.refusal is not None and lot.spec.mode not in GLOBAL_MODES:
            there = turn.state.service_named(lot.name)
            key, asked = there.id if there else lot.name, lot.refusal.demand
            if preemption.make_room(key, asked, missing) == missing:
                found.add(lot.name)
    return frozenset(found)


def _yields(spec: ServiceSpec) -> bool:
    return not (spec.fence or spec.mode in GLOBAL_MODES | JOB_MODES or spec.homes is HomePolicy.STAY)
