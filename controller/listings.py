"""What the directory shows, made out of the state: each service as a listing, and the nodes. Pure."""

from __future__ import annotations

from bayplan.directory import Entry, Listing, Standing, first_number, key_of
from bayplan.model import Health, NodeStatus
from controller import instances
from controller.decide import registry, rollout, tagging
from controller.records import Node, Service
from controller.state import State

_STANDING_OF_NODE = {
    NodeStatus.READY: Standing.READY,
    NodeStatus.SUSPECT: Standing.SUSPECT,
    NodeStatus.UNKNOWN: Standing.SUSPECT,
    NodeStatus.DOWN: Standing.UNHEALTHY,
}


def keys(state: State) -> list[str]:
    """The keys of all listings."""
    living = [each for each in state.services.values() if not each.removed]
    outside = [key_of(stack, name) for stack, services in state.outsiders.items() for name in services]
    return [key_of("", ""), *(key_of(each.stack, each.short_name) for each in living), *outside]


def revision(state: State, stack: str, service: str) -> int:
    """The revision of a listing, without making it; 0 when there is none."""
    if not stack:
        return 1
    record = _service(state, stack, service)
    if record is not None:
        return _revision(state, record.id)
    return _revision(state, key_of(stack, service)) if state.outsiders_of(stack, service) else 0


def listing(state: State, stack: str, service: str) -> Listing | None:
    """What is shown of a service now; None when there is none of this name."""
    if not stack:
        return _nodes(state)
    record = _service(state, stack, service)
    if record is not None:
        return _of_service(state, record)
    entries = outside(state, stack, service)
    return Listing.of(stack, service, revision(state, stack, service), entries) if entries else None


def outside(state: State, stack: str, service: str) -> tuple[Entry, ...]:
    """The entries of those who registered themselves for a service."""
    overrides = state.overrides.get(key_of(stack, service), {})
    return tuple(
        [
            registry.outside(each, state.outputs.get(each.key, ""), overrides.get(entry_id))
            for entry_id, each in state.outsiders_of(stack, service).items()
        ]
    )


def is_whole(state: State) -> bool:
    """Whether all nodes have come back since the controller started, or are given up."""
    return all(life.status is not NodeStatus.UNKNOWN for life in state.lives.values())


def _service(state: State, stack: str, service: str) -> Service | None:
    record = state.service_named(f"{stack}_{service}")
    return record if record is not None and record.stack == stack else None


def _revision(state: State, key: str) -> int:
    """That of the service as it is exposed; of one that was not looked at yet since the controller started
    the least that it can come to have."""
    kept = state.exposures.get(key)
    return max(kept.revision if kept else 0, first_number(state.cluster.epoch))


def _of_service(state: State, service: Service) -> Listing:
    entries = instances.entries(state, service.id)
    has_canaries = bool(rollout.canaries(service, state.spec_of(service), (1,)))
    return Listing.of(
        service.stack,
        service.short_name,
        _revision(state, service.id),
        entries,
        tagging.tags(state.spec_of(service)),
        protected=state.exposure(service.id).protection.on,
        canary=service.version if has_canaries else 0,
        facade=instances.facade(state, service),
    )


def _nodes(state: State) -> Listing:
    return Listing.of("", "", 1, [_node(state, node) for node in state.nodes.values()])


def _node(state: State, node: Node) -> Entry:
    status = state.lives[node.id].status
    return Entry(
        id=node.id,
        standing=_STANDING_OF_NODE[status],
        node=node.name,
        node_id=node.id,
        zone=node.labels.get(registry.ZONE_LABEL, ""),
        address=node.address,
        health=Health.UNHEALTHY if status is NodeStatus.DOWN else Health.HEALTHY,
        meta=node.labels,
        reason="" if status is NodeStatus.READY else f"it is {status.value}",
    )
