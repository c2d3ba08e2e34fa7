"""A blocking stream read in a thread, so that the reader can wait with a deadline and Ctrl-C works."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")

#: Items read ahead; then the stream has to wait.
BACKLOG_ITEMS_MAX = 64


class Ended(Exception):  # noqa: N818
    """The stream ended in order."""


class Feed(Generic[T]):
    """The items of a stream, one after the other."""

    def __init__(self, stream: Iterable[T]) -> None:
        self._queue: queue.Queue[T | BaseException] = queue.Queue(BACKLOG_ITEMS_MAX)
        self._end: BaseException | None = None
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def next(self, timeout_s: float) -> T | None:
        """The next item, or None when there is none in time.

        Raises Ended or the stream's own error, from then on each time.
        """
        if self._end is not None:
            raise self._end
        try:
            item = self._queue.get(timeout=max(0.0, timeout_s))
        except queue.Empty:
            return None
        if isinstance(item, BaseException):
            self._end = item
            raise item
        return item

    def newest(self, timeout_s: float) -> T | None:
        """The last of the items that are there, or of those to come in time; None without any."""
        item = self.next(timeout_s)
        while item is not None and not self._queue.empty():
            item = self.next(0) or item
        return item

    def _read(self, stream: Iterable[T]) -> None:
        try:
            for item in stream:
                self._queue.put(item)
            self._queue.put(Ended())
        except Exception as error:
            self._queue.put(error)
