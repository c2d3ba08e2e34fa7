"""A stream read in a thread: order, deadlines, ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from bayplan.cli.feed import Ended, Feed


def test_items_come_in_order_and_the_end_stays_the_end() -> None:
    feed = Feed(iter([1, 2]))
    assert [feed.next(5), feed.next(5)] == [1, 2]
    for _ in range(2):
        with pytest.raises(Ended):
            feed.next(5)


def test_none_comes_when_nothing_does() -> None:
    gate = threading.Event()

    def stream() -> Iterator[int]:
        gate.wait()
        yield 1

    feed = Feed(stream())
    assert feed.next(0.01) is None
    gate.set()
    assert feed.next(5) == 1


def test_an_error_of_the_stream_reaches_the_reader() -> None:
    def stream() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    feed = Feed(stream())
    assert feed.next(5) == 1
    with pytest.raises(ValueError, match="broken"):
        feed.next(5)


def test_newest_skips_what_is_already_old() -> None:
    ready = threading.Event()

    def stream() -> Iterator[int]:
        yield from (1, 2, 3)
        ready.set()
        threading.Event().wait(5)

    feed = Feed(stream())
    ready.wait(5)
    assert feed.newest(5) == 3
