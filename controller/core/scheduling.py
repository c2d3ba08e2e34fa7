"""Places what waits: the tasks of a service that ask alike go to the scheduler as one group.

A task that gets a node may end the wait of its elder, and one that gets none a rollout: their services are
looked at again. Which node it is, is decided in `decide.schedule`; who is tried at all, in `core.waiting`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import numpy as np

from bayplan.model import HomePolicy, ServiceSpec
from controller.core import belongings
from controller.core.consolidating import Consolidator
from controller.core.ground import Ground
from controller.core.preempting import Preemption
from controller.core.room import RoomMaker
from controller.core.turn import Turn
from controller.core.waiting import Waiting
from controller.decide import homes, restarts, schedule
from controller.decide.waking import Asker
from controller.pending import ANY_SLOT
from controller.records import GLOBAL_MODES, Task
from controller.state import State
from controller.table import NO_NODE, NO_TIME, Rows
from controller.tasks import ODD


class _Crowd(NamedTuple):
    """Tasks that ask alike, by slot: their rows in the table, and those of the slot's other tasks where there
    are any (of a single task)."""

    asker: Asker
    rows: Rows
    group: schedule.Group
    beside: tuple[Task, ...] = ()


class Scheduler:
    """Remembers the fleet, and who sleeps because no node could take him."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._waiting = Waiting()
        self._room = RoomMaker(ground)
        #: Empties nodes, and knows where the tasks that move for that shall go.
        self.consolidator = Consolidator(ground)

    def place(self, turn: Turn) -> None:
        """Give nodes to as many as possible of those who wait."""
        waiting = turn.state.tasks.waiting_services()
        if not waiting:
            return
        fleet = self._ground.fleet()
        self._waiting.nodes_changed(self._ground.news())
        crowds = [crowd for service_id in waiting for crowd in self._crowds(turn, service_id)]
        due = set(self._waiting.due([crowd.asker for crowd in crowds], fleet))
        tried = [crowd for crowd in crowds if crowd.asker in due]
        placed = schedule.place_groups([crowd.group for crowd in tried], fleet)
        for crowd, found in zip(tried, placed, strict=True):
            self._take(turn, crowd, found)
        if turn.settings.preemption:
            self._preempt(turn, tried, placed)
        for crowd in crowds:
            if crowd.asker not in due:
                self._refused(turn, crowd, crowd.rows)

    def _preempt(self, turn: Turn, tried: list[_Crowd], placed: list[schedule.Placed]) -> None:
        """Room for those that no node could take, the most important first."""
        preemption = Preemption(turn, self._ground)
        left = [each for each in zip(tried, placed, strict=True) if each[1].refusal is not None]
        for crowd, found in sorted(left, key=lambda each: -each[0].asker.demand.priority):
            if crowd.group.pinned is None and not crowd.group.stays:
                missing = len(crowd.rows) - len(found.rows)
                preemption.make_room(crowd.asker.service_id, crowd.asker.demand, missing)

    # --- who asks for what ---

    def _crowds(self, turn: Turn, service_id: str) -> Iterator[_Crowd]:
        """The waiting tasks of a service. One in whose slot there are others asks for itself."""
        state, table = turn.state, turn.state.tasks.table
        rows = table.of_service(service_id)
        slots, waits = table.slot[rows], table.node[rows] == NO_NODE
        alone = np.ones(len(rows), bool)
        alone[1:] &= slots[1:] != slots[:-1]
        alone[:-1] &= slots[1:] != slots[:-1]
        ended = state.tasks.of(rows[(table.flags[rows] & ODD) != 0])
        for version in np.unique(table.version[rows[waits]]).tolist():
            avoided = restarts.avoided(ended, version)
            mine = waits & (table.version[rows] == version)
            yield from self._alike(turn, service_id, version, rows[mine & alone], avoided)
            for index in np.flatnonzero(mine & ~alone).tolist():
                beside = rows[(slots == slots[index]) & (rows != rows[index])]
                others = tuple(state.tasks.of(beside))
                for crowd in self._alike(turn, service_id, version, rows[index : index + 1], avoided):
                    yield crowd._replace(group=self._beside(crowd.group, others), beside=others)

    def _alike(
        self, turn: Turn, service_id: str, version: int, rows: Rows, avoided: frozenset[str]
    ) -> Iterator[_Crowd]:
        """Tasks of one version: all at once, or where they are bound to nodes each by itself."""
        if not len(rows):
            return
        state = turn.state
        service, spec = state.services[service_id], state.specs[service_id, version]
        asked = self._ground.demand(service_id, version)
        common = schedule.Group(
            service_id, asked, len(rows), name=spec.name, replicas=service.replicas, avoided=avoided
        )
        bound = _bound(state, spec)
        free = rows
        for row in rows.tolist() if bound else ():
            node_id = bound.get(int(state.tasks.table.slot[row]), "")
            if node_id:
                free = free[free != row]
                at = self._ground.fleet().rows.get(node_id)
                pinned = np.array([] if at is None else [at], np.int64)
                group = msgspec.structs.replace(common, count=1, pinned=pinned)
                yield _Crowd(Asker(service_id, asked, node_id), np.array([row]), group)
        for row in free.tolist() if homes.has_volumes(spec) else ():
            at_home = belongings.homes_of(state, service.name, spec, int(state.tasks.table.slot[row]))
            if at_home:
                free = free[free != row]
                stays = spec.homes is HomePolicy.STAY
                group = msgspec.structs.replace(common, count=1, homes=at_home, stays=stays)
                yield _Crowd(Asker(service_id, asked, at_home[0] if stays else ""), np.array([row]), group)
        if len(free):
            yield _Crowd(Asker(service_id, asked), free, msgspec.structs.replace(common, count=len(free)))

    def _beside(self, group: schedule.Group, others: tuple[Task, ...]) -> schedule.Group:
        """A single task beside others of its slot. Where one moves so that its node becomes free it goes to
        the node that was meant; beside one that a rebalance moves it evens out the load."""
        moving = [each for each in others if each.displaced and each.wanted]
        targets = tuple(self.consolidator.target(each.id) for each in moving)
        avoided = group.avoided | {each.node_id for each in moving}
        if any(targets):
            return msgspec.structs.replace(group, homes=targets, avoided=avoided)
        return msgspec.structs.replace(group, level=bool(moving), avoided=avoided)

    # --- what becomes of it ---

    def _take(self, turn: Turn, crowd: _Crowd, found: schedule.Placed) -> None:
        count = len(found.rows)
        placed, rest = crowd.rows[:count], crowd.rows[count:]
        self._room.placed(count)
        self.consolidator.placed(count)
        if count:
            self._waiting.nodes_changed(self._ground.fleet().ids[row] for row in set(found.rows.tolist()))
            numbers = self._ground.numbers(found.rows)
            stays = _moved_nowhere(turn.state, crowd, int(numbers[0]))
            if stays is not None:
                turn.drop(turn.state.tasks.of(placed)[0])
                turn.put(msgspec.structs.replace(stays, displaced=False))
                turn.services.add(stays.service_id)
                turn.state.changed_nodes.add(stays.node_id)
            else:
                turn.place(placed, numbers)
                self._ground.owing.note((crowd.asker.service_id,))
                belongings.settle(turn, crowd.asker.service_id, placed)
                if any(each.wanted for each in crowd.beside):
                    turn.services.add(crowd.asker.service_id)
        if found.refusal is not None and len(rest):
            self._waiting.refused(crowd.asker)
            self._refused(turn, crowd, rest)
            self._room.make(turn, crowd.group)
        elif not crowd.beside:
            turn.state.pending_reasons.forget(*self._key(turn, crowd))

    def _refused(self, turn: Turn, crowd: _Crowd, rows: Rows) -> None:
        """No node can take these now; who hears it for the first time counts from now, and is looked at."""
        table, (service_id, version, slot) = turn.state.tasks.table, self._key(turn, crowd)
        why = self._waiting.why(crowd.asker, self._ground.fleet())
        is_new = turn.state.pending_reasons.put(service_id, version, why, slot)
        fresh = rows[table.since_ms[rows] == NO_TIME]
        table.since_ms[fresh] = turn.now.mono_ms
        if is_new or len(fresh):
            turn.services.add(service_id)

    @staticmethod
    def _key(turn: Turn, crowd: _Crowd) -> tuple[str, int, int]:
        """Under which a crowd's reasons are kept: its service, version, and the slot of one that is bound."""
        table, row = turn.state.tasks.table, int(crowd.rows[0])
        slot = int(table.slot[row]) if crowd.asker.pinned else ANY_SLOT
        return crowd.asker.service_id, int(table.version[row]), slot


def _bound(state: State, spec: ServiceSpec) -> dict[int, str]:
    """By slot the node to which it is bound; a slot that is no node's came with another mode, whose canaries
    are not promoted yet."""
    if spec.mode not in GLOBAL_MODES:
        return {}
    return {node.ordinal: node.id for node in state.nodes.values()}


def _moved_nowhere(state: State, crowd: _Crowd, number: int) -> Task | None:
    """The task that a rebalance wanted elsewhere, if its heir can only come to where it is itself."""
    if not crowd.beside:
        return None
    node_id, (heir,) = state.tasks.table.nodes.names[number], state.tasks.of(crowd.rows)
    there = (each for each in crowd.beside if each.displaced and each.wanted and each.node_id == node_id)
    return next((each for each in there if each.version == heir.version), None)
