"""The registry: a view of task state, health, drain and node lease. Nothing here is stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from bayplan.directory import Entry, Facade, Port, Published, Standing, first_number
from bayplan.lifecycle import ALIVE, TaskState
from bayplan.model import (
    BoundPort,
    ContainerSpec,
    Health,
    Instance,
    NodeStatus,
    PortMode,
    Protocol,
    ServiceSpec,
    TaskStatus,
)
from controller.decide import tagging
from controller.decide.fleet import ZONE
from controller.records import Node, Outsider, Override, Task

#: No revision is beyond it: the largest number of the wire.
REVISION_MAX = 2**64 - 1
#: The label of nodes that names their zone.
ZONE_LABEL = ZONE.removeprefix("node.labels.")
#: Why an instance is offered after the others.
SUSPECT_REASON = "its node has not been heard for a while"
DRAINED_REASON = "an operator drains it"
REMEMBERED_REASON = "its node has not come back yet since the controller started"

_HEALTH_OF_STANDING = {
    Standing.READY: Health.HEALTHY,
    Standing.SUSPECT: Health.HEALTHY,
    Standing.STARTING: Health.STARTING,
    Standing.UNHEALTHY: Health.UNHEALTHY,
    Standing.DRAINING: Health.HEALTHY,
}


class Seen(NamedTuple):
    """A task, what its agent says, the spec it runs, its node, whether it only serves on until it is let go
    of, an operator's word about it, and whether it is held back because it flaps."""

    task: Task
    status: TaskStatus
    spec: ServiceSpec
    node: Node
    node_status: NodeStatus
    leaving: bool = False
    override: Override | None = None
    damped: bool = False


def entries(rows: Sequence[Seen]) -> tuple[Entry, ...]:
    """The entries of one service: those that are given first, those on suspect nodes after them."""
    return in_order(_entry(row) for row in rows if row.status.state in ALIVE)


def in_order(all_entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Those that are given first, those on suspect nodes after them."""
    return tuple(sorted(all_entries, key=lambda each: each.sort_key))


def instances(rows: Sequence[Seen]) -> tuple[Instance, ...]:
    """The same, as `Lookup` shows them."""
    return tuple([instance(each) for each in entries(rows)])


def ready(all_instances: tuple[Instance, ...]) -> tuple[Instance, ...]:
    """Those that can be used now."""
    return tuple([instance for instance in all_instances if instance.ready])


def routable(all_entries: tuple[Entry, ...]) -> tuple[tuple[str, str, int, int], ...]:
    """What a client could connect to; the revision moves when this does."""
    given = [each for each in all_entries if each.given]
    return tuple(sorted((each.id, each.address, each.port, each.weight) for each in given))


def next_revision(epoch: int, revision: int) -> int:
    """The revision after the newest that was given: by one, and beyond every one of an earlier epoch."""
    return max(revision, first_number(epoch) - 1) + 1


def instance(entry: Entry) -> Instance:
    """An entry as `Lookup` shows it. Who is given, be it as one of the last, needs no reason."""
    return Instance(
        id=entry.id,
        address=entry.address,
        port=entry.port,
        node=entry.node,
        health=entry.health,
        ready=entry.given,
        slot=entry.slot,
        version=entry.version,
        ports=tuple(
            [
                BoundPort(
                    target=each.target, published=each.published, protocol=each.protocol, host_ip=each.host_ip
                )
                for each in entry.ports
                if each.published
            ]
        ),
        reason="" if entry.given else entry.reason or "its weight is 0",
        weight=entry.weight,
        tags=entry.tags,
    )


def outside(outsider: Outsider, output: str, override: Override | None) -> Entry:
    """The entry of somebody who registered, and whose own check said something last."""
    mine = outsider.registration
    standing, reason = mine.standing, mine.reason
    if override is not None and override.drain and standing.given:
        standing, reason = Standing.DRAINING, DRAINED_REASON
    return Entry(
        id=mine.id,
        standing=standing,
        node=mine.node,
        address=mine.address,
        port=mine.port,
        target=mine.port,
        ports=mine.ports,
        health=_HEALTH_OF_STANDING[mine.standing],
        weight=_weight(override, mine.weight),
        tags=mine.tags,
        meta=mine.meta,
        reason=reason,
        output=output,
    )


def _weight(override: Override | None, usual: int) -> int:
    return usual if override is None or override.weight is None else override.weight


def remembered(entry: Entry) -> Entry:
    """An entry as it was last known, of a task of which nothing was heard since the controller started."""
    standing = Standing.SUSPECT if entry.standing.given else entry.standing
    return msgspec.structs.replace(entry, standing=standing, reason=entry.reason or REMEMBERED_REASON)


def _entry(row: Seen) -> Entry:
    standing, reason = _standing(row)
    if row.override is not None and row.override.drain and standing.given:
        standing, reason = Standing.DRAINING, DRAINED_REASON
    address, port = _endpoint(row)
    container = row.spec.container
    declared = (*container.expose, *container.ports)
    return Entry(
        id=row.task.id,
        standing=standing,
        slot=row.task.slot,
        node=row.node.name,
        node_id=row.node.id,
        zone=row.node.labels.get(ZONE_LABEL, ""),
        address=address,
        port=port,
        networks=_networks(container, row.status),
        target=declared[0].target if declared else 0,
        ports=_ports(container, row.status.ports),
        health=row.status.health,
        weight=_weight(row.override, tagging.weight(row.spec)),
        version=row.task.version,
        tags=tagging.tags(row.spec),
        reason=reason,
        output=row.status.probe_output,
    )


def _standing(row: Seen) -> tuple[Standing, str]:
    """Whether an instance is given to those who ask, and why not; of one that is to be used, nothing."""
    if row.node_status in (NodeStatus.DOWN, NodeStatus.UNKNOWN):
        return Standing.UNHEALTHY, f"its node is {row.node_status.value}"
    if row.leaving:
        return Standing.DRAINING, "it is draining"
    if not row.task.wanted or row.status.state is TaskState.STOPPING:
        return Standing.DRAINING, "it is stopping"
    if row.status.health is Health.UNHEALTHY:
        return Standing.UNHEALTHY, "its health check fails"
    # One that was started again in place stays "running" and has to pass its check anew.
    if row.status.state is not TaskState.RUNNING or row.status.health is Health.STARTING:
        return Standing.STARTING, "its health check has not passed yet"
    if row.damped:
        return Standing.STARTING, "it comes and goes: it has to be steady for a while"
    if row.node_status is NodeStatus.SUSPECT:
        return Standing.SUSPECT, SUSPECT_REASON
    return Standing.READY, ""


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
    """The bound port that stands first in the spec, as it is bound for addresses such as the node's."""
    foreign = "" if ":" in row.node.address else "::"
    for wanted in row.spec.container.ports:
        key = (wanted.target, wanted.protocol)
        bound = [each for each in row.status.ports if (each.target, each.protocol) == key]
        if bound:
            return min(bound, key=lambda each: each.host_ip == foreign)
    return None


def _networks(container: ContainerSpec, status: TaskStatus) -> dict[str, str]:
    """The container's own address by network: that with which it was made, which is the one that is joined
    first, and the others that span nodes."""
    if container.network_mode or not container.networks or not status.address:
        return {}
    first = max(container.networks, key=lambda each: each.priority)
    return {first.network: status.address} | status.addresses


def facade(spec: ServiceSpec, networks: Mapping[str, str]) -> Facade:
    """What a service looks like as a whole; `networks` are those that span nodes and that it is in, each with
    its virtual address there (empty: none)."""
    attached = {each.network: each.aliases for each in spec.container.networks}
    return Facade(
        names={name: tuple(dict.fromkeys((spec.name, *attached[name]))) for name in networks},
        vips={name: address for name, address in networks.items() if address},
        published=tuple(
            [
                Published(
                    target=each.target,
                    published=each.published,
                    protocol=each.protocol,
                    host_ip=each.host_ip,
                )
                for each in spec.container.ports
                if each.mode is PortMode.INGRESS and each.published
            ]
        ),
        local_first=spec.local_first,
    )


def _ports(container: ContainerSpec, bound: tuple[BoundPort, ...]) -> tuple[Port, ...]:
    """All ports that are bound, then those that are only declared, each with the name that it was given."""
    names = _names(container)
    found = [
        Port(
            target=each.target,
            published=each.published,
            protocol=each.protocol,
            host_ip=each.host_ip,
            name=names.get((each.target, each.protocol, each.published))
            or names.get((each.target, each.protocol, 0), ""),
        )
        for each in bound
    ]
    known = {(each.target, each.protocol) for each in bound}
    for wanted in (*container.ports, *container.expose):
        key = wanted.target, wanted.protocol
        if key not in known:
            known.add(key)
            found.append(Port(target=wanted.target, protocol=wanted.protocol, name=names.get((*key, 0), "")))
    return tuple(found)


def _names(container: ContainerSpec) -> dict[tuple[int, Protocol, int], str]:
    """Names of ports by target, protocol and published port; under 0 the first that the target has."""
    found: dict[tuple[int, Protocol, int], str] = {}
    for each in (*container.ports, *container.expose):
        if each.name:
            found.setdefault((each.target, each.protocol, each.published), each.name)
            found.setdefault((each.target, each.protocol, 0), each.name)
    return found
