"""The registry: a view of task state, health, drain and node lease. Nothing here is stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bayplan.lifecycle import ALIVE, TaskState
from bayplan.model import BoundPort, Health, Instance, NodeStatus, ServiceSpec, TaskStatus
from controller.records import Node, Task

#: Changes of all services' instances counted before the next epoch's numbers begin.
REVISIONS_PER_EPOCH = 1_000_000_000


class Seen(NamedTuple):
    """A task, what its agent says, the spec it runs, its node, and whether it only serves on until it
    is let go of."""

    task: Task
    status: TaskStatus
    spec: ServiceSpec
    node: Node
    node_status: NodeStatus
    leaving: bool = False


def instances(rows: Sequence[Seen]) -> tuple[Instance, ...]:
    """The instances of one service: those on suspect nodes last, else by slot."""
    shown = [row for row in rows if row.status.state in ALIVE]
    shown.sort(key=lambda row: (row.node_status is not NodeStatus.READY, row.task.slot, row.task.id))
    return tuple(_instance(row) for row in shown)


def ready(all_instances: tuple[Instance, ...]) -> tuple[Instance, ...]:
    """Those that can be used now."""
    return tuple(instance for instance in all_instances if instance.ready)


def routable(all_instances: tuple[Instance, ...]) -> tuple[tuple[str, str, int], ...]:
    """What a client could connect to; the revision moves when this does."""
    return tuple(sorted((each.id, each.address, each.port) for each in ready(all_instances)))


def next_revision(epoch: int, revision: int) -> int:
    """The revision after the newest that was given: by one, and beyond every one of an earlier epoch."""
    return max(revision, (epoch - 1) * REVISIONS_PER_EPOCH) + 1


def _instance(row: Seen) -> Instance:
    reason = _reason(row)
    address, port = _endpoint(row)
    return Instance(
        id=row.task.id,
        address=address,
        port=port,
        node=row.node.name,
        health=row.status.health,
        ready=not reason,
        slot=row.task.slot,
        version=row.task.version,
        ports=row.status.ports,
        reason=reason,
    )


def _reason(row: Seen) -> str:
    """Why the instance must not be used; empty when it can be."""
    if row.node_status in (NodeStatus.DOWN, NodeStatus.UNKNOWN):
        return f"its node is {row.node_status.value}"
    if row.leaving:
        return "it is draining"
    if not row.task.wanted or row.status.state is TaskState.STOPPING:
        return "it is stopping"
    if row.status.health is Health.UNHEALTHY:
        return "its health check fails"
    # One that was started again in place stays "running" and has to pass its check anew.
    if row.status.state is not TaskState.RUNNING or row.status.health is Health.STARTING:
        return "its health check has not passed yet"
    return ""


def _endpoint(row: Seen) -> tuple[str, int]:
    """Where to connect: the first published port on the node, else the container's own address."""
    bound = _first_bound(row)
    if bound is not None:
        usable = bound.host_ip if bound.host_ip not in ("", "0.0.0.0", "::") else row.node.address
        return usable, bound.published
    container = row.spec.container
    declared = (*container.expose, *container.ports)
    return row.status.address or row.node.address, declared[0].target if declared else 0


def _first_bound(row: Seen) -> BoundPort | None:
    """The bound port that stands first in the spec."""
    for wanted in row.spec.container.ports:
        for bound in row.status.ports:
            if (bound.target, bound.protocol) == (wanted.target, wanted.protocol):
                return bound
    return None
