"""What an agent and the controller say to each other, and the link over which they say it.

The messages are those of protos/bayplan/v1/agent.proto, as values. A Link has two implementations:
gRPC (each daemon's session door) and memory (the simulator). Neither core knows which it is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol, TypeVar

from bayplan.lifecycle import TaskState
from bayplan.model import (
    Assignments,
    Health,
    Inventory,
    Model,
    NodeCondition,
    PortCheck,
    PreflightFault,
    TaskStatus,
)


class StatusGroup(Model, frozen=True, kw_only=True):
    """Statuses that say the same but for what stands in columns, little endian: a task's number (8 bytes),
    since when (8), its container (32; none at all: empty), its address (4; likewise). See `bayplan.columns`.
    """

    state: TaskState
    health: Health
    ids: bytes
    since_ms: bytes
    containers: bytes = b""
    addresses: bytes = b""


class Hello(Model, frozen=True, kw_only=True, tag=True):
    """The agent introduces itself with all it has; a task is in `tasks`, or on the wire in `groups`."""

    boot_id: str
    epoch: int
    revision: int
    inventory: Inventory
    tasks: tuple[TaskStatus, ...] = ()
    groups: tuple[StatusGroup, ...] = ()
    condition: NodeCondition = NodeCondition()


class Report(Model, frozen=True, kw_only=True, tag=True):
    """What changed, the newest status of each task; `revision` is what the agent took over durably.

    On the wire, what can be is in columns: `groups` beside `tasks`, `gone_ids` beside `gone`.
    """

    revision: int
    tasks: tuple[TaskStatus, ...] = ()
    gone: tuple[str, ...] = ()
    groups: tuple[StatusGroup, ...] = ()
    gone_ids: bytes = b""


class Heartbeat(Model, frozen=True, kw_only=True, tag=True):
    """The answer to a Pulse. `engine_silent_ms`: how long the engine has not answered (0: it does)."""

    pulse: int = 0
    engine_silent_ms: int = 0


class PreflightResult(Model, frozen=True, kw_only=True, tag=True):
    """The answer to a Preflight; no faults is "yes". `images`: what each name means on the node, a digest."""

    ticket: str
    faults: tuple[PreflightFault, ...] = ()
    images: dict[str, str] = {}


class FilesWanted(Model, frozen=True, kw_only=True, tag=True):
    """The agent lacks the content of files that its tasks mount, by digest."""

    digests: tuple[str, ...]


class Goodbye(Model, frozen=True, kw_only=True, tag=True):
    """The agent ends in order; its containers stay."""

    reason: str = ""


class Welcome(Model, frozen=True, kw_only=True, tag=True):
    """The controller accepts the session. `window_ms`: how long a report waits after the one before it."""

    session_id: str
    epoch: int
    heartbeat_ms: int
    node_name: str = ""
    lease_ms: int = 0
    witness_port: int = 0
    witness_ticket: str = ""
    window_ms: int = 0


class Pulse(Model, frozen=True, kw_only=True, tag=True):
    """The controller lives, and wants an answer. `heard` is the newest pulse whose answer has come."""

    number: int
    heard: int = 0
    window_ms: int = 0


class Preflight(Model, frozen=True, kw_only=True, tag=True):
    """Could the node start something? Images (pulled if missing), free ports, existing paths."""

    ticket: str
    images: tuple[str, ...] = ()
    ports: tuple[PortCheck, ...] = ()
    paths: tuple[str, ...] = ()


class Files(Model, frozen=True, kw_only=True, tag=True):
    """Contents by digest: of what was wanted, those that tasks of this node mount."""

    contents: dict[str, bytes] = {}

    def __repr__(self) -> str:  # a secret must not get into a log by way of a traceback
        sizes = {digest: len(content) for digest, content in self.contents.items()}
        return f"Files(bytes={sizes})"


class LogPull(Model, frozen=True, kw_only=True, tag=True):
    """Asks the agent to push output; `tail` negative is all."""

    request_id: str
    task_ids: tuple[str, ...]
    follow: bool = False
    tail: int = -1
    since_ms: int = 0


class LogStop(Model, frozen=True, kw_only=True, tag=True):
    """No more output of this request is wanted."""

    request_id: str


class Dismissal(Model, frozen=True, kw_only=True, tag=True):
    """The controller ends the session; `final`: do not try again."""

    reason: str
    final: bool = False


AgentSays = Hello | Report | Heartbeat | PreflightResult | FilesWanted | NodeCondition | Goodbye
ControllerSays = Welcome | Pulse | Assignments | Preflight | Files | LogPull | LogStop | Dismissal

SaysT_contra = TypeVar("SaysT_contra", contravariant=True)
HearsT_co = TypeVar("HearsT_co", covariant=True)


class Link(Protocol[SaysT_contra, HearsT_co]):
    """One side of a session. Iterating ends when the other side or the network does."""

    async def send(self, message: SaysT_contra) -> None:
        """Hand over one message. Raises ConnectionError when the session is over."""

    def __aiter__(self) -> AsyncIterator[HearsT_co]:
        """The other side's messages, in order."""

    async def close(self) -> None:
        """End the session; never raises."""
