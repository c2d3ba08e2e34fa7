"""A plan tells what the deploy then does, and changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from bayplan.errors import ProblemKind
from bayplan.model import (
    Dependency,
    Mount,
    MountKind,
    PreflightFault,
    ServiceMode,
    ServiceSpec,
    StackSpec,
    UpdateOrder,
    UpdatePolicy,
)
from bayplan.policy import Privilege
from bayplan.views import NodeShare, Origin, Placement, Plan, ServiceAction, ServicePlan
from controller.core.planning import TASKS_SHOWN_MAX
from controller.core.turn import Settings
from controller.events import PlanAsked
from tests.unit.controller.world import CRASHES, GIB, World, service, stack


@pytest.fixture
def world() -> World:
    return World()


def actions(plan: Plan) -> dict[str, str]:
    return {each.change.service: each.change.action.value for each in plan.services}


def only(plan: Plan) -> ServicePlan:
    (found,) = plan.services
    return found


def with_environment(*entries: str, **fields: Any) -> ServiceSpec:
    wished = service(**fields)
    return replace(wished, container=replace(wished.container, environment=entries))


def test_a_plan_writes_nothing_and_the_deploy_does_what_it_said(world: World) -> None:
    world.node("n1")
    world.deploy(stack(service("same"), service("old"), service("image"), service("number")))
    wished = stack(
        service("same"), service("image", image="app:2"), service("number", replicas=3), service("new")
    )
    world.log.clear()
    plan = world.plan(wished, prune=True)
    assert world.log == []
    assert actions(plan) == {
        "shop_same": "same",
        "shop_image": "update",
        "shop_number": "scale",
        "shop_new": "create",
        "shop_old": "remove",
    }
    assert (plan.index, plan.problems) == (1, ())
    reply = world.deploy(wished, prune=True, check_index=plan.index)
    assert reply.value.changes == tuple(each.change for each in plan.services)
    assert reply.value.revision == 2


def test_a_plan_shows_where_each_new_task_would_go_and_why(world: World) -> None:
    world.node("n1"), world.node("n2")
    plan = world.plan(stack(service(replicas=2)))
    assert {(task.name, task.node) for task in only(plan).tasks} == {
        ("shop_web.1", "n1"),
        ("shop_web.2", "n2"),
    }
    assert all(task.reasons for task in only(plan).tasks)


def test_scaling_shows_only_the_tasks_that_are_new(world: World) -> None:
    world.node("n1")
    world.deploy(stack(service(replicas=2)))
    plan = world.plan(stack(service(replicas=3)))
    assert [task.name for task in only(plan).tasks] == ["shop_web.3"]
    assert [(field.path, field.before, field.after) for field in only(plan).fields] == [
        ("replicas", "2", "3")
    ]


def test_what_fits_nowhere_is_a_problem_of_the_plan(world: World) -> None:
    world.node("n1", memory=GIB)
    plan = world.plan(
        stack(service("small"), service("big", memory=2 * GIB, places={"resources": "c.yml:3"}))
    )
    big = plan.services[1]
    assert [(task.node, "short of memory" in str(task.reasons)) for task in big.tasks] == [("", True)]
    assert "nearest: n1 has" in str(big.tasks[0].reasons)
    (problem,) = plan.problems
    assert (problem.kind, problem.place) == (ProblemKind.UNPLACEABLE, "c.yml:3")
    assert plan.services[0].tasks[0].node == "n1"


def test_what_fits_nowhere_points_at_the_key_that_is_to_blame(world: World) -> None:
    world.node("n1")
    places = {"service": "c.yml:1", "ports": "c.yml:5", "constraints": "c.yml:9"}
    crowded = service("a", ports=[8080], replicas=2, places=places)
    misplaced = service("b", constraints=("node.hostname == n9",), places=places)
    plan = world.plan(stack(crowded, misplaced))
    assert [problem.place for problem in plan.problems] == ["c.yml:5", "c.yml:9"]


def test_what_a_node_says_against_it_is_a_problem_of_the_plan(world: World) -> None:
    node = world.node("n1")
    node.faults = (PreflightFault(subject="nosuch:1", reason="image nosuch:1 does not exist"),)
    plan = world.plan(stack(service(image="nosuch:1", places={"image": "c.yml:4"})))
    (problem,) = plan.problems
    assert problem.place == "c.yml:4"
    assert "n1 cannot start it: image nosuch:1 does not exist" in problem.summary


def test_a_node_that_goes_away_is_a_problem_of_the_plan(world: World) -> None:
    node = world.node("n1")
    node.obedient = False
    world.event(PlanAsked(ticket="plan", stack=stack(service())))
    node.disconnect()
    plan: Any = world.replies["plan"].value
    assert any("n1 did not say" in problem.summary for problem in plan.problems)


def test_a_plan_for_a_cluster_without_nodes_says_so(world: World) -> None:
    plan = world.plan(stack(service()))
    assert "no nodes" in str(plan.problems[0].details)


def test_a_hidden_value_stays_hidden(world: World) -> None:
    world.node("n1")
    world.deploy(stack(with_environment("DB_PASSWORD=old-hunter", "A=1")))
    plan = world.plan(stack(with_environment("DB_PASSWORD=new-hunter", "A=2")))
    shown = {field.path: (field.before, field.after) for field in only(plan).fields}
    assert shown["container.environment.A"] == ("1", "2")
    assert shown["container.environment.DB_PASSWORD"] == ("(hidden)", "(hidden)")
    assert "hunter" not in repr(plan)


def test_an_image_whose_name_means_another_by_now_is_an_update(world: World) -> None:
    node = world.node("n1")
    node.images = {"app:1": "sha256:1"}
    world.deploy(stack(service()))
    assert actions(world.plan(stack(service()))) == {"shop_web": "same"}
    node.images = {"app:1": "sha256:2"}
    before = node.running()
    plan = only(world.plan(stack(service())))
    assert plan.change.action is ServiceAction.UPDATE
    assert (plan.image_before, plan.image_after) == ("sha256:1", "sha256:2")
    assert len(plan.tasks) == 1
    world.deploy(stack(service()))
    assert node.running() != before
    assert actions(world.plan(stack(service()))) == {"shop_web": "same"}


def test_nodes_that_disagree_about_an_image_update_nothing(world: World) -> None:
    first, second = world.node("n1"), world.node("n2")
    first.images = second.images = {"app:1": "sha256:1"}
    world.deploy(stack(service(replicas=2)))
    second.images = {"app:1": "sha256:2"}
    assert actions(world.plan(stack(service(replicas=2)))) == {"shop_web": "same"}


def test_an_image_that_only_runs_may_be_gone_from_its_node(world: World) -> None:
    node = world.node("n1")
    node.images = {"app:1": "sha256:1"}
    world.deploy(stack(service()))
    node.faults = (PreflightFault(subject="app:1", reason="image app:1 does not exist"),)
    assert world.plan(stack(service())).problems == ()
    node.obedient = False
    assert world.deploy(stack(service())) is None
    node.disconnect()
    assert [reply.problem for reply in world.replies.values()][-1] is None


def test_waves_come_from_the_dependencies(world: World) -> None:
    world.node("n1")
    needs_db = (Dependency(service="db", required=True),)
    plan = world.plan(stack(service("web", depends_on=needs_db), service("db")))
    assert {each.change.service: each.wave for each in plan.services} == {"shop_web": 2, "shop_db": 1}


def test_what_stays_as_it_is_makes_no_wave(world: World) -> None:
    world.node("n1")

    def shop(image: str) -> StackSpec:
        after = {
            name: (Dependency(service=before, required=True),)
            for name, before in (("web", "api"), ("api", "db"))
        }
        return stack(
            service("web", image=image, depends_on=after["web"]),
            service("api", depends_on=after["api"]),
            service("db", image=image),
        )

    world.deploy(shop("app:1"))
    plan = world.plan(shop("app:2"))
    assert {each.change.service: each.wave for each in plan.services if each.fields} == {
        "shop_web": 1,
        "shop_db": 1,
    }


def test_how_it_rolls_is_said_in_words(world: World) -> None:
    world.node("n1")
    policy = UpdatePolicy(parallelism=2, delay_ms=10_000, order=UpdateOrder.START_FIRST)
    world.deploy(stack(service(replicas=4)))
    plan = world.plan(stack(service(replicas=4, image="app:2", update=policy)))
    assert only(plan).rolls == "2 at a time, start-first, 10s apart"


def test_an_order_that_nobody_asked_for_is_said_with_its_reason(world: World) -> None:
    world.node("n1")
    world.deploy(stack(service("web"), service("api")))
    plan = world.plan(stack(service("web", image="app:2"), service("api", image="app:2", ports=[8080])))
    assert [each.rolls for each in plan.services] == [
        "1 at a time, start-first (two tasks of a slot may run side by side)",
        "1 at a time, stop-first (it publishes port 8080 of its node)",
    ]


def test_the_reservation_says_where_it_comes_from(world: World) -> None:
    world.node("n1")
    reservation = only(world.plan(stack(service(cpu=500)))).reservation
    assert (reservation.cpu_origin, reservation.memory_origin) == (Origin.EXPLICIT, Origin.DEFAULT)
    assert reservation.resources.cpu_millis == 500


def test_a_global_service_shows_a_task_for_each_node(world: World) -> None:
    world.node("n1"), world.node("n2")
    plan = world.plan(stack(service(mode=ServiceMode.GLOBAL)))
    assert sorted(task.node for task in only(plan).tasks) == ["n1", "n2"]


def test_a_plan_of_very_many_tasks_lists_some_of_them_and_what_fits_nowhere_first(world: World) -> None:
    world.node("n1", memory=10 * GIB)
    service_plan = only(world.plan(stack(service(memory=GIB, replicas=200))))
    tasks, placement = service_plan.tasks, service_plan.placement
    assert [task.node for task in tasks] == [""] * TASKS_SHOWN_MAX
    assert tasks[0].name == "shop_web.11"
    assert placement == Placement(tasks=200, nowhere=190, nodes=1, shares=(NodeShare(node="n1", tasks=10),))


def test_a_plan_of_many_tasks_counts_them_by_node(world: World) -> None:
    for number in range(5):
        world.node(f"n{number}", cpu=2 + number)
    placement = only(world.plan(stack(service(cpu=10, replicas=300)))).placement
    assert (placement.tasks, placement.nowhere) == (300, 0)
    counts = [share.tasks for share in placement.shares]
    assert (sum(counts), counts, placement.nodes) == (300, sorted(counts, reverse=True), len(counts))
    assert max(counts) <= 100


def test_a_plan_of_a_hostile_stack_is_refused_with_all_its_faults(world: World) -> None:
    world.node("n1")
    wished = stack(service(image=""), service(image=""))
    reply = world.deploy(wished)
    assert [problem.kind for problem in reply.problems] == [ProblemKind.INVALID] * 3


def test_two_stacks_cannot_have_a_service_of_one_name(world: World) -> None:
    world.node("n1")
    world.deploy(stack(service("b_c"), name="a"))
    problem = world.deploy(stack(service("c"), name="a_b")).problem
    assert problem is not None and "taken by a service of stack a" in problem.summary
    assert len(world.state.services) == 1


def test_a_global_service_has_no_number_to_scale(world: World) -> None:
    world.node("n1")
    world.deploy(stack(service(mode=ServiceMode.GLOBAL)))
    problem = world.scale("shop_web", 3).problem
    assert problem is not None and "one task on each fit node" in problem.summary


# --- what the controller allows ---


def risky(**container: Any) -> StackSpec:
    wished = service(places={"privileged": "c.yml:9"})
    return stack(replace(wished, container=replace(wished.container, **container)))


def test_what_is_not_allowed_is_refused_with_its_place_and_the_way_out(world: World) -> None:
    world.node("n1")
    reply = world.deploy(risky(privileged=True))
    assert reply.problem is not None
    assert (reply.problem.kind, reply.problem.place) == (ProblemKind.REFUSED, "c.yml:9")
    assert 'add "privileged" to "allow"' in reply.problem.hint
    assert world.state.services == {}
    assert world.plan(risky(privileged=True)).problems == (reply.problem,)


def test_what_is_allowed_is_deployed() -> None:
    world = World(settings=Settings(allowed=frozenset({Privilege.HOST_NETWORK})))
    world.node("n1")
    assert world.deploy(risky(network_mode="host")).problem is None
    assert world.deploy(risky(pid_mode="host")).problem is not None


# --- what is asked of nodes ---


def test_a_path_that_is_made_when_missing_is_not_asked_for(world: World) -> None:
    node = world.node("n1")
    binds = (
        Mount(kind=MountKind.BIND, source="/made", target="/a", create_source=True),
        Mount(kind=MountKind.BIND, source="/there", target="/b"),
    )
    wished = service()
    world.plan(stack(replace(wished, container=replace(wished.container, mounts=binds))))
    assert node.asked[-1].paths == ("/there",)


def test_a_plan_does_not_promise_the_room_that_a_pending_task_waits_for(world: World) -> None:
    first = world.node("n1", memory=4 * GIB)
    world.deploy(stack(service(memory=3 * GIB), name="first"))
    world.node("n2", memory=4 * GIB)
    world.deploy(stack(service(memory=3 * GIB)))
    first.disconnect()
    world.pass_time(60_000)
    plan = world.plan(stack(service(memory=2 * GIB)))
    assert [problem.summary for problem in plan.problems] == ["shop_web.1 cannot be placed"]
    assert world.plan(stack(service(memory=1 * GIB))).problems == ()


def test_a_plan_does_not_promise_the_room_of_a_task_that_backs_off(world: World) -> None:
    world.fates["bad:1"] = CRASHES
    world.node("n1", memory=4 * GIB)
    world.deploy(stack(service(image="bad:1", memory=3 * GIB), name="first"))
    world.pass_time(30_000)
    plan = world.plan(stack(service(memory=2 * GIB)))
    assert [problem.summary for problem in plan.problems] == ["shop_web.1 cannot be placed"]
    world.remove("first")
    world.pass_time(1_000)
    assert world.plan(stack(service(memory=2 * GIB))).problems == ()


def started_first(**fields: Any) -> ServiceSpec:
    policy = UpdatePolicy(order=UpdateOrder.START_FIRST, parallelism=fields.pop("parallelism", 1))
    return service(update=policy, **fields)


@pytest.mark.parametrize(("parallelism", "fits"), [(1, True), (2, False), (0, False)])
def test_start_first_by_name_without_room_beside_the_old_tasks_is_warned_of(
    world: World, parallelism: int, fits: bool
) -> None:
    world.node("n1", memory=8 * GIB)
    world.deploy(stack(service(replicas=3, memory=2 * GIB)))
    world.pass_time(10_000)
    wished = started_first(image="app:2", replicas=3, memory=2 * GIB, parallelism=parallelism)
    warnings = world.plan(stack(wished)).warnings
    assert (warnings == ()) is fits
    assert all(
        text.startswith("there is no room for a new shop_web.2 beside the old one") for text in warnings
    )
    assert world.deploy(stack(wished)).value.warnings == warnings


def test_where_the_order_is_left_to_the_cluster_no_room_beside_is_needed(world: World) -> None:
    world.node("n1", memory=4 * GIB)
    world.deploy(stack(service(memory=3 * GIB)))
    world.pass_time(10_000)
    assert world.plan(stack(service(image="app:2", memory=3 * GIB))).warnings == ()


def test_canaries_without_room_beside_the_old_tasks_are_warned_of(world: World) -> None:
    world.node("n1", memory=4 * GIB)
    world.deploy(stack(service(memory=3 * GIB)))
    world.pass_time(10_000)
    wished = service(image="app:2", memory=3 * GIB, update=UpdatePolicy(canaries=1))
    assert "shop_web.1 beside the old one" in world.plan(stack(wished)).warnings[0]
