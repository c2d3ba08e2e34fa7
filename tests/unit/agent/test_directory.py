"""A node's copy of the directory: what it says of itself, and who it wakes."""

from __future__ import annotations

import asyncio

import pytest

from agent import directory
from agent.directory import DirectoryCopy
from bayplan.directory import Directory, Entry, Listing, Origin
from bayplan.errors import ProblemError
from bayplan.model.base import Now


class World:
    """A truth, a copy of it, and a clock."""

    def __init__(self) -> None:
        self.truth = Directory()
        self.now_ms = 1_000
        self.copy = self.another()

    def another(self) -> DirectoryCopy:
        return DirectoryCopy("n1", "k1", lambda: Now(self.now_ms, self.now_ms + 1_000_000))

    def put(self, service: str, *ids: str) -> None:
        index = self.truth.index + 1
        self.truth.put(Listing.of("shop", service, index, [Entry(id=each) for each in ids]), index)

    def told(self, *, whole: bool = True) -> None:
        self.copy.take(self.truth.since(self.copy.directory.index), whole)


def test_a_copy_that_was_never_told_anything_is_not_whole() -> None:
    world = World()
    world.copy.heard()
    world.now_ms += 500
    assert world.copy.origin() == Origin("n1", "k1", 500, whole=False)


def test_news_of_a_controller_that_another_has_succeeded_are_refused() -> None:
    """A node that an older controller welcomes asks it before the agent's core sends it away."""
    world = World()
    world.put("web", "a")
    obeyed = 1
    copy = DirectoryCopy("n1", "k1", epoch=lambda: obeyed)
    copy.take(world.truth.since(0), whole=True)
    obeyed = 2
    with pytest.raises(ValueError, match="before epoch 2"):
        copy.take(world.truth.since(0), whole=True)
    copy.restore(copy.saved(), 1_000)
    assert copy.directory.index == 1


def test_its_age_counts_from_when_the_controller_was_lost() -> None:
    world = World()
    world.put("web", "a")
    world.told()
    world.now_ms += 10_000
    assert world.copy.origin() == Origin("n1", "k1", 0)
    world.copy.lost()
    world.now_ms += 3_000
    world.copy.lost()
    assert world.copy.origin().age_ms == 3_000
    world.copy.heard()
    assert world.copy.origin().age_ms == 0, "what it has not told has not changed"


def test_a_controller_whose_nodes_still_come_back_is_not_the_whole_truth() -> None:
    world = World()
    world.put("web", "a")
    world.told(whole=False)
    assert not world.copy.origin().whole
    world.told(whole=True)
    assert world.copy.origin().whole


def test_after_a_restart_it_is_as_old_as_it_was_left() -> None:
    world = World()
    world.put("web", "a")
    world.told()
    saved, heard_ms = world.copy.saved(), world.copy.heard_ms
    world.now_ms = 60_000
    again = world.another()
    again.restore(saved, heard_ms)
    assert list(again.directory) == list(world.truth)
    assert again.origin() == Origin("n1", "k1", 59_000)
    assert again.heard_ms == heard_ms, "a second restart does not make it younger"


async def test_who_waits_for_a_service_is_woken_by_it_alone() -> None:
    world = World()
    world.put("web", "a")
    world.put("db", "b")
    world.told()
    index = world.copy.directory.index
    web = asyncio.create_task(world.copy.changed(index, "web.shop"))
    anything = asyncio.create_task(world.copy.changed(index))
    await asyncio.sleep(0)
    world.put("db", "c")
    world.told()
    await asyncio.wait_for(anything, 1)
    assert not web.done()
    world.truth.drop("shop", "web", world.truth.index + 1)
    world.told()
    await asyncio.wait_for(web, 1)
    await asyncio.wait_for(world.copy.changed(index, "web.shop"), 1)


async def test_only_so_many_may_wait_and_who_leaves_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "WAITERS_MAX", 2)
    world = World()
    world.put("web", "a")
    world.told()
    waiting = [asyncio.create_task(world.copy.changed(1, key)) for key in ("web.shop", "")]
    await asyncio.sleep(0)
    with pytest.raises(ProblemError, match="wait for changes"):
        await world.copy.changed(1)
    waiting[0].cancel()
    await asyncio.sleep(0)
    third = asyncio.create_task(world.copy.changed(1))
    await asyncio.sleep(0)
    world.put("web", "b")
    world.told()
    await asyncio.wait_for(asyncio.gather(waiting[1], third), 1)
