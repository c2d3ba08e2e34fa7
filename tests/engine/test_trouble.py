"""The agent through its engine's bad days."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from agent.runtime import docker, journal
from bayplan.lifecycle import TaskState
from bayplan.model import Desired
from tests.engine.agent_world import World
from tests.engine.test_docker_runtime import sleeper
from tests.real.host import Host

#: The size of the agent's state folder where its disk fills up.
DISK_BYTES = 256 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder that is a disk of its own."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "state", str(tmp_path)], check=True)
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.fixture
async def cramped(host: Host, small_disk: Path) -> AsyncIterator[World]:
    """An agent whose state lies on a small disk of its own."""
    world = World(host, small_disk)
    try:
        yield world
    finally:
        await world.close()


def fill(folder: Path) -> Path:
    """A file that takes all the room there is."""
    ballast = folder / "ballast"
    with pytest.raises(OSError, match="No space left"), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return ballast


async def test_an_engine_that_hangs_ends_nothing_and_doubles_nothing(world: World) -> None:
    await world.start_agent()
    world.assign("t1", sleeper())
    await world.reach("t1", TaskState.RUNNING)
    started = world.host.inspect("bp-t1")["State"]["StartedAt"]  # type: ignore[index]
    assert world.engine_silent_ms == 0
    with world.hung_engine():
        world.assign("t2", sleeper())
        beats = world.beats
        took_s = await world.until("the agent knows", lambda: world.engine_silent_ms > 0, 10.0)
        assert abs(took_s - world.engine_silent_ms / 1000) < 3.0
        assert world.beats >= beats + 8  # the node itself is well
    await world.until("the engine is back", lambda: world.engine_silent_ms == 0)
    await world.reach("t2", TaskState.RUNNING)
    assert world.states("t1")[-1] is TaskState.RUNNING
    assert world.host.inspect("bp-t1")["State"]["StartedAt"] == started  # type: ignore[index]
    assert len(world.host.containers()) == 2


async def test_what_was_given_up_in_a_hang_and_done_after_it_is_adopted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.start_agent()
    world.assign("ready", sleeper(), Desired.READY)
    world.assign("stopped", sleeper())
    await world.until("ready is made", lambda: (status := world.status("ready")) and status.container_id)
    await world.reach("stopped", TaskState.RUNNING)
    for name in ("CREATE_DEADLINE_S", "START_DEADLINE_S", "QUERY_DEADLINE_S", "PING_DEADLINE_S"):
        monkeypatch.setattr(docker, name, 1.0)
    monkeypatch.setattr(docker, "STOP_MARGIN_S", -9.0)
    with world.hung_engine():
        world.assign("new", sleeper())
        world.assign("ready", None, Desired.RUN)
        world.assign("stopped", None, Desired.STOP)
        await world.until("all is given up", lambda: world.failures() == {"new", "ready", "stopped"})
    await world.reach("new", TaskState.RUNNING)
    await world.reach("ready", TaskState.RUNNING)
    await world.reach("stopped", TaskState.SHUTDOWN)
    assert len(world.host.containers()) == 3
    assert len(world.host.containers(running=True)) == 2


async def test_a_full_disk_ends_nothing_and_nothing_is_acknowledged_that_is_not_kept(
    cramped: World, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "RETRY_S", 0.5)
    world = cramped
    await world.start_agent()
    world.assign("t1", sleeper())
    before = await world.reach("t1", TaskState.RUNNING)
    acked = world.revision
    assert world.acked == acked
    ballast = fill(small_disk)
    world.assign("t2", sleeper())
    await world.reach("t2", TaskState.RUNNING)  # it obeys, and does not acknowledge
    assert world.acked == acked
    assert len(world.agent_log("the journal cannot be written; the agent goes on without it")) == 1
    beats = world.beats
    await world.until("it beats", lambda: world.beats > beats + 3)
    await world.kill_agent()
    await world.start_agent()
    told = {status.task_id: status for status in world.hellos[-1].tasks}
    assert {status.state for status in told.values()} == {TaskState.RUNNING}
    assert told["t1"].container_id == before.container_id
    assert world.acked == acked
    ballast.unlink()
    await world.until("what is owed is kept and acknowledged", lambda: world.acked == world.revision)
    assert len(world.host.containers(running=True)) == 2
