"""Makes room for tasks that fit nowhere: one other task moves, start-first, and they come in its place.

Which one it is, is decided in `decide.room`; here is who may move at all, and how often.
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
        #: By the service that waits: the task that moves for it, and when that was decided (monotonic ms).
        self._moves: dict[str, tuple[str, int]] = {}

    def placed(self, count: int) -> None:
        """So many tasks have got nodes."""
        self._allowance.earn(count)

    def make(self, turn: Turn, group: schedule.Group) -> None:
        """Let one task move if that lets one of this group in. One move at a time for each service, and one
        thought in a turn."""
        if group.pinned is not None or not group.demand.amounts or self._is_busy(turn, group.service_id):
            return
        found = self._found(turn.state, group)
        if found is None or not self._allowance.spend():
            return
        state, task = turn.state, turn.state.tasks[found.movable.task_id]
        self._moves[group.service_id] = (task.id, turn.now.mono_ms)
        turn.put(msgspec.structs.replace(task, displaced=True))
        turn.services.add(task.service_id)
        before, name = state.nodes[task.node_id].name, f"{state.services[task.service_id].name}.{task.slot}"
        waiting = state.services[group.service_id].name
        turn.note("task", name, f"moves from {before} to make room for {waiting}")

    def _is_busy(self, turn: Turn, service_id: str) -> bool:
        """Whether a task moves for a service already, or one was to in this turn."""
        known = self._moves.get(service_id)
        if known is None:
            return False
        task_id, since_ms = known
        task = turn.state.tasks.get(task_id)
        if since_ms == turn.now.mono_ms or (task is not None and task.displaced and task.wanted):
            return True
        del self._moves[service_id]
        return False

    def _found(self, state: State, group: schedule.Group) -> room.Shift | None:
        fleet, crowded = self._ground.fleet(), set[str]()
        rows = room.sources(fleet, group.demand, group.service_id).tolist()
        movables = [each for row in rows for each in self._movables(state, row, fleet.ids[row], group)]
        for _ in range(RETRIES_MAX):
            left = [each for each in movables if each.task_id not in crowded]
            shift = room.make_room(fleet, group.demand, left)
            if shift is None or mobility.is_alone(state, state.tasks[shift.movable.task_id]):
                return shift
            crowded.add(shift.movable.task_id)
        return None

    def _movables(
        self, state: State, row: int, node_id: str, group: schedule.Group
    ) -> Iterator[room.Movable]:
        for task in state.tasks_on(node_id):
            service = state.services[task.service_id]
            if task.service_id != group.service_id and mobility.may_move(state, task):
                asked = self._ground.demand(service.id, task.version)
                yield room.Movable(task.id, service.id, row, asked)
