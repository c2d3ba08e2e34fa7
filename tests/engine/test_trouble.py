"""The agent through its engine's bad days."""

from __future__ import annotations

import pytest

from agent.runtime import docker
from bayplan.lifecycle import TaskState
from bayplan.model import Desired
from tests.engine.agent_world import World
from tests.engine.test_docker_runtime import sleeper


async def test_an_engine_that_hangs_ends_nothing_and_doubles_nothing(world: World) -> None:
    await world.start_agent()
    world.assign("t1", sleeper())
    await world.reach("t1", TaskState.RUNNING)
    started = world.host.inspect("bp-t1")["State"]["StartedAt"]  # type: ignore[index]
    assert world.engine_silent_ms() == 0
    with world.hung_engine():
        world.assign("t2", sleeper())
        beats = world.beats
        took_s = await world.until("the agent knows", lambda: world.engine_silent_ms() > 0, 10.0)
        assert abs(took_s - world.engine_silent_ms() / 1000) < 3.0
        assert world.beats >= beats + 8  # the node itself is well
    await world.until("the engine is back", lambda: world.engine_silent_ms() == 0)
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
