"""The directory as it is kept up with the state: what is taken over when, and up to which revision it has
everything. Pure: it knows no clock, nobody who asks, and nobody who waits.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

from bayplan.directory import Directory, Entry, Listing, News, first_number
from controller import listings
from controller.decide import registry
from controller.state import State

#: Indexes whose revisions are remembered: an acknowledgement of an older one lets go of nothing.
MARKS_MAX = 4_096


class Upkeep:
    """One directory. All that is taken over is to be durable."""

    def __init__(self, epoch: int) -> None:
        self.directory = Directory(first_number(epoch))
        #: Whether all nodes have come back since the controller started, or are given up.
        self.whole = False
        #: Indexes, ascending, and the revision up to which the directory had everything at each.
        self._marks: list[tuple[int, int]] = []

    def begin(self, state: State) -> list[str]:
        """From now on the state marks what changes. Returns the keys of all that is to be put first."""
        state.touched = set()
        return listings.keys(state)

    def moved(self, state: State) -> list[str]:
        """The keys of what has changed so that something else can be routed to."""
        return [key for key in state.touched or () if self._is_moved(state, key)]

    def _is_moved(self, state: State, key: str) -> bool:
        """Whether something else can be routed to than the directory says."""
        service, _, stack = key.rpartition(".")
        kept = self.directory.get(stack, service)
        return listings.revision(state, stack, service) != (kept.revision if kept else 0)

    def put(self, state: State, keys: list[str], enough: Callable[[], bool] = lambda: False) -> set[str]:
        """Take over listings, off the list, until it is enough. Returns those that changed."""
        index, changed = self.directory.index + 1, set[str]()
        while keys and not enough():
            key = keys.pop()
            assert state.touched is not None, "who keeps the directory is told what is touched"
            state.touched.discard(key)
            service, _, stack = key.rpartition(".")
            before, now = self.directory.get(stack, service), listings.listing(state, stack, service)
            if now is None and before is not None:
                self.directory.drop(stack, service, index)
                changed.add(key)
            elif now is not None and not _alike(before, now):
                self.directory.put(now, index)
                changed.add(key)
        return changed

    def complete(self, state: State) -> bool:
        """Look whether all nodes have come back. Returns whether they have just now; that has an index."""
        if self.whole or not listings.is_whole(state):
            return False
        self.whole = True
        state.remembered.clear()
        self.directory.advance(self.directory.index + 1)
        return True

    def note(self, state: State) -> bool:
        """Note up to which revision everything is in the directory, unless something is left to take over.
        Returns whether it was noted."""
        if self.moved(state):
            return False
        mark = (self.directory.index, state.revision)
        if self._marks and self._marks[-1] == mark:
            return False
        self._marks.append(mark)
        del self._marks[:-MARKS_MAX]
        return True

    def revision_at(self, index: int) -> int:
        """Who offers nothing older than an index offers nothing older than this revision of any service."""
        place = bisect_right(self._marks, (index, registry.REVISION_MAX))
        return self._marks[place - 1][1] if place else 0


def recall(state: State, news: News) -> None:
    """Tell a state that begins what was last known of its tasks."""
    for listing in news.listings:
        state.remembered.update({each.id: each for each in listing.put if _is_known(state, each)})


def _is_known(state: State, entry: Entry) -> bool:
    task = state.tasks.get(entry.id)
    return task is not None and bool(task.node_id) and task.node_id == entry.node_id


def _alike(before: Listing | None, now: Listing) -> bool:
    """Whether nothing has changed but what checks said."""
    if before is None or before == now:
        return before is not None
    if len(before.entries) != len(now.entries):
        return False
    rest = ("revision", "tags", "protected", "canary")
    return all(getattr(before, name) == getattr(now, name) for name in rest) and all(
        ours == theirs or ours.but_for_output == theirs.but_for_output
        for ours, theirs in zip(before.entries, now.entries, strict=True)
    )
