"""What a checker is, and what it sees of the world."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from agent import events as ev
from controller.records import Task
from controller.state import State
from tests.sim.clock import Clock
from tests.sim.control import Control
from tests.sim.engine import Box
from tests.sim.host import Host
from tests.sim.intents import Intents
from tests.sim.news import VIEW_LAG_MS, News, Part

if TYPE_CHECKING:
    from tests.sim.copies import Copies
    from tests.sim.watchers import Watcher

__all__ = ["VIEW_LAG_MS", "Invariant", "Part", "View", "holding", "is_running"]


class View(Protocol):
    """The world, read only."""

    hosts: dict[str, Host]
    hosts_by_id: dict[str, Host]
    control: Control
    clock: Clock
    intents: Intents
    news: News
    copies: Copies
    watchers: list[Watcher]
    leaving: set[str]
    #: By host the address of its node.
    addresses: dict[str, str]
    #: What outsiders ever registered: the service's key, their id, address and port.
    registered: set[tuple[str, str, str, int]]
    #: What `holding` has answered since the last event.
    held: dict[str, list[Task]]

    @property
    def state(self) -> State: ...
    def calm(self, name: str) -> bool: ...
    def able(self, name: str) -> bool: ...


class Invariant(Protocol):
    """Made once a run; `check` runs after each event that changed a part that it `watches`, and gives what
    is wrong, or an empty string."""

    watches: frozenset[Part]

    def check(self, world: View) -> str: ...


def holding(world: View, node_id: str) -> list[Task]:
    """The tasks that take room on a node. After a fault a node may say that an ended task runs again,
    which its agent brought back before it could hear of the heir: only the wanted ones count then."""
    found = world.held.get(node_id)
    if found is None:
        state, host = world.state, world.hosts_by_id.get(node_id)
        calm = host is not None and world.calm(host.name)
        tasks = state.tasks_on(node_id) if state.lives[node_id].ever else ()  # else it is not known yet
        found = [task for task in tasks if (calm or task.wanted) and state.holds_node(task)]
        world.held[node_id] = found
    return found


def is_running(box: Box | None) -> bool:
    """Whether the container's process runs."""
    return box is not None and box.phase is ev.Phase.RUNNING
