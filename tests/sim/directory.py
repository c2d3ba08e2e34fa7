"""The registry's directory on virtual time: the controller's, and each node's copy, over the session's link.

It behaves as `controller.doors.directory`, `controller.doors.follow` and `agent.doors.following` do: what can
be routed to is told within a moment, the rest every second, and a copy asks again once it has taken over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from agent.directory import DirectoryCopy, Saved
from bayplan.directory import Directory
from bayplan.directory import News as Chunk
from bayplan.dns.zone import Zone
from controller.doors.directory import REST_S, WINDOW_MS
from controller.doors.followers import Follower, Followers
from controller.upkeep import Upkeep
from tests.sim.clock import Clock
from tests.sim.daemon import Daemon
from tests.sim.link import Connection
from tests.sim.news import News

if TYPE_CHECKING:
    from controller.state import State
    from tests.sim.control import Control

#: A copy that has changed is on the disk after this time.
SAVE_MS = 1_000


class Ask(NamedTuple):
    """A copy wants what came after an index, and offers nothing older than another."""

    after: int
    acknowledged: int


class Told(NamedTuple):
    """News for a copy, whose they are, and whether the directory is the whole truth."""

    keeper: Keeper
    chunk: Chunk
    whole: bool


class Asker(Protocol):
    """The controller's end of a session that asks for the directory."""

    node_id: str
    connection: Connection | None


class Keeper:
    """The directory of one run of the controller, made when a copy first asks for it."""

    def __init__(self, clock: Clock, control: Control, daemon: Daemon, news: News) -> None:
        self.upkeep = Upkeep(control.state.cluster.epoch)
        self.directory = self.upkeep.directory
        self.followers = Followers(daemon.post, self.upkeep.revision_at)
        self.following: dict[Asker, Follower] = {}
        self.opened = False
        self._waiting: dict[Asker, int] = {}
        self._chunks: dict[int, Chunk] = {}
        self._planned = self._late = False
        self._clock, self._control, self._daemon, self._news = clock, control, daemon, news

    # --- copies ---

    def asked(self, asker: Asker, ask: Ask) -> None:
        """A copy asks, and says what it has let go of."""
        follower = self.following.get(asker)
        if follower is None:
            follower = self.following[asker] = self.followers.came(asker.node_id)
        self.followers.acknowledged(follower, ask.acknowledged)
        self._waiting[asker] = ask.after
        if not self.opened:
            self.turned(self._control.state)
        elif ask.after != self.directory.index:
            self._serve()

    def left(self, asker: Asker) -> None:
        """The session of a copy is over."""
        self._waiting.pop(asker, None)
        follower = self.following.pop(asker, None)
        if follower is not None:
            self.followers.left(follower)

    def _serve(self) -> None:
        now_s = self._clock.now_ms / 1000
        for asker, index in list(self._waiting.items()):
            if index == self.directory.index or asker.connection is None:
                continue
            del self._waiting[asker]
            chunk = self._chunks.get(index)
            if chunk is None or chunk.index != self.directory.index:
                chunk = self._chunks[index] = self.directory.since(index)
            self.followers.sent(self.following[asker], now_s)
            asker.connection.send(1, Told(self, chunk, self.upkeep.whole))

    # --- keeping it up ---

    def turned(self, state: State) -> None:
        """The controller has turned, and all is durable."""
        if not self._control.settled:
            return
        if not self.opened:
            if self._waiting:
                self._open(state)
        elif self._late:
            self._take_routes()
        elif not self._planned and state.touched and self.upkeep.moved(state):
            self._planned = True
            self._clock.after(WINDOW_MS, self._take_routes)

    def _open(self, state: State) -> None:
        self.opened = True
        self._take(state, self.upkeep.begin(state))
        self.upkeep.note(state)
        self._serve()
        self._clock.after(int(REST_S * 1000), self._look)

    def _take_routes(self) -> None:
        self._planned = False
        self._late = not self._control.settled
        if self._late or not self._daemon.alive:
            return
        state = self._control.state
        self._take(state, self.upkeep.moved(state))
        if self.upkeep.note(state):
            self.followers.tell()
        self._serve()

    def _look(self) -> None:
        """Every second: everything else, whether all nodes are back, and who does not answer."""
        if not self._daemon.alive:
            return
        if self._control.settled and not self._daemon.paused:
            state = self._control.state
            if state.touched:
                self._take(state, list(state.touched))
            self.upkeep.complete(state)
            self._serve()
            self._control.directory_kept = self.directory.since(0)
            self._news.list(None, ())
        self.followers.look(self._clock.now_ms / 1000)
        self._clock.after(int(REST_S * 1000), self._look)

    def _take(self, state: State, keys: list[str]) -> None:
        changed = self.upkeep.put(state, keys)
        if changed:
            self._news.list(None, changed)


class Copy:
    """A node's copy for as long as its agent runs. `host` is the node's name and id, `epoch` gives that which
    the agent obeys."""

    def __init__(
        self, clock: Clock, host: tuple[str, str], daemon: Daemon, news: News, epoch: Callable[[], int]
    ) -> None:
        self.name = host[0]
        self.source = DirectoryCopy(*host, daemon.now, epoch)
        self.zone = Zone(self.source)
        #: Whose directory it has; None: of one of before.
        self.keeper: Keeper | None = None
        self.saved: Saved | None = None
        self._heard_ms = 0
        self._saves = False
        self._clock, self._daemon, self._news = clock, daemon, news

    @property
    def directory(self) -> Directory:
        """What this node answers from."""
        return self.source.directory

    def restore(self, before: Copy | None) -> None:
        """Begin with what the last run left on the disk."""
        if before is not None and before.saved is not None:
            self.saved, self._heard_ms = before.saved, before._heard_ms
            self.source.restore(before.saved, before._heard_ms)
            self._news.list(self, [each.key for each in self.directory])

    def follow(self, connection: Connection) -> None:
        """There is a session: ask over it for what is new."""
        index = self.directory.index
        connection.send(0, Ask(index, index))

    def told(self, told: Told, connection: Connection) -> None:
        """News came: take them over, and ask for more; no older controller has anything to say."""
        index = self.directory.index
        try:
            self.source.take(told.chunk, told.whole)
        except ValueError:
            return
        self.keeper = told.keeper
        keys = self.directory.changed_since(index)
        self._news.list(self, [each.key for each in self.directory] if keys is None else keys)
        self.follow(connection)
        if not self._saves:
            self._saves = True
            self._clock.after(SAVE_MS, self._save)

    def _save(self) -> None:
        self._saves = False
        if self._daemon.alive:
            self.saved, self._heard_ms = self.source.saved(), self.source.heard_ms
