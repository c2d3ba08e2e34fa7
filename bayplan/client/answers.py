"""What calls answer where no single view of the contract holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from bayplan.model import Instance, LogLine
from bayplan.views import Event, NodeView, ServiceView, StackView, TaskView


class StackNow(NamedTuple):
    """One stack at one moment."""

    services: tuple[ServiceView, ...] = ()
    tasks: tuple[TaskView, ...] = ()


class ClusterNow(NamedTuple):
    """The cluster at one moment; the fields are those of GetStatusResponse."""

    cluster_id: str
    controller_version: str
    epoch: int
    uptime_ms: int
    join_address: str
    http_address: str
    nodes: tuple[NodeView, ...]
    stacks: tuple[StackView, ...]
    services: tuple[ServiceView, ...]
    events: tuple[Event, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Copy:
    """A copy of the registry's directory that offers nothing older than `index`; an admin's has no node.
    `silent`: it has not taken over for a while what was sent to it."""

    node: str
    index: int
    silent: bool


@dataclass(frozen=True)
class CopiesNow:
    """The copies of the registry's directory, and its own index."""

    index: int
    copies: tuple[Copy, ...]


class JoinToken(NamedTuple):
    """A new token, where to use it (host:port), and until when (Unix milliseconds)."""

    token: str
    join_address: str
    expires_ms: int


class LogBatch(NamedTuple):
    """Some lines of output, names of tasks that are new (id -> service.slot@node), or a warning."""

    lines: tuple[LogLine, ...]
    names: dict[str, str]
    warning: str


class InstancesNow(NamedTuple):
    """The ready instances of a service at one moment, and the registry's revision of them."""

    revision: int
    instances: tuple[Instance, ...]
