"""Configs and secrets inside real containers, seen from inside."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from agent.runtime.files import file_system
from bayplan.lifecycle import TaskState
from bayplan.model import ContainerSpec, Desired, FileKind, FileMount
from bayplan.session import Files
from tests.engine.agent_world import IMAGE, World

SECRET = FileMount(
    kind=FileKind.SECRET,
    source="shop_key",
    target="/run/secrets/deep/key",
    uid=1234,
    gid=5678,
    mode=0o440,
    digest="d1",
)
CONFIG = FileMount(kind=FileKind.CONFIG, source="shop_nginx", target="/etc/nginx.conf", digest="d2")


def mounting(*files: FileMount) -> ContainerSpec:
    command = ("sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait")
    return ContainerSpec(image=IMAGE, command=command, files=files)


def seen(world: World, task_id: str, path: str) -> list[str]:
    """Owner, group and mode of a file from inside the container, and its content."""
    look = f"stat -c '%u %g %a' {path}; cat {path}"
    return world.host.docker("exec", f"bp-{task_id}", "sh", "-c", look).splitlines()


def held(world: World) -> dict[str, Path]:
    """The secrets on the node by file name."""
    return {path.name: path for path in world.run_dir.rglob("*") if path.is_file()}


def kind_of_disk(path: Path) -> str:
    return file_system(path, Path("/proc/self/mountinfo").read_text())


def started_again(world: World, container: str, before: dict[str, object]) -> bool:
    """Whether a container runs, and not since before."""
    state = world.host.inspect(container)["State"]
    return bool(state["Running"]) and state["StartedAt"] != before["StartedAt"]


async def test_a_secret_has_its_owner_and_mode_and_lies_in_memory_only(world: World) -> None:
    world.contents = {"d1": b"canary-1"}
    await world.start_agent()
    world.assign("t1", mounting(SECRET))
    await world.reach("t1", TaskState.RUNNING)
    assert seen(world, "t1", SECRET.target) == ["1234 5678 440", "canary-1"]
    (path,) = held(world).values()
    assert kind_of_disk(path) == "tmpfs"
    journals = b"".join(journal.read_bytes() for journal in world.journal_files())
    assert b"canary" not in journals
    write = world.host.docker("exec", "bp-t1", "sh", "-c", f"echo x >{SECRET.target}; echo $?", check=False)
    assert write.splitlines()[-1] == "1"


async def test_one_content_with_two_owners_is_both(world: World) -> None:
    world.contents = {"d1": b"x"}
    await world.start_agent()
    other = FileMount(kind=FileKind.SECRET, source="shop_key", target="/other", mode=0o400, digest="d1")
    world.assign("t1", mounting(SECRET, other))
    await world.reach("t1", TaskState.RUNNING)
    assert seen(world, "t1", SECRET.target)[0] == "1234 5678 440"
    assert seen(world, "t1", "/other")[0] == "0 0 400"


async def test_changed_content_is_for_new_containers_and_the_old_one_keeps_its_own(world: World) -> None:
    world.contents = {"d2": b"old", "d3": b"new"}
    await world.start_agent()
    world.assign("t1", mounting(CONFIG))
    await world.reach("t1", TaskState.RUNNING)
    newer = FileMount(kind=FileKind.CONFIG, source="shop_nginx", target="/etc/nginx.conf", digest="d3")
    world.assign("t2", mounting(newer))
    await world.reach("t2", TaskState.RUNNING)
    assert seen(world, "t1", CONFIG.target) == ["0 0 444", "old"]
    assert seen(world, "t2", CONFIG.target) == ["0 0 444", "new"]


async def test_a_secret_leaves_the_node_with_its_last_task(world: World) -> None:
    world.contents = {"d1": b"x"}
    await world.start_agent()
    world.assign("t1", mounting(SECRET))
    await world.reach("t1", TaskState.RUNNING)
    assert len(held(world)) == 1
    world.withdraw("t1")
    await world.until("the secret is gone", lambda: not held(world))


async def test_a_restarted_agent_finds_its_files(world: World) -> None:
    world.contents = {"d1": b"x", "d2": b"y"}
    await world.start_agent()
    world.assign("t1", mounting(SECRET, CONFIG))
    await world.reach("t1", TaskState.RUNNING)
    inodes = {name: path.stat().st_ino for name, path in held(world).items()}
    asked = len(world.asked)
    await world.kill_agent()
    await world.start_agent()
    world.assign("t2", mounting(SECRET, CONFIG))
    await world.reach("t2", TaskState.RUNNING)
    assert len(world.asked) == asked
    assert {name: path.stat().st_ino for name, path in held(world).items()} == inodes


async def test_files_that_someone_took_away_are_asked_for_again(world: World) -> None:
    world.contents = {"d1": b"x"}
    await world.start_agent()
    world.assign("t1", mounting(SECRET))
    await world.reach("t1", TaskState.RUNNING)
    shutil.rmtree(world.run_dir / "n1")
    world.assign("t2", mounting(SECRET))
    await world.reach("t2", TaskState.RUNNING)
    assert seen(world, "t2", SECRET.target) == ["1234 5678 440", "x"]


async def test_after_a_reboot_configs_are_here_and_secrets_are_asked_for(world: World) -> None:
    world.contents = {"d1": b"x", "d2": b"y"}
    await world.start_agent()
    world.assign("t1", mounting(CONFIG))
    world.assign("t2", mounting(SECRET))
    for task_id in ("t1", "t2"):
        await world.reach(task_id, TaskState.RUNNING)
    await world.cut()
    await world.kill_agent()
    for task_id in ("t1", "t2"):
        world.host.kill_container(f"bp-{task_id}")
    for path in held(world).values():  # what a reboot does to a tmpfs
        path.unlink()
    await world.start_agent()
    state = world.host.inspect("bp-t1")["State"]
    await world.until("t1 runs alone", lambda: started_again(world, "bp-t1", state))
    assert started_again(world, "bp-t2", state) is False
    assert seen(world, "t1", CONFIG.target)[1] == "y"
    await world.heal()
    world.assign("t3", mounting(SECRET))
    await world.reach("t3", TaskState.RUNNING)
    assert seen(world, "t3", SECRET.target)[1] == "x"


async def test_a_node_whose_run_directory_is_a_disk_rejects_secrets_and_takes_configs(
    world: World, tmp_path: Path
) -> None:
    world.contents = {"d1": b"canary", "d2": b"y"}
    world.run_dir.rmdir()
    world.run_dir = tmp_path / "run"
    await world.start_agent()
    world.assign("t1", mounting(SECRET))
    message = (await world.reach("t1", TaskState.REJECTED)).message
    assert "is not in memory: start the agent with a --run-dir on a tmpfs" in message
    world.assign("t2", mounting(CONFIG))
    await world.reach("t2", TaskState.RUNNING)
    assert world.asked == [("d2",)]
    assert held(world) == {}


async def test_a_mutated_files_message_harms_nobody(world: World) -> None:
    await world.start_agent()
    world.assign("t1", mounting(CONFIG))
    await world.until("the content is asked for", lambda: world.asked)
    garbage = {"": b"", "../../etc/x": b"x", "d1": os.urandom(99), "d2\0": b"", "d" * 5_000: b""}
    world.say(Files(contents=garbage))
    world.say(Files(contents={"d2": b"right"}))
    await world.reach("t1", TaskState.RUNNING)
    assert seen(world, "t1", CONFIG.target)[1] == "right"
    world.assign("t1", None, Desired.STOP)
    await world.reach("t1", TaskState.SHUTDOWN)
