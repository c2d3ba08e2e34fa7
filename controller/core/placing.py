"""The nodes as the scheduler wants to see them, out of the state."""

from __future__ import annotations

from bayplan.model import Resources
from controller.decide.filters import Candidate, PortKey, port_keys
from controller.records import Task
from controller.state import State


def candidates(state: State, without: frozenset[str] = frozenset()) -> list[Candidate]:
    """Every node with what is free on it, as if the tasks `without` were gone."""
    return [_candidate(state, node_id, without) for node_id in sorted(state.nodes)]


def _candidate(state: State, node_id: str, without: frozenset[str]) -> Candidate:
    node = state.nodes[node_id]
    holding = [task for task in state.tasks_on(node_id) if task.id not in without and state.holds_node(task)]
    used = reserved(state, holding)
    capacity = node.inventory.capacity
    counts: dict[str, int] = {}
    for task in holding:
        counts[task.service_id] = counts.get(task.service_id, 0) + 1
    return Candidate(
        node=node,
        status=state.lives[node_id].status,
        free=Resources(
            cpu_millis=capacity.cpu_millis - used.cpu_millis,
            memory_bytes=capacity.memory_bytes - used.memory_bytes,
        ),
        ports=_ports(state, holding),
        counts=counts,
    )


def reserved(state: State, tasks: list[Task]) -> Resources:
    """What tasks have set aside."""
    specs = [state.specs[task.service_id, task.version].reservations for task in tasks]
    return Resources(
        cpu_millis=sum(each.cpu_millis for each in specs),
        memory_bytes=sum(each.memory_bytes for each in specs),
    )


def ports_by_node(state: State) -> dict[str, frozenset[PortKey]]:
    """The fixed ports that our tasks hold, by node id."""
    return {
        node_id: _ports(state, [task for task in state.tasks_on(node_id) if state.holds_node(task)])
        for node_id in state.nodes
    }


def _ports(state: State, tasks: list[Task]) -> frozenset[PortKey]:
    return frozenset(
        key for task in tasks for key in port_keys(state.specs[task.service_id, task.version].container.ports)
    )
