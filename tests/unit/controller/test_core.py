"""The controller's core as its nodes and users see it."""

from __future__ import annotations

import pytest

from bayplan.errors import ProblemKind
from bayplan.lifecycle import TaskState
from bayplan.model import (
    Health,
    NodeStatus,
    PreflightFault,
    RestartCondition,
    RestartPolicy,
    UpdateOrder,
    UpdatePolicy,
)
from controller import lookup
from tests.unit.controller.world import GIB, World, service, stack


@pytest.fixture
def world() -> World:
    return World()


def ready(world: World, name: str = "web") -> list[str]:
    return [each.id for each in lookup.lookup(world.state, "shop", name).instances]


def test_a_deploy_runs_and_is_found(world: World) -> None:
    node = world.node("n1")
    reply = world.deploy(stack(service(replicas=2)))
    assert reply.problem is None
    assert len(node.running()) == 2
    assert sorted(ready(world)) == node.running()


def test_an_unchanged_deploy_changes_nothing(world: World) -> None:
    world.node("n1")
    world.deploy(stack(service()))
    before = world.tasks()
    world.log.clear()
    reply = world.deploy(stack(service()))
    assert [change.action.value for change in reply.value.changes] == ["same"]
    assert world.tasks() == before
    assert world.log == []


def test_a_deploy_that_fits_nowhere_changes_nothing(world: World) -> None:
    world.node("n1", cpu=4)
    world.log.clear()
    reply = world.deploy(stack(service("small"), service(cpu=8000, places={"resources": "c.yml:3"})))
    assert reply.problem.kind is ProblemKind.UNPLACEABLE
    assert reply.problem.place == "c.yml:3"
    assert "1 node: 1 short of CPU" in reply.problem.details
    assert "nearest: n1 has 4 CPU free (4 CPU short), 8 GiB free" in reply.problem.details
    assert world.log == []


def test_a_deploy_that_a_node_cannot_start_changes_nothing(world: World) -> None:
    node = world.node("n1")
    node.faults = (PreflightFault(subject="nosuch:1", reason="image nosuch:1 does not exist"),)
    world.log.clear()
    reply = world.deploy(stack(service(image="nosuch:1", places={"image": "c.yml:4"})))
    assert reply.problem.kind is ProblemKind.REFUSED
    assert reply.problem.place == "c.yml:4"
    assert "n1 cannot start it: image nosuch:1 does not exist" in reply.problem.summary
    assert world.log == []
    assert world.state.services == {}


def test_a_deploy_waits_for_every_node_that_was_asked(world: World) -> None:
    first, second = world.node("n1"), world.node("n2")
    second.obedient = False
    assert world.deploy(stack(service(replicas=2))) is None
    assert not world.state.services
    second.obedient = True
    second.hears(second.asked[-1])
    assert len(first.running()) == len(second.running()) == 1


def test_a_deploy_is_refused_when_an_asked_node_goes_away(world: World) -> None:
    node = world.node("n1")
    node.obedient = False
    world.deploy(stack(service()))
    node.disconnect()
    problem = world.replies["ticket-2"].problem
    assert problem is not None and "n1 did not say" in problem.summary


def test_a_dead_container_is_replaced_and_no_longer_found(world: World) -> None:
    node = world.node("n1")
    world.deploy(stack(service()))
    (victim,) = node.running()
    node.obedient = False
    node.reports(victim, TaskState.FAILED, message="exit code 137", exit_code=137)
    assert ready(world) == []
    node.obey()
    assert len(node.running()) == 1
    assert node.running() != [victim]
    assert ready(world) == node.running()


def test_a_crash_loop_backs_off_up_to_five_minutes(world: World) -> None:
    node = world.node("n1")
    world.deploy(stack(service()))
    waits = []
    for _ in range(12):
        (victim,) = node.running()
        node.reports(victim, TaskState.FAILED)
        began = world.now_ms
        while not node.running():
            world.pass_time(1_000)
        waits.append((world.now_ms - began) // 1_000)
    assert waits[:6] == [0, 1, 2, 4, 8, 16]
    assert waits[-1] == 300


def test_the_history_of_a_slot_is_bounded(world: World) -> None:
    node = world.node("n1")
    world.deploy(stack(service()))
    for _ in range(9):
        (victim,) = node.running()
        node.reports(victim, TaskState.FAILED)
        world.pass_time(300_000)
    assert len(world.tasks()) == 5


def test_a_task_that_shall_not_restart_stays_ended(world: World) -> None:
    node = world.node("n1")
    world.deploy(stack(service(restart=RestartPolicy(condition=RestartCondition.ON_FAILURE))))
    (done,) = node.running()
    node.reports(done, TaskState.COMPLETE, exit_code=0)
    world.pass_time(60_000)
    assert node.running() == []
    assert [task.id for task in world.tasks()] == [done]


def test_a_new_version_replaces_slot_after_slot(world: World) -> None:
    node = world.node("n1")
    world.deploy(stack(service(replicas=3)))
    old = node.running()
    node.obedient = False
    world.deploy(stack(service(image="app:2", replicas=3)))
    node.hears(node.asked[-1])
    node.obedient = True
    node.hears(node.asked[-1])
    assert len(node.running()) == 3
    assert not set(old) & set(node.running())
    assert {task.version for task in world.wanted()} == {2}


def test_a_version_that_does_not_come_up_stops_the_rollout(world: World) -> None:
    node = world.node("n1")
    policy = UpdatePolicy(parallelism=1, order=UpdateOrder.STOP_FIRST)
    world.deploy(stack(service(replicas=3, update=policy)))
    old = set(node.running())
    started: list[str] = []
    run = node._run
    node._run = lambda task_id, spec: (
        started.append(task_id)
        or run(task_id, spec).__class__(  # type: ignore
            task_id=task_id, state=TaskState.STARTING, health=Health.STARTING
        )
    )
    world.deploy(stack(service(image="app:2", replicas=3, update=policy)))
    world.pass_time(60_000)
    assert len(started) == 1
    assert len(old & set(node.running())) == 2


def test_the_delay_between_two_slots_is_kept(world: World) -> None:
    node = world.node("n1")
    slow = UpdatePolicy(parallelism=1, delay_ms=10_000)
    world.deploy(stack(service(replicas=2, update=slow)))
    world.pass_time(30_000)
    world.deploy(stack(service(image="app:2", replicas=2, update=slow)))
    assert sorted(task.version for task in world.wanted()) == [1, 2]
    world.pass_time(9_000)
    assert sorted(task.version for task in world.wanted()) == [1, 2]
    world.pass_time(2_000)
    assert [task.version for task in world.wanted()] == [2, 2]
    assert len(node.running()) == 2


def test_tasks_of_a_dead_node_run_elsewhere(world: World) -> None:
    first, second = world.node("n1"), world.node("n2")
    world.deploy(stack(service(replicas=4)))
    assert (len(first.running()), len(second.running())) == (2, 2)
    first.disconnect()
    assert world.state.lives[first.id].status is NodeStatus.SUSPECT
    world.pass_time(5_000)
    assert len(second.running()) == 2
    world.pass_time(2_000)
    assert world.state.lives[first.id].status is NodeStatus.DOWN
    assert len(second.running()) == 4
    assert sorted(ready(world)) == second.running()


def test_a_node_that_comes_back_stops_what_runs_elsewhere_now(world: World) -> None:
    first, second = world.node("n1"), world.node("n2")
    world.deploy(stack(service(replicas=2)))
    first.disconnect()
    world.pass_time(10_000)
    assert len(second.running()) == 2
    first.connect()
    assert first.running() == []
    assert len(second.running()) == 2


def test_the_only_node_keeps_its_tasks_when_its_agent_was_away(world: World) -> None:
    node = world.node("n1")
    world.deploy(stack(service(replicas=2)))
    before = node.running()
    node.disconnect()
    world.pass_time(60_000)
    assert ready(world) == []
    node.connect()
    assert node.running() == before
    assert sorted(ready(world)) == before
    assert len(world.wanted()) == 2


def test_a_removed_stack_leaves_nothing(world: World) -> None:
    node = world.node("n1")
    world.deploy(stack(service(replicas=2), service("api")))
    world.remove()
    assert node.statuses == {}
    assert (world.state.tasks, world.state.services, world.state.specs) == ({}, {}, {})


def test_a_stack_can_be_deployed_again_while_the_old_one_stops(world: World) -> None:
    node = world.node("n1")
    world.deploy(stack(service(ports=[8080])))
    (old,) = node.running()
    node.obedient = False
    world.remove()
    world.deploy(stack(service(ports=[8080])))
    node.obedient = True
    node.hears(node.asked[-1])
    assert node.running() == [old]
    node.obey()
    assert len(node.running()) == 1
    assert node.running() != [old]


def test_a_stack_on_a_dead_node_can_be_removed(world: World) -> None:
    node = world.node("n1")
    world.deploy(stack(service()))
    node.disconnect()
    world.pass_time(10_000)
    world.remove()
    assert world.state.services == {}
    node.connect()
    assert node.statuses == {}


def test_a_restarted_controller_adopts_what_runs(world: World) -> None:
    node = world.node("n1")
    world.deploy(stack(service(replicas=3)))
    before = node.running()
    again = world.restarted()
    again.pass_time(1_000)
    node.connect()
    assert node.running() == before
    assert sorted(ready(again)) == before


def test_a_restarted_controller_gives_its_nodes_time_to_come_back(world: World) -> None:
    first, second = world.node("n1"), world.node("n2")
    world.deploy(stack(service(replicas=2)))
    again = world.restarted()
    second.connect()
    again.pass_time(9_000)
    assert len(second.running()) == 1
    again.pass_time(2_000)
    assert again.state.lives[first.id].status is NodeStatus.DOWN
    assert len(second.running()) == 2


def test_a_paused_controller_does_not_blame_its_nodes(world: World) -> None:
    first, second = world.node("n1"), world.node("n2")
    world.deploy(stack(service(replicas=2)))
    before = (first.running(), second.running())
    world.now_ms += 60_000
    world._perform(world.core.wake(world.now))
    world.pass_time(3_000)
    assert (first.running(), second.running()) == before
    assert world.state.lives[first.id].status is NodeStatus.READY


def test_a_message_of_an_old_session_is_not_heard(world: World) -> None:
    node = world.node("n1")
    world.deploy(stack(service()))
    (task,) = node.running()
    old = node.session
    node.connect()
    node.session, current = old, node.session
    node.reports(task, TaskState.FAILED)
    node.session = current
    assert ready(world) == [task]


def test_a_state_never_goes_back(world: World) -> None:
    node = world.node("n1")
    world.deploy(stack(service()))
    (task,) = node.running()
    node.obedient = False
    node.reports(task, TaskState.STARTING)
    assert world.state.statuses[task].state is TaskState.RUNNING


def test_a_node_cannot_speak_for_tasks_of_another(world: World) -> None:
    first, second = world.node("n1"), world.node("n2")
    world.deploy(stack(service()))
    owner, other = (first, second) if first.running() else (second, first)
    (task,) = owner.running()
    other.reports(task, TaskState.FAILED)
    assert ready(world) == [task]


def test_a_second_machine_with_the_same_identity_is_refused(world: World) -> None:
    node = world.node("n1")
    session = node.session
    node.connect(boot_id="another-machine")
    assert "another machine" in node.dismissed[-1].reason
    assert world.state.lives[node.id].session_id == session


def test_a_fixed_port_keeps_two_tasks_off_one_node(world: World) -> None:
    world.node("n1"), world.node("n2")
    reply = world.deploy(stack(service(ports=[8080], replicas=3)))
    assert reply.problem.kind is ProblemKind.UNPLACEABLE
    assert any("2 have the port taken" in line for line in reply.problem.details)
    assert world.deploy(stack(service(ports=[8080], replicas=2))).problem is None


def test_scaling_beyond_the_room_is_refused_and_changes_nothing(world: World) -> None:
    world.node("n1", memory=4 * GIB)
    world.deploy(stack(service(memory=GIB)))
    assert world.scale("shop_web", 5).problem.kind is ProblemKind.UNPLACEABLE
    assert world.state.service_named("shop_web").replicas == 1
    assert world.scale("shop_web", 4).problem is None
    assert len(world.wanted()) == 4


def test_scaling_down_removes_the_highest_slots(world: World) -> None:
    node = world.node("n1")
    world.deploy(stack(service(replicas=4)))
    world.scale("shop/web", 1)
    assert len(node.running()) == 1
    assert [task.slot for task in world.tasks()] == [1]


def test_a_misspelt_service_is_told_the_nearest(world: World) -> None:
    world.node("n1")
    world.deploy(stack(service()))
    assert world.scale("shop_wbe", 2).problem.hint == "did you mean shop_web?"


def test_pruning_removes_what_left_the_file(world: World) -> None:
    node = world.node("n1")
    world.deploy(stack(service(), service("api")))
    world.deploy(stack(service()))
    assert len(node.running()) == 2
    world.deploy(stack(service()), prune=True)
    assert len(node.running()) == 1


def test_the_revision_moves_only_when_what_can_be_routed_to_changes(world: World) -> None:
    node = world.node("n1")
    world.deploy(stack(service()))
    before = lookup.lookup(world.state, "shop", "web").revision
    (task,) = node.running()
    node.reports(task, TaskState.RUNNING, message="", probe_output="200 OK", address="172.18.0.2")
    assert lookup.lookup(world.state, "shop", "web").revision == before
    node.reports(task, TaskState.RUNNING, health=Health.UNHEALTHY, address="172.18.0.2")
    assert lookup.lookup(world.state, "shop", "web").revision == before + 1


def test_a_revision_never_goes_back_over_a_restart(world: World) -> None:
    node = world.node("n1")
    world.deploy(stack(service()))
    before = lookup.lookup(world.state, "shop", "web").revision
    again = world.restarted()
    again.pass_time(10)
    node.connect()
    assert lookup.lookup(again.state, "shop", "web").revision > before


def test_a_container_that_vanished_is_replaced(world: World) -> None:
    node = world.node("n1")
    world.deploy(stack(service()))
    (task,) = node.running()
    node.statuses.clear()
    node.connect()
    assert len(node.running()) == 1
    assert node.running() != [task]


def test_scaling_asks_the_nodes_first(world: World) -> None:
    node = world.node("n1")
    world.deploy(stack(service(replicas=0)))
    node.faults = (PreflightFault(subject="app:1", reason="image app:1 does not exist"),)
    assert "image app:1 does not exist" in world.scale("shop_web", 3).problem.summary
    assert world.state.service_named("shop_web").replicas == 0
