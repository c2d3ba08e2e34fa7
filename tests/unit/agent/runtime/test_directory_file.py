"""The copy of the directory on the disk."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.directory import DirectoryCopy
from agent.runtime import directory_file
from agent.runtime.directory_file import DIRECTORY_FILE, DirectoryFile
from bayplan.directory import Directory, Entry, Listing


def told(*services: str, copy: DirectoryCopy | None = None) -> DirectoryCopy:
    """A copy that knows these services."""
    copy, truth = copy or DirectoryCopy("n1", "k1"), Directory()
    for index, service in enumerate(services, copy.directory.index + 1):
        truth.put(Listing.of("shop", service, index, [Entry(id=service)]), index)
    copy.take(truth.since(0), True)
    return copy


@asynccontextmanager
async def kept(copy: DirectoryCopy, folder: Path) -> AsyncIterator[None]:
    task = asyncio.create_task(DirectoryFile(folder, copy).run())
    await asyncio.sleep(0.05)
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def loaded(folder: Path) -> DirectoryCopy:
    copy = DirectoryCopy("n1", "k1")
    DirectoryFile(folder, copy).load()
    return copy


async def test_what_changes_is_on_the_disk_within_a_moment(tmp_path: Path) -> None:
    copy = DirectoryCopy("n1", "k1")
    async with kept(copy, tmp_path):
        told("web", "db", copy=copy)
        for _ in range(100):
            await asyncio.sleep(0.02)
            if (tmp_path / DIRECTORY_FILE).exists():
                break
        again = loaded(tmp_path)
        assert list(again.directory) == list(copy.directory)
        assert again.origin().whole and again.directory.index == copy.directory.index


async def test_an_orderly_end_saves_what_came_last_and_when_the_controller_was_heard(tmp_path: Path) -> None:
    copy = told("web")
    copy.lost()
    await asyncio.sleep(0.3)
    async with kept(copy, tmp_path):
        pass
    assert loaded(tmp_path).origin().age_ms >= 300


async def test_while_nothing_changes_it_stays_known_that_the_controller_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory_file, "NOTE_EVERY_S", 0.05)
    async with kept(told("web"), tmp_path):
        pass
    os.utime(tmp_path / DIRECTORY_FILE, (1, 1))
    copy = loaded(tmp_path)
    assert copy.origin().age_ms > 10**9
    copy.heard()
    task = asyncio.create_task(DirectoryFile(tmp_path, copy).run())
    await asyncio.sleep(0.5)
    assert loaded(tmp_path).origin().age_ms < 5_000, "without an orderly end, too"
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.parametrize("damage", [b"", b"garbage", b"00000000\n\x80"])
def test_a_garbled_copy_is_done_without(damage: bytes, tmp_path: Path) -> None:
    (tmp_path / DIRECTORY_FILE).write_bytes(damage)
    copy = loaded(tmp_path)
    assert len(copy.directory) == 0 and not copy.origin().whole


async def test_a_disk_that_takes_nothing_is_no_reason_to_end(tmp_path: Path) -> None:
    async with kept(told("web"), tmp_path / "away"):
        pass
