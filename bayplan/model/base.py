"""What all other values are made of: the base struct, amounts, ports, time."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import msgspec


class Model(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of every value; unknown fields are ignored when one is decoded."""


class Resources(Model, frozen=True, kw_only=True):
    """Amounts of a machine's goods; 0 is "none" in a reservation and "no limit" in a limit.

    `disk_bytes` and `pids` (processes) are set aside only where they are asked for by name.
    """

    cpu_millis: int = 0
    memory_bytes: int = 0
    disk_bytes: int = 0
    pids: int = 0


class Good(Model, frozen=True, kw_only=True):
    """One countable good of a machine that has a name of its own, such as the GPU with this UUID."""

    kind: str
    name: str


class Protocol(StrEnum):
    TCP = "tcp"
    UDP = "udp"
    SCTP = "sctp"


class PortMode(StrEnum):
    """Where a published port answers: on the nodes of the service's tasks, or on every node."""

    HOST = "host"
    INGRESS = "ingress"


class PortSpec(Model, frozen=True, kw_only=True):
    """A port that a service asks for; `published` 0 lets the engine choose. `name` is for SRV records."""

    target: int
    published: int = 0
    protocol: Protocol = Protocol.TCP
    host_ip: str = ""
    mode: PortMode = PortMode.HOST
    name: str = ""


class BoundPort(Model, frozen=True, kw_only=True):
    """A port as the engine bound it."""

    target: int
    published: int
    protocol: Protocol = Protocol.TCP
    host_ip: str = ""


class Now(NamedTuple):
    """The time that arrives with each event: monotonic for leases and back-off, wall for display."""

    mono_ms: int
    wall_ms: int
