"""Services one by one: made, changed, restarted and taken away without their stack's file."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from bayplan.errors import ProblemKind
from bayplan.model import (
    Dependency,
    FileKind,
    FileMount,
    PreflightFault,
    Schedule,
    ServiceMode,
    ServiceSpec,
    StackFile,
)
from bayplan.views import ServiceAction
from controller.core import history
from controller.events import (
    Reply,
    ServiceCreateAsked,
    ServiceRemoveAsked,
    ServiceRestartAsked,
    ServiceUpdateAsked,
)
from tests.unit.controller.world import ENDS, GIB, World, service, stack

JOB = ServiceMode.REPLICATED_JOB


@pytest.fixture
def world() -> World:
    world = World()
    world.node("n1")
    return world


def create(world: World, spec: ServiceSpec, name: str = "shop") -> Reply:
    return world.ask(ServiceCreateAsked(ticket="", stack=name, spec=spec))


def update(world: World, spec: ServiceSpec, **fields: Any) -> Reply:
    return world.ask(ServiceUpdateAsked(ticket="", service=f"shop_{spec.name}", spec=spec, **fields))


def restart(world: World, name: str = "shop_web") -> Reply:
    return world.ask(ServiceRestartAsked(ticket="", service=name))


def remove(world: World, name: str = "shop_web") -> Reply:
    return world.ask(ServiceRemoveAsked(ticket="", service=name))


def changes(reply: Reply) -> dict[str, tuple[ServiceAction, int]]:
    assert reply.problem is None, reply.problem
    return {each.service: (each.action, each.version) for each in reply.value.changes}


def refusal(reply: Reply) -> str:
    assert reply.problem is not None, reply
    return reply.problem.summary


def causes(world: World) -> list[str]:
    return [each.cause for each in history.views(world.state, "shop")]


def needs(name: str, other: str) -> ServiceSpec:
    return service(name, depends_on=(Dependency(service=other, required=True),))


def test_a_service_can_be_the_first_of_a_new_stack(world: World) -> None:
    assert changes(create(world, service())) == {"shop_web": (ServiceAction.CREATE, 1)}
    assert causes(world) == ["creation of web"]
    assert world.runs() == {1: 1}


def test_a_service_joins_a_stack_and_leaves_the_others_as_they_are(world: World) -> None:
    world.deploy(stack(service("db")))
    before = world.tasks("shop_db")
    assert changes(create(world, needs("web", "db"))) == {"shop_web": (ServiceAction.CREATE, 1)}
    assert world.tasks("shop_db") == before
    assert [each.name for each in history.find(world.state, "shop", 0).spec.services] == ["db", "web"]


def test_a_name_is_taken_once(world: World) -> None:
    create(world, service())
    assert refusal(create(world, service())) == "there is a service shop_web already"
    world.deploy(stack(service("b_c"), name="a"))
    assert "is taken by a service of stack a" in refusal(create(world, service("c"), "a_b"))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (service("no good"), "service name 'no good' must be letters"),
        (service(replicas=10**9), "wants 1000000000 replicas"),
        (needs("web", "db"), "depends on 'db', which is not there"),
        (service(schedule=Schedule(cron="0 3 * * *")), "has a schedule, which is for jobs"),
        (service(memory=99 * GIB), "shop_web.1 cannot be placed"),
    ],
)
def test_a_service_is_checked_as_in_a_deploy(world: World, spec: ServiceSpec, said: str) -> None:
    assert said in refusal(create(world, spec))
    assert not world.state.services


def test_nodes_are_asked_before_a_service_is_made(world: World) -> None:
    (node,) = world.nodes.values()
    node.faults = (PreflightFault(subject="app:1", reason="no such image"),)
    assert refusal(create(world, service())) == "n1 cannot start it: no such image"
    assert not world.state.services


def test_an_update_takes_the_whole_spec_and_makes_a_revision(world: World) -> None:
    world.deploy(stack(service(), needs("other", "web")))
    others = world.tasks("shop_other")
    assert changes(update(world, service(image="app:2"))) == {"shop_web": (ServiceAction.UPDATE, 2)}
    assert causes(world) == ["update of web", "deploy"]
    assert world.tasks("shop_other") == others
    world.pass_time(10_000)
    assert world.runs() == {1: 2}


def test_an_update_to_what_is_there_changes_nothing(world: World) -> None:
    world.deploy(stack(service()))
    assert changes(update(world, service())) == {"shop_web": (ServiceAction.SAME, 1)}
    assert causes(world) == ["deploy"]


def test_an_update_of_a_service_that_somebody_else_changed_is_refused(world: World) -> None:
    world.deploy(stack(service()))
    world.deploy(stack(service(image="app:2")))
    said = refusal(update(world, service(image="app:3"), check_version=1))
    assert said == "shop_web is at version 2 now, not at 1: somebody changed it meanwhile"
    assert changes(update(world, service(image="app:3"), check_version=2))


def test_a_service_keeps_its_name(world: World) -> None:
    world.deploy(stack(service()))
    reply = world.ask(ServiceUpdateAsked(ticket="", service="shop_web", spec=service("other")))
    assert refusal(reply) == "the new spec of shop_web is of 'other'"


def test_an_update_keeps_the_files_that_the_service_mounts(world: World) -> None:
    wished = service()
    mount = FileMount(kind=FileKind.CONFIG, source="shop_c", target="/c")
    wished = replace(wished, container=replace(wished.container, files=(mount,)))
    brought = StackFile(kind=FileKind.CONFIG, name="shop_c", content=b"x")
    world.deploy(replace(stack(wished), files=(brought,)))
    (before,) = world.spec().container.files
    update(world, replace(wished, container=replace(wished.container, image="app:2")))
    assert world.spec().container.image == "app:2"
    assert world.spec().container.files == (before,)
    assert before.digest


def test_a_file_that_is_not_there_is_refused(world: World) -> None:
    wished = service()
    mount = FileMount(kind=FileKind.SECRET, source="key", target="/run/secrets/key")
    wished = replace(wished, container=replace(wished.container, files=(mount,)))
    assert refusal(create(world, wished)) == "there is no secret key in the cluster"


def test_a_restart_replaces_all_tasks_by_new_ones_of_the_same_spec(world: World) -> None:
    world.deploy(stack(service(replicas=2)))
    before = {task.id for task in world.wanted()}
    assert changes(restart(world)) == {"shop_web": (ServiceAction.UPDATE, 2)}
    world.pass_time(60_000)
    assert not before & {task.id for task in world.wanted()}
    assert world.runs() == {1: 2, 2: 2}
    assert causes(world) == ["restart of web", "deploy"]


def test_the_same_file_after_a_restart_changes_nothing(world: World) -> None:
    wished = stack(service())
    world.deploy(wished)
    restart(world)
    assert changes(world.deploy(wished)) == {"shop_web": (ServiceAction.SAME, 2)}
    update(world, service(image="app:2"))
    assert world.spec().generation == 1


def test_a_scheduled_job_is_not_restarted(world: World) -> None:
    world.deploy(stack(service(mode=JOB, schedule=Schedule(cron="0 3 * * *"))))
    assert "is a job on a schedule" in refusal(restart(world))


def test_a_service_leaves_its_stack(world: World) -> None:
    world.deploy(stack(service(), service("other")))
    assert changes(remove(world)) == {"shop_web": (ServiceAction.REMOVE, 1)}
    world.pass_time(1_000)
    assert world.state.service_named("shop_web") is None
    assert world.runs("shop_other") == {1: 1}
    assert causes(world)[0] == "removal of web"


def test_a_service_that_others_need_stays(world: World) -> None:
    world.deploy(stack(service(), needs("a", "web"), needs("b", "web")))
    assert refusal(remove(world)) == "shop_web is needed: a, b of its stack depend on it"
    assert remove(world, "shop_a").problem is None


def test_the_last_service_takes_its_stack_along(world: World) -> None:
    wished = service()
    mount = FileMount(kind=FileKind.CONFIG, source="shop_c", target="/c")
    wished = replace(wished, container=replace(wished.container, files=(mount,)))
    brought = StackFile(kind=FileKind.CONFIG, name="shop_c", content=b"x")
    world.deploy(replace(stack(wished), files=(brought,)))
    remove(world)
    world.pass_time(1_000)
    assert not world.state.services
    assert not world.state.files
    assert history.index(world.state, "shop") == 0
    assert world.deploy(stack(service())).value.revision == 3


def test_what_is_not_there_is_told_with_what_is_nearest(world: World) -> None:
    world.deploy(stack(service()))
    for reply in (remove(world, "shop_wep"), restart(world, "shop_wep")):
        assert reply.problem is not None
        assert (reply.problem.kind, reply.problem.hint) == (ProblemKind.NOT_FOUND, "did you mean shop_web?")


def test_a_job_can_be_made_alone(world: World) -> None:
    world.fates["app:1"] = ENDS
    create(world, service("once", mode=JOB))
    assert world.view("shop_once").completed == 1
