"""Bad days by name, each on the whole cluster; what the simulator found stays here."""

from __future__ import annotations

import pytest

from agent.state import Work
from bayplan.errors import ProblemKind
from bayplan.lifecycle import TaskState
from bayplan.model import Health, NodeStatus
from controller import lookup
from tests.sim.daemon import Moment
from tests.sim.mutants.no_brake import controller_cut_off
from tests.sim.stacks import service, stack
from tests.sim.world import World

#: From the last beat before a silence to the end of a node's lease.
DOWN_S = 6.0


@pytest.fixture
def world() -> World:
    world = World("scenario")
    world.nodes(3)
    return world


def deployed(world: World, replicas: int = 3, **fields: object) -> list[str]:
    """Deploys a stack `shop` and waits; returns its containers' ids."""
    ticket = world.deploy(stack("shop", service("web", replicas, **fields)))
    world.converge()
    assert world.accepted(ticket)
    return world.container_ids("shop")


def node_status(world: World, name: str) -> NodeStatus:
    return world.state.lives[world.hosts[name].identity.node_id].status


def starts(world: World) -> int:
    return sum(len(host.starts) for host in world.hosts.values())


def states(world: World) -> list[TaskState]:
    return sorted(world.state.status_of(task).state for task in world.state.tasks.values())


@pytest.mark.parametrize(("up", "down"), [(True, True), (True, False), (False, True)])
def test_a_host_that_is_cut_off_is_replaced_and_its_copies_go_when_it_heals(
    world: World, up: bool, down: bool
) -> None:
    deployed(world)
    world.cut("h1", up=up, down=down)
    took_s = world.run_until(lambda: node_status(world, "h1") is NodeStatus.DOWN)
    assert took_s <= DOWN_S, "whichever way is cut"
    world.run(3)
    assert len(world.boxes("shop")) == 4, "three that are wanted, and the copy on the host that is cut off"
    world.heal("h1")
    world.converge(within_s=5)
    assert len(world.boxes("shop", running=False)) == 3


def test_a_short_cut_moves_nothing(world: World) -> None:
    before = deployed(world)
    world.cut("h1")
    world.run(3)
    world.heal("h1")
    world.run(15)
    assert world.container_ids("shop") == before


@pytest.mark.parametrize("moment", list(Moment))
def test_a_controller_killed_in_a_deploy_loses_nothing_that_was_acknowledged(
    world: World, moment: Moment
) -> None:
    ticket = world.deploy(stack("shop", service("web", 3)))
    assert world.answered(ticket)
    world.crash_controller(moment)
    world.run(2)
    world.converge()
    assert len(world.boxes("shop")) == 3


def test_a_deploy_whose_reply_was_lost_is_whole_or_absent(world: World) -> None:
    world.deploy(stack("shop", service("web", 2), service("api", 2)))
    world.crash_controller(Moment.AFTER_APPEND)
    world.run(2)
    world.converge()
    assert len(world.boxes("shop")) in (0, 4)


def test_a_controller_that_restarts_touches_no_container(world: World) -> None:
    before = deployed(world)
    world.crash_controller(down_s=20)
    world.run(25)
    world.converge()
    assert world.container_ids("shop") == before


def test_a_restarted_agent_adopts_its_containers(world: World) -> None:
    before = deployed(world)
    for name in world.hosts:
        world.crash_agent(name)
    world.run(5)
    world.converge()
    assert world.container_ids("shop") == before


@pytest.mark.parametrize("after_ms", range(0, 400, 25))
def test_an_agent_killed_in_the_middle_of_a_start_ends_with_one_container(after_ms: int) -> None:
    world = World("agent crash in a start")
    world.nodes(1)
    ticket = world.deploy(stack("shop", service("web", 1)))
    assert world.answered(ticket)
    world.run(after_ms / 1000)
    world.crash_agent("h1", down_s=1)
    world.run(2)
    world.converge()
    assert len(world.boxes("shop")) == 1


def test_the_tasks_of_a_host_without_power_run_elsewhere(world: World) -> None:
    deployed(world)
    world.power_off("h1")
    took_s = world.run_until(lambda: len(world.boxes("shop")) == 3)
    assert took_s <= DOWN_S + 3
    world.power_on("h1")
    world.run(2)
    world.converge(within_s=5)
    assert len(world.boxes("shop", running=False)) == 3


def test_a_host_that_boots_without_a_controller_brings_its_tasks_back(world: World) -> None:
    deployed(world)
    world.crash_controller(down_s=60)
    world.power_off("h1")
    assert len(world.boxes("shop")) == 2
    world.power_on("h1")
    world.run(15)
    assert len(world.boxes("shop")) == 3
    world.run(45)
    world.converge()


def test_both_daemons_killed_at_once_change_nothing(world: World) -> None:
    before = deployed(world)
    world.crash_controller(down_s=3)
    for name in world.hosts:
        world.crash_agent(name, down_s=2)
    world.run(10)
    world.converge()
    assert world.container_ids("shop") == before


def test_a_container_that_dies_while_the_controller_is_down_is_brought_back(world: World) -> None:
    deployed(world)
    world.crash_controller(down_s=15)
    host, box = world.boxes("shop")[0]
    world.kill_container(box, host)
    world.run(12)
    assert len(world.boxes("shop")) == 3, "the agent restarts it by itself"
    world.run(5)
    world.converge()


def test_a_killed_container_leaves_lookup_within_a_second_and_is_replaced(world: World) -> None:
    deployed(world)
    host, box = world.boxes("shop")[0]
    world.kill_container(box, host)
    gone_s = world.run_until(
        lambda: box.task_id not in {each.id for each in lookup.lookup(world.state, "shop", "web").instances}
    )
    assert gone_s < 1
    world.converge(within_s=3)
    assert TaskState.FAILED in states(world)


def test_a_stack_removed_with_a_host_down_leaves_nothing_when_it_is_back(world: World) -> None:
    deployed(world, network="shop_default")
    world.power_off("h1")
    world.run(DOWN_S + 2)
    ticket = world.remove("shop")
    assert world.answered(ticket)
    world.run(3)
    assert not world.state.services
    world.power_on("h1")
    world.run(2)
    world.converge(within_s=5)
    assert not world.boxes(running=False)
    assert not any(host.engine.networks for host in world.hosts.values())


def test_a_stack_removed_with_a_host_cut_off_leaves_nothing_when_it_heals(world: World) -> None:
    deployed(world)
    world.cut("h1")
    world.run(1)
    world.remove("shop")
    world.run(20)
    world.heal("h1")
    world.run(2)
    world.converge(within_s=15)
    assert not world.boxes(running=False)


def test_deploy_after_remove_works_at_once_ten_times_in_a_row(world: World) -> None:
    for _ in range(10):
        deploy = world.deploy(stack("shop", service("web", 3, port=8080)))
        assert world.answered(deploy)
        world.run_until(lambda: len(lookup.lookup(world.state, "shop", "web").instances) == 3, within_s=15)
        remove = world.remove("shop")
        assert world.answered(remove)
    world.converge()
    assert not world.boxes(running=False)


def test_an_image_that_does_not_exist_refuses_the_deploy_and_changes_nothing(world: World) -> None:
    before = deployed(world)
    ticket = world.deploy(stack("shop", service("web", 3, "ghost")))
    assert not world.answered(ticket)
    problem = world.problem(ticket)
    assert problem is not None and problem.kind is ProblemKind.REFUSED
    assert "ghost" in problem.summary
    world.converge()
    assert world.container_ids("shop") == before


def test_a_failing_health_check_is_never_shown_and_backs_off(world: World) -> None:
    world.deploy(stack("shop", service("web", 1, "sick", health=True)))
    for _ in range(60):
        world.run(1)
        assert not lookup.lookup(world.state, "shop", "web").instances
    assert 3 <= starts(world) <= 8, "1 s, 2 s, 4 s ... between tries, each of which takes 3 s to fail"
    assert TaskState.FAILED in states(world)


def test_a_crash_loop_backs_off_and_keeps_a_bounded_history(world: World) -> None:
    world.deploy(stack("shop", service("web", 1, "crash")))
    world.run(300)
    assert starts(world) <= 12
    assert len(world.boxes("shop", running=False)) <= 5


def test_a_node_that_joins_late_takes_what_waited_for_room(world: World) -> None:
    ticket = world.deploy(stack("shop", service("web", 3, max_replicas_per_node=1)))
    assert world.answered(ticket)
    world.converge()
    world.power_off("h3")
    world.run(DOWN_S + 2)
    assert len(world.boxes("shop")) == 2
    world.node("h4")
    world.run(3)
    assert len(world.boxes("shop")) == 3


# --- found by the simulator ---------------------------------------------------------------------------


def test_a_deploy_that_asks_a_host_which_has_fallen_silent_goes_on_without_it_when_its_lease_ends(
    world: World,
) -> None:
    """Found as seed 7: the answer was awaited for ten minutes, since no stream was lost."""
    world.cut("h1")
    ticket = world.deploy(stack("shop", service("web", 3)))
    took_s = world.run_until(lambda: ticket in world.replies)
    assert took_s <= DOWN_S + 1
    assert world.answered(ticket)
    world.run(3)
    assert len(world.boxes("shop")) == 3


def test_a_service_made_anew_does_not_go_back_in_its_registry_revision(world: World) -> None:
    """Found as seed 9: a watcher resumes by revision."""
    deployed(world)
    before = lookup.lookup(world.state, "shop", "web").revision
    world.remove("shop")
    world.converge()
    deployed(world)
    assert lookup.lookup(world.state, "shop", "web").revision > before


def test_tasks_that_come_and_go_before_their_node_hears_of_them_leave_nothing() -> None:
    """Found as seed 570: assignments that wait are replaced by newer ones, and nobody reported an end."""
    world = World("come and go", delay_ms=(100, 100))
    world.nodes(2)
    assert world.answered(world.deploy(stack("shop", service("web", 2))))
    assert world.answered(world.scale("shop_web", 6))
    assert world.answered(world.scale("shop_web", 2))
    world.converge()
    world.run(5)
    wanted = [task for task in world.state.tasks.values() if task.wanted]
    assert len(world.state.tasks) == len(wanted) == 2


def test_a_controller_whose_clock_has_gone_back_replaces_a_host_as_ever(world: World) -> None:
    """Found as seed 570: heirs were told from elders by wall time, and stopped as soon as they were made."""
    world.crash_controller()
    world.control.clock_ahead_ms = 3_600_000
    world.run(3)
    deployed(world)
    world.crash_controller()
    world.control.clock_ahead_ms = 0
    world.run(15)
    before = starts(world)
    world.power_off("h1")
    took_s = world.run_until(lambda: len(world.boxes("shop")) == 3)
    assert took_s <= DOWN_S + 3
    assert starts(world) == before + 1


def test_a_container_that_died_while_its_only_host_was_silent_is_replaced() -> None:
    """Found as seed 1083: the heir that found no node was dropped, and nobody looked at the slot again."""
    alone = World("alone")
    alone.nodes(1)
    assert alone.answered(alone.deploy(stack("shop", service("web", 2))))
    alone.converge()
    alone.pause_agent("h1", 12)
    alone.run(1)
    host, box = alone.boxes("shop")[0]
    alone.kill_container(box, host)
    alone.run(12)
    alone.converge()


def test_a_controller_that_stood_still_for_a_minute_moves_nothing(world: World) -> None:
    before = deployed(world)
    world.pause_controller(60)
    world.run(75)
    world.converge()
    assert world.container_ids("shop") == before


def test_an_agent_whose_journal_is_lost_keeps_its_containers(world: World) -> None:
    before = deployed(world)
    world.crash_agent("h1", down_s=2)
    world.hosts["h1"].lose_journal()
    world.run(5)
    world.converge()
    assert world.container_ids("shop") == before


def test_a_container_removed_by_hand_is_replaced(world: World) -> None:
    deployed(world)
    host, box = world.boxes("shop")[0]
    host.engine.take_away(box)
    world.converge(within_s=3)
    assert len(world.boxes("shop")) == 3


def test_a_container_that_is_started_again_in_place_is_shown_when_it_is_there(world: World) -> None:
    """Found as seed 5122: an agent that reconnected while it started one told the old state of it."""
    deployed(world, 1, health=True)
    host, box = world.boxes("shop")[0]
    host.engine.slowness = 20
    world.crash_controller(down_s=8)
    world.run(0.5)
    world.kill_container(box, host)
    world.run_until(lambda: host.core is not None and host.core.state.busy[Work.START] == 1)
    world.run_until(lambda: host.core is not None and host.core.state.session.welcomed)
    while box.health is not Health.HEALTHY:
        assert lookup.lookup(world.state, "shop", "web").absence is not None
        world.run(0.05)
    world.run(0.2)
    assert lookup.lookup(world.state, "shop", "web").absence is None


@pytest.mark.parametrize("drained", [True, False])
def test_a_machine_that_is_taken_out_is_named_no_more(world: World, drained: bool) -> None:
    deployed(world)
    world.take_out("h2", drained=drained)
    world.run_until(lambda: "h2" in world.intents.nodes_gone, within_s=10)
    world.converge(within_s=5)
    assert {host.name for host, _ in world.boxes("shop")} == {"h1", "h3"}
    assert len(world.boxes("shop")) == 3


@pytest.mark.parametrize("seed", range(3))
def test_a_controller_that_is_cut_off_from_all_hosts_moves_nothing(seed: int) -> None:
    controller_cut_off(seed)
