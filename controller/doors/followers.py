"""Who keeps a copy of the directory, and of what each has let go. Knows no gRPC.

The core is told only the least of it: up to which revision no copy offers anything older.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from bayplan.pump import InboxFullError
from controller.events import FollowersLetGo

#: Nodes have one copy each; some more look on.
FOLLOWERS_MAX = 12_000
#: A follower that has not taken over a chunk for so long is not waited for, in seconds.
SILENT_S = 4.0
#: How often it is looked for such ones, in seconds.
LOOK_S = 1.0


class Follower:
    """One copy. `index`: it offers nothing older. `since`: when a chunk was sent to it that it has not taken
    over yet, in seconds."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.index = 0
        self.since: float | None = None
        self.silent = False


class Followers:
    """All copies; `revision_at` gives the revision of an index, `post` tells the core or raises
    InboxFullError. Times are monotonic."""

    def __init__(self, post: Callable[[FollowersLetGo], None], revision_at: Callable[[int], int]) -> None:
        self._post = post
        self._revision_at = revision_at
        self._all: set[Follower] = set()
        #: How many of those that are heard have let go of what is older than an index.
        self._at: Counter[int] = Counter()
        self._told: int | None = None

    def __len__(self) -> int:
        return len(self._all)

    def all(self) -> list[Follower]:
        """All copies, those furthest behind first."""
        return sorted(self._all, key=lambda each: (each.index, each.name))

    def came(self, name: str) -> Follower:
        """A copy begins to follow: what it offers is not known until it says so."""
        follower = Follower(name)
        self._all.add(follower)
        self._at[0] += 1
        self.tell()
        return follower

    def sent(self, follower: Follower, now_s: float) -> None:
        """A chunk is on its way to it."""
        follower.since = now_s

    def acknowledged(self, follower: Follower, index: int) -> None:
        """It offers nothing that is older than an index."""
        if not follower.silent:
            self._leave(follower.index)
        follower.index, follower.since, follower.silent = index, None, False
        self._at[index] += 1
        self.tell()

    def left(self, follower: Follower) -> None:
        """It follows no more."""
        self._all.discard(follower)
        if not follower.silent:
            self._leave(follower.index)
        self.tell()

    def _leave(self, index: int) -> None:
        self._at[index] -= 1
        if not self._at[index]:
            del self._at[index]

    def look(self, now_s: float) -> None:
        """Wait no more for those that do not answer."""
        for each in self._all:
            if not each.silent and each.since is not None and each.since < now_s - SILENT_S:
                each.silent = True
                self._leave(each.index)
        self.tell()

    def tell(self) -> None:
        """Tell the core what all have let go of, if it does not know it yet."""
        now = self._revision_at(min(self._at)) if self._at else None
        if now == self._told:
            return
        try:
            self._post(FollowersLetGo(revision=now))
            self._told = now
        except InboxFullError:
            pass  # the next look tells it
