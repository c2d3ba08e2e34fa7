"""The store of contents, on real folders."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.commands import RemoveFile, WriteFile
from agent.events import FileNotWritten, FileRemoved, FileWritten, StoredFile
from agent.runtime.files import FileHands, FileStore, file_system
from bayplan.model import FileKind, FileMount

MEMORY = Path("/dev/shm")
CONFIG = StoredFile(kind=FileKind.CONFIG, digest="d1", uid=os.geteuid(), gid=os.getegid(), mode=0o440)
SECRET = msgspec.structs.replace(CONFIG, kind=FileKind.SECRET)


@pytest.fixture
def run_dir() -> Iterator[Path]:
    """A folder in memory."""
    path = Path(tempfile.mkdtemp(dir=MEMORY))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def store(tmp_path: Path, run_dir: Path) -> FileStore:
    opened = FileStore(tmp_path, run_dir, "n1")
    assert opened.open().refused == {}
    return opened


def test_what_was_written_is_found_again_by_its_name(store: FileStore) -> None:
    store.write(CONFIG, b"one")
    store.write(SECRET, b"two")
    assert store.open().files == (CONFIG, SECRET)
    path = store.path(CONFIG)
    assert (path.read_bytes(), path.stat().st_mode & 0o7777) == (b"one", 0o440)
    assert store.path(SECRET).read_bytes() == b"two"


def test_a_file_that_is_there_is_not_written_again(store: FileStore) -> None:
    store.write(CONFIG, b"one")
    inode = store.path(CONFIG).stat().st_ino
    store.write(CONFIG, b"another")
    assert (store.path(CONFIG).stat().st_ino, store.path(CONFIG).read_bytes()) == (inode, b"one")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_has_the_owner_that_was_asked_for(store: FileStore) -> None:
    file = msgspec.structs.replace(SECRET, uid=1234, gid=5678, mode=0o400)
    store.write(file, b"x")
    found = store.path(file).stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (1234, 5678, 0o400)


def test_the_folders_are_the_agents_alone_and_a_neighbours_secrets_are_not_seen(
    store: FileStore, tmp_path: Path, run_dir: Path
) -> None:
    store.write(SECRET, b"x")
    for file in (CONFIG, SECRET):
        assert store.path(file).parent.stat().st_mode & 0o777 == 0o700
    assert FileStore(tmp_path, run_dir, "n2").open().files == ()


def test_what_a_killed_write_left_behind_is_removed_and_strangers_are_left_alone(store: FileStore) -> None:
    folder = store.path(CONFIG).parent
    for name in (".d1.0.0.440.abc", "README", "d1.x.0.440"):
        (folder / name).touch()
    assert store.open().files == ()
    assert sorted(path.name for path in folder.iterdir()) == ["README", "d1.x.0.440"]


def test_secrets_are_refused_on_a_disk_and_configs_are_not(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "data", tmp_path / "run", "n1")
    refused = store.open().refused
    assert set(refused) == {FileKind.SECRET}
    assert "--run-dir on a tmpfs" in refused[FileKind.SECRET]
    with pytest.raises(OSError, match="not in memory"):
        store.write(SECRET, b"canary")
    assert [path for path in (tmp_path / "run").rglob("*") if path.is_file()] == []


def test_a_folder_that_cannot_be_made_is_a_refusal(tmp_path: Path, run_dir: Path) -> None:
    (tmp_path / "file").touch()
    refused = FileStore(tmp_path / "file", run_dir, "n1").open().refused
    assert "cannot be used" in refused[FileKind.CONFIG]
    assert "--data-dir" in refused[FileKind.CONFIG]


@pytest.mark.parametrize("digest", ["../../etc/shadow", "", "a/b", "a\0b", ".hidden", "d" * 200])
def test_no_digest_leads_out_of_the_folder(store: FileStore, digest: str) -> None:
    with pytest.raises(OSError, match="no file can have the name"):
        store.write(msgspec.structs.replace(CONFIG, digest=digest), b"x")


def test_a_mount_is_read_only_and_names_the_file_of_its_owner(store: FileStore) -> None:
    mount = FileMount(
        kind=FileKind.CONFIG, source="c", target="/etc/c", digest="d1", uid=7, gid=8, mode=0o400
    )
    (made,) = store.mounts([mount])
    assert (made["Type"], made["Target"], made["ReadOnly"]) == ("bind", "/etc/c", True)
    assert made["Source"].endswith("/configs/d1.7.8.400")


async def test_each_command_has_one_outcome(store: FileStore) -> None:
    outcomes: list[Any] = []
    bad = msgspec.structs.replace(CONFIG, digest="../x")
    async with asyncio.TaskGroup() as group:
        hands = FileHands(store, outcomes.append, group)
        hands.perform(WriteFile(file=CONFIG, content=b"x"))
        hands.perform(WriteFile(file=bad, content=b"x"))
    written = {outcome.file: type(outcome) for outcome in outcomes}
    assert (len(outcomes), written) == (2, {CONFIG: FileWritten, bad: FileNotWritten})
    async with asyncio.TaskGroup() as group:
        hands = FileHands(store, outcomes.append, group)
        hands.perform(RemoveFile(file=CONFIG))
        hands.perform(RemoveFile(file=bad))
    assert sorted(outcomes[2:], key=repr) == [FileRemoved(file=bad), FileRemoved(file=CONFIG)]
    assert store.open().files == ()


def test_the_file_system_of_a_path_is_found_by_its_device(tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    line = f"36 35 {os.major(device)}:{os.minor(device)} / /mnt rw shared:1 master:2 - ramfs none rw"
    assert file_system(tmp_path, f"1 0 999:9 / / rw - ext4 x rw\n{line}\n") == "ramfs"
    assert file_system(tmp_path, "1 0 999:9 / / rw - ext4 x rw\n") == ""
