"""Pulls from a registry that refuses, dawdles or falls silent."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.runtime import images
from bayplan.lifecycle import TaskState
from bayplan.model import ContainerSpec, PullPolicy
from tests.engine import registry
from tests.engine.agent_world import World
from tests.engine.test_docker_runtime import sleeper
from tests.real.host import Host
from tests.real.machine import wait_until

PORT = 5_005
#: In the tests a pull is given up after so long without progress.
IDLE_S = 2.0


@pytest.fixture(scope="module", autouse=True)
def served(host: Host) -> Iterator[None]:
    """The registry, at the host's own loopback address: the engine needs no certificate for that."""
    process = host.spawn(sys.executable, str(Path(registry.__file__)), str(PORT))
    asked = ("curl", "-s", f"http://localhost:{PORT}/v2/")
    wait_until("the registry answers", lambda: host.run(*asked, check=False), 10)
    yield
    process.kill()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "PULL_IDLE_DEADLINE_S", IDLE_S)


def of(repository: str, **fields: object) -> ContainerSpec:
    return sleeper(image=f"localhost:{PORT}/{repository}:1", pull_policy=PullPolicy.ALWAYS, **fields)


async def test_a_typo_in_a_tag_is_final_and_told_in_the_registrys_words(world: World) -> None:
    await world.start_agent()
    began = time.monotonic()
    world.assign("typo", of("typo"))
    message = (await world.reach("typo", TaskState.REJECTED)).message
    assert message.startswith(f"image localhost:{PORT}/typo:1 cannot be pulled: ")
    assert "manifest unknown" in message
    world.assign("private", of("private"))
    assert "denied" in (await world.reach("private", TaskState.REJECTED)).message
    assert time.monotonic() - began < 15.0


async def test_a_slow_pull_is_waited_for_as_long_as_it_gets_on(world: World) -> None:
    await world.start_agent()
    began = time.monotonic()
    world.assign("t1", of("drip"))
    await world.reach("t1", TaskState.RUNNING)
    assert time.monotonic() - began > 2 * IDLE_S
    world.host.docker("rm", "-f", "bp-t1")
    world.host.docker("rmi", f"localhost:{PORT}/drip:1")


@pytest.mark.parametrize("repository", ["stall-once", "half-once"])
async def test_a_pull_without_progress_is_given_up_and_tried_again(world: World, repository: str) -> None:
    await world.start_agent()
    world.assign("t1", of(repository))
    await world.until(
        "the pull is given up", lambda: (told := world.status("t1")) and "nothing" in told.message
    )
    told = world.status("t1")
    assert told is not None and told.state is TaskState.PREPARING
    await world.reach("t1", TaskState.RUNNING)
    world.host.docker("rm", "-f", "bp-t1")
    world.host.docker("rmi", f"localhost:{PORT}/{repository}:1")


async def test_stalled_pulls_delay_neither_what_is_here_nor_other_pulls_for_long(world: World) -> None:
    await world.start_agent()
    for number in range(4):
        world.assign(f"s{number}", sleeper(image=f"localhost:{PORT}/stall:{number}"))
    await world.until("they pull", lambda: (told := world.status("s3")) and "pulling" in told.message)
    began = time.monotonic()
    world.assign("here", sleeper())
    await world.reach("here", TaskState.RUNNING)
    assert time.monotonic() - began < IDLE_S
    world.assign("good", of("good"))
    await world.reach("good", TaskState.RUNNING)
    assert time.monotonic() - began < 3 * IDLE_S
