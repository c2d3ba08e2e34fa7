"""What has changed since the last check, told by the parts as it happens, and the log of it.

A checker names the parts that it watches and looks at what is fresh; so a check costs what has changed,
not what there is.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum, auto
from typing import TYPE_CHECKING, NamedTuple

from bayplan.model import TaskStatus
from controller.records import Record, Task
from tests.sim.clock import Clock

if TYPE_CHECKING:
    from tests.sim.directory import Copy
    from tests.sim.engine import Box
    from tests.sim.host import Host

#: A change on a host reaches the controller's view within this time when nothing hinders it.
VIEW_LAG_MS = 1_000


class Part(IntEnum):
    """What changes."""

    #: Containers on hosts.
    BOXES = auto()
    #: What agents keep, and what they say.
    JOURNALS = auto()
    #: What the controller keeps; SERVICES: of services and their versions, or what users were promised.
    RECORDS = auto()
    SERVICES = auto()
    #: What the controller sees of tasks and nodes, and shows in the registry.
    VIEW = auto()
    #: What the registry's directory, or a copy of it, tells.
    LISTINGS = auto()
    #: What was excused so far is not any more: a change should be seen by now; a host counts as calm.
    TIME = auto()
    CALM = auto()


class Sighting(NamedTuple):
    """A task as the controller sees it; None: it is no more."""

    task: Task
    status: TaskStatus | None


class News:
    """Emptied after each check."""

    def __init__(self, clock: Clock) -> None:
        self._told: list[tuple[int, str]] = []
        self.parts: set[Part] = set()
        self.boxes: list[tuple[Host, Box]] = []
        #: Hosts whose journal changed or who reported.
        self.spoke: set[str] = set()
        self.records: list[Record] = []
        self.sightings: list[Sighting] = []
        #: Nodes whose tasks, or the view of them, changed.
        self.nodes: set[str] = set()
        #: Whose directory changed (None: the controller's), or was looked at, and the keys of what did.
        self.listed: list[tuple[Copy | None, Collection[str]]] = []
        self._clock = clock

    @property
    def trace(self) -> list[str]:
        """The log so far."""
        return [f"{at_ms / 1000:9.3f} {line}" for at_ms, line in self._told]

    def tell(self, line: str, *parts: Part) -> None:
        """A line of the log, and what has changed."""
        self._told.append((self._clock.now_ms, line))
        self.parts.update(parts)

    def box(self, host: Host, box: Box) -> None:
        """A container was made, changed or removed."""
        self.parts.add(Part.BOXES)
        self.boxes.append((host, box))
        self.later(VIEW_LAG_MS + 1, Part.TIME)

    def list(self, copy: Copy | None, keys: Collection[str]) -> None:
        """The controller's directory, or a copy of it, has changed, or is due to be looked at."""
        self.parts.add(Part.LISTINGS)
        self.listed.append((copy, keys))

    def later(self, delay_ms: int, part: Part) -> None:
        """Let what is excused now be looked at again."""
        self._clock.after(delay_ms, lambda: self.parts.add(part))

    def all_anew(self) -> None:
        """Everything may have changed."""
        self.parts.update(Part)

    def clear(self) -> None:
        """All of it was looked at."""
        self.parts.clear()
        if self.boxes:
            self.boxes = []
        if self.records:
            self.records = []
        if self.sightings:
            self.sightings = []
        if self.listed:
            self.listed = []
        self.spoke.clear()
        self.nodes.clear()
