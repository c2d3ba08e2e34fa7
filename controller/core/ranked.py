"""Keys by a number, the lowest first: when each wants to be looked at again, or how much work each is.

Knows nothing of what the keys are.
"""

from __future__ import annotations

import heapq

#: Entries beside those that hold at which the heap is made anew without the others.
STALE_MAX = 1_000


class Ranked:
    """A rank for each key. To ask for the lowest costs nothing while it stays; equal ones are in the order of
    their keys."""

    def __init__(self) -> None:
        self._ranks: dict[str, int] = {}
        #: Every rank that was put and has not been lowest since; it holds if it still is its key's.
        self._heap: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._ranks)

    def __contains__(self, key: str) -> bool:
        return key in self._ranks

    def put(self, key: str, rank: int) -> None:
        """Give a key this rank, and no longer the one it had."""
        if self._ranks.get(key) != rank:
            self._ranks[key] = rank
            heapq.heappush(self._heap, (rank, key))
        if len(self._heap) > 2 * len(self._ranks) + STALE_MAX:
            self._heap = sorted((rank, key) for key, rank in self._ranks.items())

    def forget(self, key: str) -> None:
        """Take a key out; one that is not known is no error."""
        self._ranks.pop(key, None)

    def lowest(self) -> tuple[int, str] | None:
        """The lowest rank and its key; None when there is none."""
        while self._heap and self._ranks.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0] if self._heap else None

    def lowest_rank(self) -> int | None:
        """The lowest rank alone."""
        found = self.lowest()
        return None if found is None else found[0]

    def up_to(self, rank: int) -> set[str]:
        """The keys of this rank or a lower one. They stay."""
        found = set[str]()
        while (lowest := self.lowest()) is not None and lowest[0] <= rank:
            found.add(heapq.heappop(self._heap)[1])  # one may be there twice, put back to a rank it had
        for key in found:
            heapq.heappush(self._heap, (self._ranks[key], key))
        return found
