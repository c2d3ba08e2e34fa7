"""Daemons that are killed, garbled or hang, on three hosts: no container notices (docs/promises.md)."""

from __future__ import annotations

import time

import pytest

from agent.runtime.journal import ASSIGNMENTS_FILE, ENDS_FILE
from bayplan.model import NodeStatus
from tests.real.cluster import Cluster
from tests.real.machine import wait_until
from tests.real.stacks import SHOP, SHOP_TASKS

#: No node is given up because a busy machine takes its time to start an agent.
HEARTBEAT = "5s"
#: A restarted daemon has found everything again; the promises are 3 and 5 s, on a quiet machine.
BACK_TIMEOUT_S = 15.0
#: A hanging engine is seen; promised are 12 s.
ENGINE_SILENT_TIMEOUT_S = 30.0
#: For so long nothing may happen because of a hanging engine.
ENGINE_HANGS_S = 6.0


def deployed(fleet: Cluster) -> dict[str, str]:
    """The shop runs; since when each of its containers does."""
    fleet.deploy("shop", SHOP)
    lives = fleet.lives()
    assert len(lives) == SHOP_TASKS
    return lives


def places(fleet: Cluster) -> dict[str, str]:
    """The node of each task, by the task's id: a task that was replaced has another."""
    return {task.id: task.node for task in fleet.running("shop")}


def wait_whole(fleet: Cluster) -> None:
    """All nodes are back and all tasks are known to run."""
    wait_until("all nodes are ready", lambda: fleet.ready_nodes() == 3, BACK_TIMEOUT_S, every_s=0.1)
    fleet.wait_running("shop", SHOP_TASKS, BACK_TIMEOUT_S)


def test_a_killed_controller_comes_back_and_no_container_was_touched(fleet: Cluster) -> None:
    lives, tasks = deployed(fleet), places(fleet)
    found = fleet.lookup("shop", "web")
    assert len(found) == 4

    fleet.controller.kill()
    fleet.start_controller()
    wait_whole(fleet)

    wait_until("lookups work again", lambda: fleet.lookup("shop", "web") == found, BACK_TIMEOUT_S)
    assert (fleet.lives(), places(fleet)) == (lives, tasks)
    fleet.cli("service", "scale", "shop_web=5")  # and it is obeyed
    fleet.wait_running("shop", SHOP_TASKS + 1)
    assert lives.items() <= fleet.lives().items()


def test_a_killed_agent_adopts_its_containers_and_its_node_was_never_down(fleet: Cluster) -> None:
    lives, tasks = deployed(fleet), places(fleet)
    host = fleet.hosts[0]
    seen = set()

    fleet.agents[host.name].kill()
    fleet.start_agent(host)
    with fleet.client() as client:

        def ready() -> bool:
            seen.add(client.node(host.name).status)
            return client.node(host.name).status is NodeStatus.READY and len(seen) > 1

        wait_until("its node is ready again", ready, BACK_TIMEOUT_S)
    wait_whole(fleet)

    assert NodeStatus.DOWN not in seen
    assert (fleet.lives(), places(fleet)) == (lives, tasks)


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.unlink(),
        lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
        lambda file: file.write_bytes(bytes(byte ^ 0x40 for byte in file.read_bytes())),
    ],
    ids=["lost", "truncated", "flipped"],
)
def test_an_agent_whose_state_is_garbled_still_adopts_its_containers(fleet: Cluster, damage) -> None:
    lives, tasks = deployed(fleet), places(fleet)
    host = fleet.hosts[1]

    fleet.agents[host.name].kill()
    files = [host.folder / "agent" / name for name in (ASSIGNMENTS_FILE, ENDS_FILE)]
    for file in (file for file in files if file.exists()):
        damage(file)
    fleet.start_agent(host)
    wait_until("its node was away", lambda: fleet.ready_nodes() < 3, BACK_TIMEOUT_S)
    wait_whole(fleet)

    assert (fleet.lives(), places(fleet)) == (lives, tasks)


def test_a_killed_engine_comes_back_and_no_container_was_touched(fleet: Cluster) -> None:
    lives, tasks = deployed(fleet), places(fleet)
    host = fleet.hosts[2]

    host.kill_engine()
    host.start_engine()
    wait_whole(fleet)

    assert (fleet.lives(), places(fleet)) == (lives, tasks)
    fleet.cli("service", "scale", "shop_web=7")  # and the agent uses it again
    fleet.wait_running("shop", SHOP_TASKS + 3)
    assert len(host.containers(running=True)) > len([node for node in tasks.values() if node == host.name])


def test_a_hanging_engine_is_told_nothing_is_declared_dead_and_nothing_runs_twice(fleet: Cluster) -> None:
    lives, tasks = deployed(fleet), places(fleet)
    host = fleet.hosts[0]

    host.freeze_engine()
    with fleet.client() as client:
        wait_until(
            "the node shows it",
            lambda: client.node(host.name).engine_silent_ms > 0,
            ENGINE_SILENT_TIMEOUT_S,
            every_s=0.2,
        )
        until = time.monotonic() + ENGINE_HANGS_S
        while time.monotonic() < until:
            assert client.node(host.name).status is NodeStatus.READY
            time.sleep(0.2)
        assert places(fleet) == tasks
        host.thaw_engine()
        wait_until(
            "the node is whole again", lambda: not client.node(host.name).engine_silent_ms, BACK_TIMEOUT_S
        )
    assert (fleet.lives(), places(fleet)) == (lives, tasks)
