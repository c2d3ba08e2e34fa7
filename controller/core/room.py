"""Makes room for tasks that fit nowhere: others of one node move, start-first, and they come in their place.

Which ones these are, is decided in `decide.room`; here is who may move at all, and how often.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from controller.core import mobility
from controller.core.ground import Ground
from controller.core.turn import Turn
from controller.decide import room, schedule
from controller.state import State

#: Tasks that are found to have another in their slot before it is given up.
RETRIES_MAX = 8


class RoomMaker:
    """Remembers how many moves have been earned, and for whom which task moves."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._allowance = room.Allowance()
        #: By the service that waits: the tasks that move for it, and when that was decided (monotonic ms).
        self._moves: dict[str, tuple[tuple[str, ...], int]] = {}

    def placed(self, count: int) -> None:
        """So many tasks have got nodes."""
        self._allowance.earn(count)

    def make(self, turn: Turn, group: schedule.Group) -> None:
        """Let tasks of one node move if that lets one of this group in. One node at a time for each service,
        and one thought in a turn."""
        if group.pinned is not None or not group.demand.amounts or self._is_busy(turn, group.service_id):
            return
        shifts = self._found(turn.state, group)
        if not shifts or not self._allowance.spend(len(shifts)):
            return
        self._moves[group.service_id] = tuple(each.movable.task_id for each in shifts), turn.now.mono_ms
        for shift in shifts:
            self._displace(turn, shift.movable.task_id, group.service_id)

    @staticmethod
    def _displace(turn: Turn, task_id: str, waiting_id: str) -> None:
        state, task = turn.state, turn.state.tasks[task_id]
        turn.put(msgspec.structs.replace(task, displaced=True))
        turn.services.add(task.service_id)
        before, name = state.nodes[task.node_id].name, f"{state.services[task.service_id].name}.{task.slot}"
        waiting = state.services[waiting_id].name
        turn.note("task", name, f"moves from {before} to make room for {waiting}")

    def _is_busy(self, turn: Turn, service_id: str) -> bool:
        """Whether tasks move for a service already, or were to in this turn."""
        known = self._moves.get(service_id)
        if known is None:
            return False
        task_ids, since_ms = known
        tasks = [turn.state.tasks.get(each) for each in task_ids]
        if since_ms == turn.now.mono_ms or any(each and each.displaced and each.wanted for each in tasks):
            return True
        del self._moves[service_id]
        return False

    def _found(self, state: State, group: schedule.Group) -> tuple[room.Shift, ...]:
        fleet, crowded = self._ground.fleet(), set[str]()
        rows = room.sources(fleet, group.demand, group.service_id).tolist()
        movables = [each for row in rows for each in self._movables(state, row, fleet.ids[row], group)]
        for _ in range(RETRIES_MAX):
            left = [each for each in movables if each.task_id not in crowded]
            shifts = room.make_room(fleet, group.demand, left, self._allowance.moves)
            ids = [each.movable.task_id for each in shifts]
            beside = {each for each in ids if not mobility.is_alone(state, state.tasks[each])}
            if not beside:
                return shifts
            crowded |= beside
        return ()

    def _movables(
        self, state: State, row: int, node_id: str, group: schedule.Group
    ) -> Iterator[room.Movable]:
        for task in state.tasks_on(node_id):
            service = state.services[task.service_id]
            if task.service_id != group.service_id and mobility.may_move(state, task):
                asked = self._ground.demand(service.id, task.version)
                yield room.Movable(task.id, service.id, row, asked)
