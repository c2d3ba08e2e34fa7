"""What the controller shows: rows for lists and screens, derived and never stored.

Every struct has a message of the same name and fields in protos/bayplan/v1, as in `model`.
"""

from __future__ import annotations

from enum import StrEnum

from bayplan.model import (
    Availability,
    Desired,
    Inventory,
    Model,
    NodeStatus,
    PortSpec,
    Resources,
    TaskStatus,
)


class ServiceView(Model, frozen=True, kw_only=True):
    """A service with its numbers: wanted, running, ready, ready and of the current version."""

    id: str
    name: str
    stack: str
    mode: str = "replicated"
    desired: int = 0
    running: int = 0
    ready: int = 0
    current: int = 0
    image: str = ""
    ports: tuple[PortSpec, ...] = ()
    version: int = 0
    removed: bool = False
    revision: int = 0
    updated_ms: int = 0


class TaskView(Model, frozen=True, kw_only=True):
    """A task with its node's name and, while it waits, the reasons."""

    id: str
    service: str
    slot: int
    version: int
    image: str
    desired: Desired
    status: TaskStatus
    node: str = ""
    pending_reasons: tuple[str, ...] = ()
    created_ms: int = 0
    place: str = ""
    stale: bool = False
    node_address: str = ""


class NodeView(Model, frozen=True, kw_only=True):
    """A node with what is reserved on it; `silent_ms` is -1 when it was never heard."""

    id: str
    name: str
    status: NodeStatus
    availability: Availability
    address: str = ""
    labels: dict[str, str] = {}
    inventory: Inventory = Inventory()
    reserved: Resources = Resources()
    tasks: int = 0
    silent_ms: int = -1
    joined_ms: int = 0


class StackView(Model, frozen=True, kw_only=True):
    """A stack with the sums over its services."""

    name: str
    services: int = 0
    desired: int = 0
    ready: int = 0


class Event(Model, frozen=True, kw_only=True):
    """Something that happened, for people; `index` grows by one within an epoch."""

    index: int
    time_ms: int
    kind: str
    subject: str
    text: str


class RegistryEntry(Model, frozen=True, kw_only=True):
    """A service in the registry's list."""

    stack: str
    service: str
    ready: int = 0
    total: int = 0
    revision: int = 0


class ServiceAction(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    SCALE = "scale"
    SAME = "same"
    REMOVE = "remove"


class ServiceChange(Model, frozen=True, kw_only=True):
    """What a deploy does to one service (its full name), and the version after it."""

    service: str
    action: ServiceAction
    version: int
