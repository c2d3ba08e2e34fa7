"""The nodes as the scheduler wants to see them, out of the state, and what it is asked to place."""

from __future__ import annotations

import collections
from collections.abc import Sequence

from bayplan.model import Desired, NodeStatus, Resources, ServiceSpec
from controller.core import loads
from controller.core.turn import Settings
from controller.decide import liveness, schedule
from controller.decide import slots as slotting
from controller.decide.demand import DIMENSIONS as _DIMENSIONS
from controller.decide.filters import Candidate, PortKey, port_keys
from controller.decide.reservations import reserve
from controller.records import GLOBAL_MODES, Node, Service, Task
from controller.state import State


def need(
    settings: Settings,
    task_id: str,
    key: str,
    spec: ServiceSpec,
    slot: int,
    pinned: str = "",
    wave: int = 0,
    avoided: frozenset[str] = frozenset(),
) -> schedule.Need:
    """What the scheduler is asked about one task; `key` is its service's id (its name, if it is new)."""
    reserved = reserve(spec, settings.default_reservation).resources
    return schedule.Need(task_id, key, spec, reserved, pinned, slot, wave, avoided)


def slots(state: State, spec: ServiceSpec) -> dict[int, str]:
    """The slots that a service of this spec would fill now, each with the node it is bound to (empty:
    any). Nodes that are not ready are left out: a global service comes to them when they are."""
    found = slots_of(state, spec, spec.replicas).wanted
    return {
        slot: node_id
        for slot, node_id in found.items()
        if not node_id or state.lives[node_id].status is NodeStatus.READY
    }


def slots_of(state: State, spec: ServiceSpec, replicas: int) -> slotting.Slots:
    """The slots that a service shall have, and those that are left as they are."""
    if spec.mode not in GLOBAL_MODES:
        return slotting.numbered(replicas)
    nodes = [(node, state.lives[node_id].status) for node_id, node in sorted(state.nodes.items())]
    return slotting.slots(spec, replicas, nodes)


def bound_to(state: State, spec: ServiceSpec, slot: int) -> str:
    """The id of the node to which a slot is bound; empty when it may be anywhere, as one that is no node's:
    it came with another mode, whose canaries are not promoted yet."""
    if spec.mode not in GLOBAL_MODES:
        return ""
    return next((node.id for node in state.nodes.values() if node.ordinal == slot), "")


class Places:
    """Which tasks of a service could be succeeded in their place, on their node, all of them at once: each
    yes is a promise that counts for the next."""

    def __init__(self, settings: Settings, state: State, service: Service) -> None:
        self._settings, self._state, self._service = settings, state, service
        self._promised: list[Task] = []

    def fits(self, elder: Task) -> bool:
        """Whether there is room for an heir in the place of this task."""
        state, service = self._state, self._service
        if elder.node_id not in state.nodes:
            return False
        heir = Task(
            id=f"heir of {elder.id}",
            service_id=service.id,
            slot=elder.slot,
            version=service.version,
            node_id=elder.node_id,
            desired=Desired.READY,
        )
        there = _candidate(state, elder.node_id, frozenset({elder.id}), self._promised)
        asked = need(self._settings, heir.id, service.id, _spec(state, heir), heir.slot, heir.node_id)
        placed = bool(schedule.place([asked], [there]).placed)
        self._promised += [heir] if placed else []
        return placed


def candidates(state: State, without: frozenset[str] = frozenset()) -> list[Candidate]:
    """Every node with what is free on it, as if the tasks `without` were gone."""
    if not without:
        return candidates_of(state, sorted(state.nodes))
    return [_candidate(state, node_id, without) for node_id in sorted(state.nodes)]


def candidates_of(state: State, node_ids: Sequence[str]) -> list[Candidate]:
    """These nodes with what is free on them, which is counted for all of them together."""
    known = loads.counted(state, node_ids)
    return [_candidate(state, node_id, load=known.get(node_id)) for node_id in node_ids]


def candidate(state: State, node_id: str, without: frozenset[str] = frozenset()) -> Candidate:
    """A node with what is free on it, as if the tasks `without` were gone."""
    return _candidate(state, node_id, without)


def _candidate(
    state: State,
    node_id: str,
    without: frozenset[str] = frozenset(),
    promised: Sequence[Task] = (),
    load: loads.Load | None = None,
) -> Candidate:
    """A node without some of its tasks, and with some that are about to be made there; `load`: what stands
    on it, if that is known."""
    node, life = state.nodes[node_id], state.lives[node_id]
    if load is None:
        holding = [t for t in state.tasks_on(node_id) if t.id not in without and state.holds_node(t)]
        holding += [task for task in promised if task.node_id == node_id]
        load = _load(state, node, holding)
    capacity = node.inventory.capacity
    return Candidate(
        node=node,
        status=life.status,
        engine_silent=life.engine_silent_ms > liveness.ENGINE_SILENT_MS_MAX,
        shaky=life.shaky,
        free=Resources(
            cpu_millis=capacity.cpu_millis - load.used.cpu_millis,
            memory_bytes=capacity.memory_bytes - load.used.memory_bytes,
            disk_bytes=capacity.disk_bytes - load.used.disk_bytes,
            pids=capacity.pids - load.used.pids,
        ),
        ports=load.ports,
        counts=load.counts,
        generic=load.generic,
    )


def _load(state: State, node: Node, holding: list[Task]) -> loads.Load:
    prepared, counts = heirs(holding), collections.Counter[str]()
    counts.update(task.service_id for task in holding if task.id not in prepared)
    ports, generic = _ports(state, holding), _free_generic(state, node, holding)
    return loads.Load(reserved(state, holding), ports, dict(counts), generic)


def reserved(state: State, tasks: list[Task]) -> Resources:
    """What tasks of a node have set aside; one that takes another's place only what goes beyond that."""
    elders, used = heirs(tasks), [0] * len(_DIMENSIONS)
    for task in tasks:
        own, elder = _reserved(state, task), elders.get(task.id)
        before = Resources() if elder is None else _reserved(state, elder)
        for index, each in enumerate(_DIMENSIONS):
            used[index] += max(0, getattr(own, each) - getattr(before, each))
    return Resources(**dict(zip(_DIMENSIONS, used, strict=True)))


def _reserved(state: State, task: Task) -> Resources:
    return reserve(_spec(state, task), state.default_reservation).resources


def _spec(state: State, task: Task) -> ServiceSpec:
    return state.specs[task.service_id, task.version]


def heirs(tasks: Sequence[Task]) -> dict[str, Task]:
    """Of the tasks of a node those that only wait for another one's place, by id, with that one."""
    there = {(task.service_id, task.slot): task for task in tasks if task.desired is not Desired.READY}
    waiting = [task for task in tasks if task.desired is Desired.READY]
    return {
        task.id: there[task.service_id, task.slot]
        for task in waiting
        if (task.service_id, task.slot) in there
    }


def _free_generic(state: State, node: Node, tasks: list[Task]) -> dict[str, int]:
    free, elders = dict(node.inventory.generic), heirs(tasks)
    for task in tasks if free else ():
        before = _spec(state, elders[task.id]).generic if task.id in elders else {}
        for kind, count in _spec(state, task).generic.items():
            free[kind] = free.get(kind, 0) - max(0, count - before.get(kind, 0))
    return free


def ports_on(state: State, node_id: str) -> frozenset[PortKey]:
    """The fixed ports that our tasks hold on a node."""
    return _ports(state, [task for task in state.tasks_on(node_id) if state.holds_node(task)])


def _ports(state: State, tasks: list[Task]) -> frozenset[PortKey]:
    return frozenset(key for task in tasks for key in port_keys(_spec(state, task).container.ports))
