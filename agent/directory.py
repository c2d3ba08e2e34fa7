"""The node's copy of the directory: a `Source` for what this node answers, with the controller or without.

It is told chunks of news and whether the controller is heard; it knows neither gRPC nor the disk.
"""

from __future__ import annotations

from collections.abc import Callable

from bayplan.directory import Directory, News, Origin, first_number
from bayplan.directory.waiting import Waiters
from bayplan.errors import Problem, ProblemKind
from bayplan.model.base import Model, Now
from bayplan.pump import read_clock

#: Those who wait for a change at the same time.
WAITERS_MAX = 10_000

_BUSY = Problem(
    kind=ProblemKind.REFUSED,
    summary=f"{WAITERS_MAX} wait for changes of the registry already",
    hint="ask without waiting",
)


class Saved(Model, frozen=True, kw_only=True):
    """What is kept of a copy over a restart: all that it has, and whether that was the whole truth."""

    news: News
    whole: bool


class DirectoryCopy:
    """See `bayplan.directory.Source`. `directory` is one and the same object as long as the agent runs.
    `epoch` gives that of the newest controller that was obeyed: news of an older one are none."""

    def __init__(
        self,
        node: str,
        node_id: str,
        clock: Callable[[], Now] = read_clock,
        epoch: Callable[[], int] = lambda: 0,
    ) -> None:
        self.directory = Directory()
        self._node, self._node_id, self._clock, self._epoch = node, node_id, clock, epoch
        self._whole = False
        #: When the controller was heard last (monotonic and Unix milliseconds); None while it is heard.
        self._lost: Now | None = clock()
        self._waiters = Waiters(self.directory, WAITERS_MAX, _BUSY)

    # --- for those who ask ---

    def origin(self) -> Origin:
        """How good the copy is now."""
        age_ms = 0 if self._lost is None else max(0, self._clock().mono_ms - self._lost.mono_ms)
        return Origin(self._node, self._node_id, age_ms, self._whole)

    async def changed(self, index: int, key: str = "") -> None:
        """Return when the service of this key (all: "") has changed after an index: at once, if it already
        has, or if this copy has not come as far. Raises ProblemError (REFUSED)."""
        await self._waiters.changed(index, key)

    # --- for the follower ---

    def take(self, news: News, whole: bool) -> None:
        """Take over a chunk of news. Raises ValueError for news that are in the past, and for those of a
        controller that is not obeyed any more."""
        if news.index < first_number(self._epoch()):
            raise ValueError(f"index {news.index} is of a controller before epoch {self._epoch()}")
        self._apply(news, whole)

    def _apply(self, news: News, whole: bool) -> None:
        keys = self.directory.apply(news)
        self._whole, self._lost = whole, None
        self._waiters.wake(keys)

    def heard(self) -> None:
        """The controller is there: what it has not told has not changed."""
        if self.directory.index:
            self._lost = None

    def lost(self) -> None:
        """The controller is not heard any more."""
        if self._lost is None:
            self._lost = self._clock()

    # --- over a restart ---

    def saved(self) -> Saved:
        """What is to be kept, beside `heard_ms`."""
        return Saved(news=self.directory.since(0), whole=self._whole)

    @property
    def heard_ms(self) -> int:
        """When the controller was heard last, in Unix milliseconds."""
        return (self._clock() if self._lost is None else self._lost).wall_ms

    def restore(self, saved: Saved, heard_ms: int) -> None:
        """Take back what was kept, as old as it is by now."""
        self._apply(saved.news, saved.whole)
        now = self._clock()
        self._lost = Now(now.mono_ms - max(0, now.wall_ms - heard_ms), heard_ms)
