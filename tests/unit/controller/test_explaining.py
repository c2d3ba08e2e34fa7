"""Explanations: what is said of services, slots and tasks, and what each node says."""

from __future__ import annotations

import pytest

from bayplan.errors import ProblemError
from bayplan.lifecycle import TaskState
from bayplan.model import (
    Availability,
    Dependency,
    DependencyCondition,
    Health,
    NetworkAttachment,
    NetworkSpec,
    NodeCondition,
    NodeFault,
    NodeFaultKind,
    RestartCondition,
    RestartPolicy,
    Schedule,
    ServiceMode,
)
from bayplan.views import Explanation
from controller.events import NodeUpdateAsked
from controller.explaining import EVENTS_MAX, explain
from controller.names import find_slot
from tests.unit.controller.world import CRASHES, ENDS, GIB, STARTS, World, fate, service, stack


@pytest.fixture
def world() -> World:
    return World()


def of(world: World, target: str = "shop_web") -> Explanation:
    return explain(world.state, world.core.ground, target, world.now_ms)


def told(world: World, target: str = "shop_web") -> str:
    return "\n".join(of(world, target).lines)


def missing(world: World, target: str) -> tuple[str, str]:
    with pytest.raises(ProblemError) as caught:
        of(world, target)
    return caught.value.problem.summary, caught.value.problem.hint


def test_a_service_that_is_well_says_so_in_one_line(world: World) -> None:
    world.node("n1")
    world.deploy(stack(service(replicas=2)))
    world.pass_time(30_000)
    assert of(world).lines == ("replicated, version 1: 2 of 2 ready, 2 running",)


def test_faults_of_nodes_are_told_where_they_matter_for_the_service(world: World) -> None:
    first, second = world.node("n1"), world.node("n2")
    attachment = NetworkAttachment(network="shop_back", spec=NetworkSpec())
    world.deploy(stack(service(ports=[8080], container={"networks": (attachment,)})))
    (task,) = world.wanted()
    here, away = (first, second) if task.node_id == first.id else (second, first)
    kinds = (
        (NodeFaultKind.PORT, "8080"),
        (NodeFaultKind.PORT, "9090"),
        (NodeFaultKind.MTU, "shop_back"),
        (NodeFaultKind.MTU, "shop_front"),
        (NodeFaultKind.PEER, world.state.nodes[away.id].address),
        (NodeFaultKind.PEER, "10.0.0.9"),
    )
    faults = tuple([NodeFault(kind=kind, subject=on, text=f"{kind.value} {on}") for kind, on in kinds])
    for node in (here, away):
        node.says(NodeCondition(faults=faults))
    names = {node.id: world.state.nodes[node.id].name for node in (here, away)}
    assert set(of(world).lines[1:]) == {
        f"on node {names[here.id]}: port 8080",
        f"on node {names[here.id]}: mtu shop_back",
        f"on node {names[here.id]}: peer {world.state.nodes[away.id].address}",
        f"on node {names[away.id]}: port 8080",
    }
    here.says(NodeCondition())
    away.says(NodeCondition())
    assert not of(world).lines[1:]


def test_all_names_of_a_service_and_of_a_slot_are_understood(world: World) -> None:
    world.node("n1")
    world.deploy(stack(service(replicas=2), service("v1.2", "app:2")))
    (task, _) = world.wanted()
    service_id = world.view().id
    for target in ("shop_web", "shop/web", service_id, service_id[:6]):
        assert of(world, target).subject == "shop_web"
    for target in ("shop_web.1", "shop/web.1", task.id, task.id[:6]):
        assert of(world, target).subject == "shop_web.1"
    assert find_slot(world.state, "shop_v1.2")[1] is None
    assert find_slot(world.state, "shop_v1.2.1")[1] == 1


def test_a_miss_says_what_is_nearest(world: World) -> None:
    world.node("n1")
    world.deploy(stack(service()))
    world.deploy(stack(service(), name="blog"))
    assert missing(world, "shop_wep") == ("there is no service shop_wep", "did you mean shop_web?")
    assert missing(world, "web") == ("there is no service web", "did you mean blog_web or shop_web?")
    assert missing(world, "shop_web.7")[0] == "shop_web has no slot 7"
    assert missing(world, f"shop_web.{'9' * 5_000}")[0].startswith("there is no service")


def test_each_node_says_what_it_would_say_to_a_new_task(world: World) -> None:
    world.node("n1"), world.node("n2"), world.node("n3", memory=1 * GIB)
    world.deploy(stack(service(memory=2 * GIB)))
    (running,) = world.wanted()
    verdicts = of(world).verdicts
    where = world.state.nodes[running.node_id].name
    assert [(each.fits, each.rank, each.tasks) for each in verdicts] == [
        (True, 1, 0),
        (True, 2, 1),
        (False, 0, 0),
    ]
    assert verdicts[1].node == where
    assert verdicts[2].reason.startswith("short of memory: ")
    assert [each.tasks for each in of(world, "shop_web.1").verdicts] == [0, 0, 0]


def test_a_task_without_a_node_says_why(world: World) -> None:
    node = world.node("n1")
    world.deploy(stack(service(memory=2 * GIB)))
    node.disconnect()
    world.pass_time(60_000)
    assert "shop_web.1 waits for a node: needs 0.05 CPU, 2 GiB · 1 node: 1 not ready" in told(world)
    assert [each.reason for each in of(world).verdicts] == ["not ready"]


def test_a_task_that_crashes_says_how_it_ended_and_when_it_comes_again(world: World) -> None:
    world.node("n1")
    world.fates["app:1"] = CRASHES
    world.deploy(stack(service()))
    world.pass_time(30_000)
    assert "shop_web.1 ended last on n1: exit code 1" in told(world)
    assert "failures in a row" in told(world)
    assert "shop_web.1 is started again in " in told(world)


def test_a_task_that_is_not_started_again_says_so(world: World) -> None:
    world.node("n1")
    world.fates["app:1"] = CRASHES
    world.deploy(stack(service(restart=RestartPolicy(condition=RestartCondition.NONE))))
    assert "shop_web.1 is not started again: that is its restart policy" in told(world)


def test_a_health_check_that_fails_shows_its_output(world: World) -> None:
    world.node("n1")
    unhealthy = fate(TaskState.RUNNING, health=Health.UNHEALTHY, probe_output="one\nno route to db\n")
    world.fates["app:1"] = unhealthy
    world.deploy(stack(service()))
    assert "shop_web.1 runs on n1, but its health check fails\nshop_web.1   | one\n" in told(world)
    assert "no route to db" in told(world, "shop_web.1")


def test_a_service_says_what_it_waits_for(world: World) -> None:
    world.node("n1")
    world.fates["db:1"] = STARTS
    after = Dependency(service="db", condition=DependencyCondition.HEALTHY, required=True)
    world.deploy(stack(service("db", "db:1"), service(depends_on=(after,))))
    assert "waits for shop_db to be healthy" in told(world)


def test_a_task_on_a_silent_node_says_so(world: World) -> None:
    node = world.node("n1")
    world.deploy(stack(service()))
    node.disconnect()
    world.pass_time(5_000)
    assert "shop_web.1 is on n1, which is suspect (not heard for 5s)" in told(world)


def test_a_job_says_how_much_is_done_and_when_it_runs_next(world: World) -> None:
    world.node("n1")
    world.fates["app:1"] = ENDS
    world.deploy(stack(service(mode=ServiceMode.REPLICATED_JOB)))
    assert of(world).lines == ("replicated job, version 1: 1 of 1 done, 0 running",)
    nightly = service("nightly", mode=ServiceMode.GLOBAL_JOB, schedule=Schedule(cron="0 3 * * *"))
    world.deploy(stack(nightly, name="jobs"))
    assert "runs first at 20" in told(world, "jobs_nightly")


def test_a_rollout_says_in_which_order_and_why(world: World) -> None:
    world.node("n1")
    world.fates["app:2"] = STARTS
    world.deploy(stack(service()))
    world.pass_time(10_000)
    world.deploy(stack(service(image="app:2")))
    world.pass_time(1_000)
    assert "rolling 0/1" in told(world)
    assert "new tasks come start-first" in told(world)
    assert "without progress it has failed in " in told(world)


def test_tasks_and_events_are_those_of_the_slot_that_is_asked_about(world: World) -> None:
    world.node("n1")
    world.deploy(stack(service(replicas=2), service("other", "app:2")))
    found = of(world, "shop_web.2")
    assert {task.slot for task in found.tasks} == {2}
    assert {event.subject for event in found.events} == {"shop_web", "shop_web.2"}
    for version in range(EVENTS_MAX):
        world.deploy(stack(service(replicas=2, image=f"app:{version + 5}"), service("other", "app:2")))
    events = of(world).events
    assert len(events) == EVENTS_MAX
    assert [event.index for event in events] == sorted(event.index for event in events)


def test_a_drained_node_says_so(world: World) -> None:
    world.node("n1"), world.node("n2")
    world.deploy(stack(service()))
    world.ask(NodeUpdateAsked(ticket="", node="n2", availability=Availability.DRAIN))
    assert {each.node: each.reason for each in of(world).verdicts}["n2"] == "draining"


def test_a_fenced_task_says_when_it_may_be_replaced(world: World) -> None:
    world.node("n1")
    world.deploy(stack(service(fence=True)))
    world.node("n2")
    (first,) = [node for node in world.nodes.values() if node.running()]
    first.disconnect()
    world.pass_time(8_000)
    assert "shop_web.1 is fenced: it is replaced in 1" in told(world)
    assert "when it has surely ended on n1" in told(world)
    world.pass_time(60_000)
    assert "fenced" not in told(world)
