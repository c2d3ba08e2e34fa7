"""Settling: applies the deciders to whatever a turn touched, until nothing is left to do.

The order is fixed: reconcile -> schedule -> assign -> registry. Only dirty services and nodes are
looked at.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from bayplan.model import Desired, ServiceSpec
from controller.core import dependencies, draining, exposing, networking, placing, rolling, statuses, surveys
from controller.core.ground import Ground
from controller.core.ranked import Ranked
from controller.core.scheduling import Scheduler
from controller.core.turn import Turn
from controller.decide import reconcile
from controller.decide.slots import NO_SLOTS, Slots
from controller.events import Assign
from controller.records import Service, ServiceVersion, Task
from controller.state import State

#: Rounds of reconciling and placing in one turn; two are the rule, more are a broken invariant.
ROUNDS_MAX = 10
#: Work of one turn, in tasks that are made or removed: about as long as nobody minds to wait.
UNITS_PER_TURN = 1_000
#: The same after one event of several: services for which it is not enough wait until all are taken.
UNITS_PER_EVENT = 100
#: What a look at a service costs, be it ever so small: 0.2 ms.
UNITS_PER_LOOK = 20
#: Tasks that are looked at, and nothing is to be done about, for the price of one that is made.
ROWS_PER_UNIT = 50
#: Services in which tasks come a step further are looked at so many a millisecond: each such look puts the
#: next ones off, by no more than so long, and takes in all that came meanwhile. Of 0.3 ms each they take less
#: than a tenth of the time.
CALM_LOOKS_PER_MS = 0.25
CALM_MS_MAX = 1_000
#: Before a task runs, its service is looked at so much later, if no other waits for it: mostly it has come
#: further by then, and others of its service with it.
EARLY_MS = 250


def _size(state: State, service_id: str) -> int:
    """What a look at a service costs, in tasks that are made: far less for those that are there."""
    service = state.services.get(service_id)
    there = len(state.tasks.table.of_service(service_id))
    wanted = 0 if service is None or service.removed else service.replicas
    return abs(wanted - there) + there // ROWS_PER_UNIT


class Settler:
    """Remembers which services are still to be looked at, when each wants to be looked at again (monotonic
    ms), and which wait for another one.

    Large work is done in slices, the smallest services first, so that nobody waits for the large ones.
    """

    def __init__(self, ground: Ground) -> None:
        self._scheduler, self._ground = Scheduler(ground), ground
        self._owing = ground.owing
        self._wakes = Ranked()
        #: Services of which the registry shows something else after a while, with when (monotonic ms).
        self._shown_anew = Ranked()
        self._held: set[str] = set()
        #: Services to be looked at, with their sizes.
        self._backlog = Ranked()
        #: Services in which tasks came a step further, and from when on they are looked at.
        self._calm: set[str] = set()
        self._calm_from_ms = 0
        #: Services of which tasks are on their way to run, with when they are looked at.
        self._early = Ranked()
        self._now_ms = 0

    def wake_at(self) -> int | None:
        """When a delay ends next; at once while there is work left."""
        if self._backlog:
            return self._now_ms
        calm_ms = self._calm_from_ms if self._calm else None
        dues = (self._wakes.lowest_rank(), self._shown_anew.lowest_rank(), self._early.lowest_rank(), calm_ms)
        return min((due for due in dues if due is not None), default=None)

    def settle(self, turn: Turn, *, event: bool = False) -> None:
        """Bring what the turn touched to rest, or a slice of it; after one `event` of several only what is
        small."""
        self._now_ms = turn.now.mono_ms
        due = self._wakes.up_to(self._now_ms) | self._shown_anew.up_to(self._now_ms)
        self._enqueue(turn, due)
        self._calm_down(turn)
        draining.end(turn)
        if turn.settings.consolidation:
            self._scheduler.consolidator.look(turn)
        touched, units = set[str](), min(UNITS_PER_EVENT, UNITS_PER_TURN) if event else UNITS_PER_TURN
        for _ in range(ROUNDS_MAX):
            chosen, units = self._slice(turn, units, whole=event)
            if not chosen and not (turn.state.changed_nodes and turn.state.tasks.waiting_services()):
                break
            touched |= chosen
            for service_id in sorted(chosen & turn.state.services.keys()):
                self._reconcile(turn, turn.state.services[service_id])
            self._scheduler.place(turn)
        else:
            assert units <= 0 or not turn.services, f"services do not come to rest: {sorted(turn.services)}"
        self._slice(turn, 0)
        for service_id in sorted(touched & turn.state.services.keys()):
            self._finish(turn, turn.state.services[service_id])
        networking.settle(turn)
        for node_id in sorted(turn.nodes | turn.bulk_nodes):
            _assign(turn, node_id, bulk=node_id not in turn.nodes)

    def _calm_down(self, turn: Turn) -> None:
        """Who only comes a step further is looked at once in a while: the more there are, the less often."""
        for service_id in sorted(turn.early):
            if service_id not in self._early:
                self._early.put(service_id, self._now_ms + EARLY_MS)
        come = self._early.up_to(self._now_ms)
        for service_id in sorted(come):
            self._early.forget(service_id)
        self._calm |= turn.calm | come
        if self._calm and self._now_ms >= self._calm_from_ms:
            self._enqueue(turn, self._calm)
            pause_ms = min(CALM_MS_MAX, round(len(self._calm) / CALM_LOOKS_PER_MS))
            self._calm, self._calm_from_ms = set(), self._now_ms + pause_ms

    def _enqueue(self, turn: Turn, service_ids: Iterable[str]) -> None:
        """These are to be looked at, but take as much room as before."""
        for service_id in service_ids:
            self._backlog.put(service_id, _size(turn.state, service_id))

    def _slice(self, turn: Turn, units: int, *, whole: bool = False) -> tuple[set[str], int]:
        """What is looked at next, of all that is to be: the smallest first. Returns what is left of the
        units, too, of which one service may take more than there are, unless it shall be done `whole`."""
        self._owing.note(turn.services)
        self._enqueue(turn, turn.services)
        turn.services.clear()
        chosen = set[str]()
        while (smallest := self._backlog.lowest()) is not None:
            size, service_id = smallest
            price = UNITS_PER_LOOK + min(size, surveys.SLOTS_AT_ONCE_MAX)
            if units <= 0 or (whole and price > units):
                break
            units -= price
            self._backlog.forget(service_id)
            self._early.forget(service_id)
            self._calm.discard(service_id)
            chosen.add(service_id)
        return chosen, units

    def _reconcile(self, turn: Turn, service: Service) -> None:
        state = turn.state
        held = bool(dependencies.hindrance(state, service))
        self._note_held(turn, service, held)
        spec, slots = _wanted(state, service, held)
        seen = surveys.survey(state, service, spec, slots.wanted, turn.now)
        wakes = []
        if not held and not service.removed:
            before = service
            service, wake_ms = rolling.advance(turn, service, seen)
            wakes.append(wake_ms)
            if rolling.is_over(before, service):
                self._scheduler.consolidator.rolled_out()
            if service is not before:
                spec, slots = _wanted(state, service, held)
            if service is not before and not seen.complete:
                seen = surveys.survey(state, service, spec, slots.wanted, turn.now)
        past, now_ms = _past(state, service), turn.now.mono_ms
        decision = reconcile.reconcile(
            service,
            spec,
            slots,
            seen.rows,
            past,
            now_ms,
            held=held,
            fits=placing.Places(turn.settings, state, service).fits,
            plain=seen.plain,
            lateness=rolling.lateness(self._ground, service),
        )
        wakes.append(decision.wake_ms)
        self._wakes.forget(service.id)
        if due := [each for each in wakes if each is not None]:
            self._wakes.put(service.id, min(due))
        _carry_out(turn, service, decision)
        # What was done may be all that something else waited for: room for the new ones, at once.
        if decision.create or decision.fill or decision.drop:
            turn.services.add(service.id)
        elif decision.run or decision.stop or decision.remove:
            self._calm.add(service.id)

    def _note_held(self, turn: Turn, service: Service, held: bool) -> None:
        """Remember who waits, and let those who wait for this service look again, once in a turn."""
        if held:
            self._held.add(service.id)
        else:
            self._held.discard(service.id)
        waiting = turn.state.dependents(service.name) & self._held
        if waiting and service.id not in turn.told:
            turn.told.add(service.id)
            turn.services |= waiting

    def _finish(self, turn: Turn, service: Service) -> None:
        """Forget versions that nobody runs, and a removed service once its last task is gone."""
        state = turn.state
        turn.stacks.add(service.stack)
        self._shown_anew.forget(service.id)
        networking.serve(turn, service)
        if (again_ms := exposing.expose(turn, service)) is not None:
            self._shown_anew.put(service.id, again_ms)
        draining.shown(turn, service)
        used = state.used_versions(service.id)
        gone = service.removed and not used
        keep = used if gone else used | rolling.versions_kept(service)
        for version in [each for each in state.versions(service.id) if each not in keep]:
            spec = state.specs[service.id, version]
            turn.drop(ServiceVersion(service_id=service.id, version=version, spec=spec))
        if gone:
            turn.drop(service)
            self._wakes.forget(service.id)
            self._shown_anew.forget(service.id)
            self._held.discard(service.id)
            networking.serve(turn, service)


def _wanted(state: State, service: Service, held: bool) -> tuple[ServiceSpec, Slots]:
    """The spec by which a service is kept up, and the slots that it shall have by it."""
    spec = rolling.spec_in_force(state, service, held=held)
    return spec, NO_SLOTS if service.removed else placing.slots_of(state, spec, service.replicas)


def _past(state: State, service: Service) -> dict[tuple[int, int], reconcile.SlotPast]:
    return {
        key: reconcile.SlotPast(tuple(history.ended_ms), history.not_before_ms)
        for key, history in state.pasts.get(service.id, {}).items()
    }


def _carry_out(turn: Turn, service: Service, decision: reconcile.Decision) -> None:
    for task_id in decision.drop:
        task = turn.state.tasks[task_id]
        turn.drop(task)
        turn.nodes.update({task.node_id} - {""})
    draining.begin(turn, service, (*decision.stop, *decision.remove))
    for task_id in decision.stop:
        _change(turn, msgspec.structs.replace(turn.state.tasks[task_id], desired=Desired.STOP))
    for task_id in decision.remove:
        _change(turn, msgspec.structs.replace(turn.state.tasks[task_id], removing=True))
    # Age decides between an elder and its heir, and whether a task is the rollout's own: it must not go back
    # when the clock does, nor when the newest task is forgotten.
    begun_ms = service.rollout.after_ms if service.rollout else 0
    table = turn.state.tasks.table
    newest_ms = int(table.created_ms[table.of_service(service.id)].max(initial=0))
    created_ms = max(turn.now.wall_ms, newest_ms + 1, begun_ms + 1)
    for task_id in decision.run:
        _change(turn, msgspec.structs.replace(turn.state.tasks[task_id], desired=Desired.RUN))
    for new in decision.create:
        made = Task(id=turn.new_task_id(), service_id=service.id, created_ms=created_ms, **new._asdict())
        turn.put(statuses.inherit(turn, made))
        turn.nodes.update({made.node_id} - {""})
    turn.make(service, decision.fill, created_ms)


def _change(turn: Turn, task: Task) -> None:
    turn.put(task)
    if task.id not in turn.state.leaving:  # its node is told once it was let go of
        turn.nodes.add(task.node_id)


def _assign(turn: Turn, node_id: str, *, bulk: bool) -> None:
    """Let a node be told all that it shall have, if it listens."""
    life = turn.state.lives.get(node_id)
    if life is not None and life.connected:
        life.revision += 1
        turn.command(Assign(node_id=node_id, session_id=life.session_id, bulk=bulk))
