"""The engine as the agent needs it: a small rim that the real one and one in memory can fill.

Every call but `execute` has a deadline of its own, and fails with an EngineError, never with anything else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

from agent.commands import CreateContainer
from agent.events import Container, Fault
from bayplan.model import Hook, Inventory, LogStream, Overlay


class EngineError(Exception):
    """The engine did not do it; `fault` says why, for people and for the core."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.reason)
        self.fault = fault


class EngineEventSeen(NamedTuple):
    """One raw event of a container of ours. `time_ns` by the engine's clock."""

    action: str
    container_id: str
    task_id: str
    time_ns: int
    exit_code: int | None


class LogQuery(NamedTuple):
    """Which output; `tail` negative is all, `since_ms` 0 is from the beginning."""

    follow: bool
    tail: int
    since_ms: int


class Engine(Protocol):
    """Containers, images and networks of one machine. All methods raise EngineError."""

    async def ping(self) -> None:
        """Succeed if the engine answers."""

    async def inventory(self) -> Inventory:
        """What the machine is and has."""

    def watch(self, since_ns: int) -> AbstractAsyncContextManager[AsyncIterator[EngineEventSeen]]:
        """Events of our containers since then; entered once the stream is open, ends with the engine."""

    async def list_ids(self) -> list[str]:
        """The ids of all containers of ours."""

    async def list_networks(self) -> list[str]:
        """The names of all networks of ours."""

    async def inspect(self, container_id: str) -> Container:
        """One container, now. NO_CONTAINER if it is gone or not ours."""

    async def create(self, command: CreateContainer) -> Container:
        """Make or adopt a container."""

    async def start(self, container_id: str) -> None:
        """Start a container."""

    async def stop(self, container_id: str, grace_ms: int) -> None:
        """Stop a container; one that does not run is stopped already."""

    async def remove(self, container_id: str) -> None:
        """Remove a container; one that is gone is removed already."""

    async def execute(self, container_id: str, hook: Hook) -> tuple[int, bytes]:
        """Run a command in a container to its end: its exit code and what it said first.

        Has no deadline but the caller's.
        """

    async def image_digest(self, image: str) -> str | None:
        """The digest of an image that is here: its repository's, else its own id. None if it is not."""

    async def pull(self, image: str, platform: str = "") -> None:
        """Bring an image here, or its newest version; an empty platform is the node's own."""

    async def keep_overlay(self, overlay: Overlay, mtu: int) -> None:
        """Have the engine's part of a network that spans nodes there, on a bridge named by its segment."""

    async def remove_network(self, network: str) -> None:
        """Remove a network of ours; one that is gone or not ours is removed already."""

    def logs(self, name: str, query: LogQuery) -> AsyncIterator[tuple[LogStream, bytes]]:
        """Chunks of output, each line begun by its time stamp and a space."""
