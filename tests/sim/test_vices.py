"""What can go wrong with networks, processes, machines, engines, disks and clocks, by name, one at a time."""

from __future__ import annotations

import pytest

from bayplan.model import Availability, NodeStatus, ServiceMode, UpdateOrder, UpdatePolicy
from controller import lookup
from tests.sim.stacks import service, stack
from tests.sim.world import World

HOUR_S, YEAR_S = 3_600, 365 * 86_400


@pytest.fixture
def world() -> World:
    world = World("vices")
    world.nodes(3)
    return world


def deployed(world: World, replicas: int = 3, **fields: object) -> list[str]:
    """Deploys a stack `shop` and waits; returns its containers' ids."""
    assert world.answered(world.deploy(stack("shop", service("web", replicas, **fields))))
    world.converge()
    return world.container_ids("shop")


def status(world: World, name: str) -> NodeStatus:
    return world.state.lives[world.hosts[name].identity.node_id].status


def test_a_lossy_network_moves_nothing(world: World) -> None:
    before = deployed(world)
    for name in world.hosts:
        world.lose_messages(name, 0.3, for_s=60)
    world.run(75)
    world.converge()
    assert world.container_ids("shop") == before


def test_what_an_older_session_still_carries_does_not_end_the_newer_one(world: World) -> None:
    before = deployed(world)
    for _ in range(5):
        world.break_session("h1")
        world.run(4)
        assert status(world, "h1") is NodeStatus.READY
    world.run(10)
    assert world.container_ids("shop") == before


def test_an_engine_that_hangs_costs_nobody_a_container(world: World) -> None:
    before = deployed(world)
    world.hang_engine("h1", for_s=20)
    world.run(15)
    node_id = world.hosts["h1"].identity.node_id
    assert status(world, "h1") is NodeStatus.READY
    assert world.state.lives[node_id].engine_silent_ms > 0
    world.run(10)
    world.converge()
    assert world.container_ids("shop") == before
    assert world.state.lives[node_id].engine_silent_ms == 0


def test_a_pull_that_stalls_delays_nobody_else(world: World) -> None:
    deployed(world, 3, image="slow")
    world.stall_pulls("h1", for_s=120)
    world.deploy(stack("shop", service("web", 3, "slow"), service("api", 3, "app", max_replicas_per_node=1)))
    world.run_until(lambda: len([box for _, box in world.boxes("shop") if box.spec.image == "app"]) == 2)
    world.run(1)
    assert len([box for _, box in world.boxes("shop") if box.spec.image == "slow"]) == 3


def test_an_agent_whose_disk_is_full_obeys_and_makes_up_for_it(world: World) -> None:
    deployed(world)
    for name in world.hosts:
        world.fill_disk(name, for_s=20)
    assert world.answered(world.scale("shop_web", 5))
    world.run_until(lambda: len(world.boxes("shop")) == 5, within_s=10)
    assert any(host.journal.owed for host in world.hosts.values())
    world.run(30)
    assert not any(host.journal.owed for host in world.hosts.values())
    world.converge()


def test_a_controller_whose_disk_is_full_acknowledges_nothing_and_comes_back(world: World) -> None:
    before = deployed(world)
    world.fill_disk("", for_s=10)
    ticket = world.deploy(stack("shop", service("web", 5)))
    world.run(8)
    assert not world.accepted(ticket)
    world.run(10)
    world.converge()
    assert world.container_ids("shop") == before


@pytest.mark.parametrize("by_s", [HOUR_S, -HOUR_S, YEAR_S, -YEAR_S])
@pytest.mark.parametrize("name", ["", "h1"])
def test_a_stepped_clock_starts_and_stops_nothing(world: World, name: str, by_s: float) -> None:
    before = deployed(world, health=True)
    world.step_clock(name, by_s)
    world.run(30)
    world.crash_agent("h1")
    world.crash_controller()
    world.run(30)
    world.converge()
    assert world.container_ids("shop") == before


def test_a_clone_is_refused_and_starts_nothing(world: World) -> None:
    before = deployed(world)
    world.clone("h1", for_s=20)
    world.run(19)
    assert not world.clones["h1"].starts and not world.clones["h1"].files
    assert status(world, "h1") is NodeStatus.READY
    world.run(2)
    assert world.container_ids("shop") == before


def test_an_old_controller_is_not_obeyed(world: World) -> None:
    world.crash_controller()
    world.run(3)
    before = deployed(world)
    world.resume_old_controller(for_s=20)
    world.run(40)
    world.converge()
    assert world.container_ids("shop") == before


def test_an_agent_that_stood_still_is_replaced_and_gives_way(world: World) -> None:
    deployed(world)
    world.pause_agent("h1", for_s=30)
    world.run(20)
    assert len(world.boxes("shop")) == 4, "three that are wanted, and the copy that nobody can stop"
    world.run(15)
    world.converge(within_s=15)
    assert len(world.boxes("shop")) == 3


def test_a_host_whose_processes_are_killed_is_replaced_within_three_seconds(world: World) -> None:
    deployed(world)
    world.power_off("h1", silently=False)
    took_s = world.run_until(lambda: len(world.boxes("shop")) == 3)
    assert took_s <= 3


def test_a_killed_agent_alone_moves_nothing(world: World) -> None:
    before = deployed(world)
    world.crash_agent("h1", down_s=4)
    world.run(20)
    assert world.container_ids("shop") == before


def test_a_container_whose_health_check_fails_is_found_no_more_and_replaced(world: World) -> None:
    deployed(world, health=True)
    host, box = world.boxes("shop")[0]
    host.engine.sicken(box)
    world.run(0.5)
    assert box.task_id not in {each.id for each in lookup.lookup(world.state, "shop", "web").instances}
    world.converge(within_s=10)
    assert len(world.boxes("shop")) == 3


def test_a_fenced_copy_stops_before_another_starts(world: World) -> None:
    deployed(world, 1, fence=True)
    (host, _), seen = world.boxes("shop")[0], []
    world.cut(host.name)
    for _ in range(400):
        world.run(0.1)
        seen.append(len(world.boxes("shop")))
    assert max(seen) == 1 and seen[-1] == 1
    assert world.boxes("shop")[0][0] is not host


def test_a_drained_single_replica_never_goes_to_zero(world: World) -> None:
    deployed(world, 1, health=True)
    host, _ = world.boxes("shop")[0]
    world.update_node(host.name, Availability.DRAIN)
    for _ in range(100):
        world.run(0.1)
        assert world.boxes("shop")
        assert lookup.lookup(world.state, "shop", "web").instances
    assert [each.name for each, _ in world.boxes("shop")] != [host.name]


def test_what_watchers_use_is_not_stopped_in_an_update(world: World) -> None:
    policy = UpdatePolicy(order=UpdateOrder.START_FIRST)
    deployed(world, 3, update=policy, drain_ms=5_000)
    watchers = [world.watch("shop_web", 0.1), world.watch("shop_web", 1.5)]
    world.run(3)
    world.deploy(stack("shop", service("web", 3, version="v2", update=policy, drain_ms=5_000)))
    world.run(40)
    world.converge()
    running = {box.task_id for _, box in world.boxes("shop")}
    assert all(watcher.uses == running for watcher in watchers)


# --- found by the simulator ---------------------------------------------------------------------------


def test_nodes_of_a_quiet_cluster_on_a_slow_network_stay_ready() -> None:
    """Found as seed 8: the controller did not wake for its pulses unless something else woke it."""
    world = World("quiet", delay_ms=(5, 150))
    world.nodes(3)
    world.run(60)
    assert not [line for line in world.trace if "suspect" in line]


def test_a_service_that_was_global_has_its_canaries_and_all_its_replicas(world: World) -> None:
    """Found as seed 16: a slot that no node has was to be filled with the version that was global."""
    assert world.answered(world.deploy(stack("shop", service("web", mode=ServiceMode.GLOBAL))))
    world.converge()
    policy = UpdatePolicy(canaries=1, auto_promote=True, monitor_ms=1_000)
    world.deploy(stack("shop", service("web", 5, update=policy)))
    world.run(30)
    world.converge()
    assert len(world.boxes("shop")) == 5


def test_a_crash_loop_counts_on_when_its_node_and_then_the_controller_are_lost(world: World) -> None:
    """Found as seeds 4, 38 and 529: the count went with the records of the tasks of a lost node."""
    world.deploy(stack("shop", service("web", 1, "crash")))
    world.run(20)
    before = max(task.failures for task in world.state.tasks.values())
    last = max(world.state.tasks.values(), key=lambda task: task.created_ms)
    world.power_off(world.state.nodes[last.node_id].name)
    world.run(10)
    world.crash_controller()
    world.run(60)
    newest = max(world.state.tasks.values(), key=lambda task: task.created_ms)
    assert before >= 4 and newest.failures > before
