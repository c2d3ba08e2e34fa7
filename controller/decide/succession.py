"""Whether a successor is started before the task that it replaces stops, and why.

Start-first loses no capacity and leaves what serves alone until the new task has proved itself; it needs two
tasks of a slot that cannot get in each other's way. Where that is not sure, the old one stops first.
Knows the spec only: whether there is room for both is seen when the successor is placed. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from bayplan.model import Mount, MountKind, PortMode, ServiceSpec, UpdateOrder, UpdatePolicy
from controller.records import GLOBAL_MODES, JOB_MODES

#: Why a successor starts first where nobody has said so.
UNHINDERED = "two tasks of a slot may run side by side"
AS_ASKED = "as it was asked for"


class Order(NamedTuple):
    """The order that is obeyed, never AUTO, and why that one."""

    order: UpdateOrder
    reason: str


def resolve(policy: UpdatePolicy, spec: ServiceSpec) -> Order:
    """The order of a service under a policy. A job and a fenced service keep one task to a slot whatever
    was asked for; else the user's word counts, and without one what stands against two tasks at once."""
    objection = next(_always(spec), "")
    if objection or policy.order is UpdateOrder.STOP_FIRST:
        return Order(UpdateOrder.STOP_FIRST, objection or AS_ASKED)
    if policy.order is UpdateOrder.START_FIRST:
        return Order(UpdateOrder.START_FIRST, AS_ASKED)
    objection = next(_by_default(spec), "")
    if objection:
        return Order(UpdateOrder.STOP_FIRST, objection)
    return Order(UpdateOrder.START_FIRST, UNHINDERED)


def apart(spec: ServiceSpec) -> bool:
    """Whether two tasks of a slot may run at once if they are on different nodes: while one moves."""
    fixed = any(
        each.ipv4_address or each.ipv6_address or each.mac_address for each in spec.container.networks
    )
    shares = any(_shared(mount) for mount in spec.container.mounts)
    return not (fixed or shares or any(_always(spec)))


def surge(spec: ServiceSpec) -> int:
    """How many new tasks must find room beside old ones at once because the user said so: canaries, and
    those of a start-first that was asked for by name. One that is bound to its node always counts."""
    if next(_always(spec), ""):
        return 0
    policy, slots = spec.update, max(1, spec.replicas)
    at_once = 0
    if policy.order is UpdateOrder.START_FIRST:
        at_once = slots if spec.mode in GLOBAL_MODES else policy.parallelism or slots
    return max(policy.canaries, at_once)


def _always(spec: ServiceSpec) -> Iterator[str]:
    if spec.mode in JOB_MODES:
        yield "it is a job"
    if spec.fence:
        yield "it is fenced: a slot never has two tasks"


def _by_default(spec: ServiceSpec) -> Iterator[str]:
    """What a user would have to overrule by name.

    A fixed port is taken on its own node only, and a successor could go to another; but then the service
    answers elsewhere than before, and with as many tasks as nodes there is no other.
    """
    container = spec.container
    if spec.mode in GLOBAL_MODES:
        yield "it has one task on each node"
    yield from (text for mount in container.mounts if (text := _shared(mount)))
    yield from (
        f"it publishes port {port.published} of its node"
        for port in container.ports
        if port.published and port.mode is PortMode.HOST
    )
    if container.network_mode == "host":
        yield "it uses the ports of its node"
    for attachment in container.networks:
        fixed = attachment.ipv4_address or attachment.ipv6_address or attachment.mac_address
        if fixed:
            yield f"its address {fixed} is fixed"
    yield from (f"it uses {device.source} of its node" for device in container.devices)
    if spec.max_replicas_per_node:
        yield f"a node may have {spec.max_replicas_per_node} of its tasks"


def _shared(mount: Mount) -> str:
    """What both tasks would write to; an anonymous volume and a tmpfs are each task's own."""
    if mount.read_only or not mount.source:
        return ""
    if mount.kind is MountKind.VOLUME:
        return f"it writes to volume {mount.source}"
    return f"it writes to {mount.source} of its node" if mount.kind is MountKind.BIND else ""
