"""Settling: applies the deciders to whatever a turn touched, until nothing is left to do.

The order is fixed: reconcile -> schedule -> assign -> registry. Only dirty services and nodes are
looked at.
"""

from __future__ import annotations

import msgspec

from bayplan.model import Desired, ServiceSpec
from controller import instances
from controller.core import dependencies, draining, placing, rolling, statuses, surveys
from controller.core.ground import Ground
from controller.core.scheduling import Scheduler
from controller.core.turn import Turn
from controller.decide import reconcile, registry
from controller.decide.slots import NO_SLOTS, Slots
from controller.events import Assign
from controller.records import Service, ServiceVersion, Task
from controller.state import State

#: Rounds of reconciling and placing in one turn; two are the rule, more are a broken invariant.
ROUNDS_MAX = 10
#: Work of one turn, in tasks that are made or removed: about as long as nobody minds to wait.
UNITS_PER_TURN = 1_000
#: Tasks that are looked at, and nothing is to be done about, for the price of one that is made.
ROWS_PER_UNIT = 50
#: Services in which tasks come a step further are looked at so many a millisecond, and at the latest after so
#: long: at this rate it takes a tenth of the time.
CALM_LOOKS_PER_MS = 1
CALM_MS_MAX = 1_000
#: Few of them are looked at once.
CALM_FEW = 8


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
        self._scheduler = Scheduler(ground)
        self._wakes: dict[str, int] = {}
        self._held: set[str] = set()
        #: Services to be looked at, with their sizes.
        self._backlog: dict[str, int] = {}
        self._calm: set[str] = set()
        self._calm_due_ms: int | None = None
        self._now_ms = 0

    def wake_at(self) -> int | None:
        """When a delay ends next; at once while there is work left."""
        if self._backlog:
            return self._now_ms
        wake_ms = min(self._wakes.values(), default=None)
        dues = [due for due in (wake_ms, self._calm_due_ms) if due is not None]
        return min(dues, default=None)

    def settle(self, turn: Turn) -> None:
        """Bring what the turn touched to rest, or a slice of it."""
        self._now_ms = turn.now.mono_ms
        turn.services.update(each for each, at in self._wakes.items() if at <= self._now_ms)
        self._calm_down(turn)
        draining.end(turn)
        touched, units = set[str](), UNITS_PER_TURN
        for _ in range(ROUNDS_MAX):
            chosen, units = self._slice(turn, units)
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
        for node_id in sorted(turn.nodes):
            _assign(turn, node_id)

    def _calm_down(self, turn: Turn) -> None:
        """Who only comes a step further is looked at once in a while: the more there are, the less often."""
        self._calm |= turn.calm
        if not self._calm:
            return
        if self._calm_due_ms is None:
            window_ms = 0 if len(self._calm) <= CALM_FEW else len(self._calm) // CALM_LOOKS_PER_MS
            self._calm_due_ms = self._now_ms + min(CALM_MS_MAX, window_ms)
        if self._now_ms >= self._calm_due_ms:
            turn.services |= self._calm
            self._calm, self._calm_due_ms = set(), None

    def _slice(self, turn: Turn, units: int) -> tuple[set[str], int]:
        """What is looked at next, of all that is to be: the smallest first. Returns what is left of the
        units, too, of which one service may take more than there are."""
        for service_id in turn.services:
            self._backlog[service_id] = _size(turn.state, service_id)
        turn.services.clear()
        chosen = set[str]()
        for service_id in sorted(self._backlog, key=lambda each: (self._backlog[each], each)):
            if units <= 0:
                break
            units -= 1 + min(self._backlog.pop(service_id), surveys.SLOTS_AT_ONCE_MAX)
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
            if service is not before:
                spec, slots = _wanted(state, service, held)
            if service is not before and not seen.complete:
                seen = surveys.survey(state, service, spec, slots.wanted, turn.now)
        past, now_ms = _past(state, service), turn.now.mono_ms
        fits = placing.Places(turn.settings, state, service).fits
        decision = reconcile.reconcile(
            service, spec, slots, seen.rows, past, now_ms, held=held, fits=fits, plain=seen.plain
        )
        wakes.append(decision.wake_ms)
        self._wakes.pop(service.id, None)
        if due := [each for each in wakes if each is not None]:
            self._wakes[service.id] = min(due)
        _carry_out(turn, service, decision)
        if decision._replace(wake_ms=None) != reconcile.Decision():
            turn.services.add(service.id)  # what was done may be all that something else waited for

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
        _expose(turn, service)
        draining.shown(turn, service)
        used = state.used_versions(service.id)
        gone = service.removed and not used
        keep = used if gone else used | rolling.versions_kept(service)
        for version in [each for each in state.versions(service.id) if each not in keep]:
            spec = state.specs[service.id, version]
            turn.drop(ServiceVersion(service_id=service.id, version=version, spec=spec))
        if gone:
            turn.drop(service)
            self._wakes.pop(service.id, None)
            self._held.discard(service.id)


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


def _assign(turn: Turn, node_id: str) -> None:
    """Let a node be told all that it shall have, if it listens."""
    life = turn.state.lives.get(node_id)
    if life is not None and life.connected:
        life.revision += 1
        turn.command(Assign(node_id=node_id, session_id=life.session_id))


def _expose(turn: Turn, service: Service) -> None:
    """Renew the registry's view; its revision moves only when what can be routed to has changed."""
    state = turn.state
    state.forget_shown(service.id)
    exposure, now = state.exposure(service.id), instances.routable(state, service.id)
    if exposure.routable != now:
        exposure.routable = now
        state.revision = registry.next_revision(state.cluster.epoch, state.revision)
        exposure.revision = state.revision
