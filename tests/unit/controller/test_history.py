"""A stack's revisions: what is kept, and how it comes back."""

from __future__ import annotations

import pytest

from bayplan.errors import ProblemError, ProblemKind
from bayplan.model import ContainerSpec, ServiceSpec
from controller import views
from controller.core import history
from controller.core.history import REMOVED_KEPT_MAX, REVISIONS_KEPT_MAX
from controller.records import Cluster, Put, Service, ServiceVersion, StackRevision
from controller.state import State
from tests.unit.controller.world import World, service, stack


@pytest.fixture
def world() -> World:
    world = World()
    world.node("n1")
    return world


def told(world: World) -> list[tuple[int, str, bool]]:
    return [(each.revision, each.cause, each.current) for each in history.views(world.state, "shop")]


def images(world: World) -> dict[str, str]:
    return {each.name: world.state.spec_of(each).container.image for each in world.state.stack("shop")}


def test_each_change_is_a_revision_with_its_cause(world: World) -> None:
    world.deploy(stack(service()))
    world.deploy(stack(service(image="app:2")))
    world.scale("shop_web", 3)
    assert told(world) == [(3, "scale web to 3", True), (2, "deploy", False), (1, "deploy", False)]
    assert views.stack_views(world.state)[0].revision == 3


def test_what_changes_nothing_is_no_revision(world: World) -> None:
    world.deploy(stack(service()))
    assert world.deploy(stack(service())).value.revision == 1
    world.scale("shop_web", 1)
    assert told(world) == [(1, "deploy", True)]


def test_a_rollback_brings_a_revision_back_whole(world: World) -> None:
    world.deploy(stack(service(replicas=2), service("old")))
    world.deploy(stack(service(image="app:2"), service("new")), prune=True)
    deployed = world.rollback().value
    assert {change.service: change.action.value for change in deployed.changes} == {
        "shop_web": "update",
        "shop_old": "create",
        "shop_new": "remove",
    }
    assert images(world) == {"shop_old": "app:1", "shop_web": "app:1"}
    assert world.state.service_named("shop_web").replicas == 2  # type: ignore[union-attr]
    assert told(world)[0] == (3, "rollback to 1", True)


def test_a_rollback_names_its_revision_or_takes_the_one_before(world: World) -> None:
    for number in (1, 2, 3):
        world.deploy(stack(service(image=f"app:{number}")))
    world.rollback(1)
    assert images(world) == {"shop_web": "app:1"}
    world.rollback()
    assert images(world) == {"shop_web": "app:3"}


def test_a_rollback_to_what_is_not_kept_says_what_is(world: World) -> None:
    world.deploy(stack(service()))
    assert world.rollback().problem.kind is ProblemKind.NOT_FOUND  # type: ignore[union-attr]
    reply = world.rollback(7)
    assert reply.problem is not None and reply.problem.hint.endswith("there are: 1")
    assert world.rollback(name="shpo").problem.hint == "did you mean shop?"  # type: ignore[union-attr]


def test_services_that_were_not_named_are_part_of_the_revision(world: World) -> None:
    world.deploy(stack(service("web"), service("api")))
    world.deploy(stack(service("api", image="app:2")))
    spec = history.find(world.state, "shop", 0).spec
    assert [each.name for each in spec.services] == ["api", "web"]


def test_a_revision_keeps_the_order_of_the_file(world: World) -> None:
    world.deploy(stack(service("web"), service("api"), service("db")))
    world.scale("shop_api", 2)
    spec = history.find(world.state, "shop", 0).spec
    assert [(each.name, each.replicas) for each in spec.services] == [("web", 1), ("api", 2), ("db", 1)]


def test_only_the_newest_revisions_are_kept(world: World) -> None:
    for number in range(REVISIONS_KEPT_MAX + 5):
        world.deploy(stack(service(image=f"app:{number}")))
    kept = [revision for revision, _, _ in told(world)]
    assert kept == list(range(REVISIONS_KEPT_MAX + 5, 5, -1))


def test_a_deploy_for_a_plan_that_is_out_of_date_is_refused(world: World) -> None:
    world.deploy(stack(service()), check_index=0)
    index = world.plan(stack(service(image="app:2"))).index
    world.scale("shop_web", 2)
    reply = world.deploy(stack(service(image="app:2")), check_index=index)
    assert reply.problem is not None and reply.problem.kind is ProblemKind.REFUSED
    assert "is at revision 2 now, not at 1" in reply.problem.summary
    assert images(world) == {"shop_web": "app:1"}
    assert world.rollback(check_index=1).problem is not None
    assert world.deploy(stack(service()), check_index=0).problem is not None


def test_a_change_while_nodes_are_asked_makes_the_plan_out_of_date(world: World) -> None:
    node = next(iter(world.nodes.values()))
    world.deploy(stack(service()))
    node.obedient = False
    assert world.deploy(stack(service(image="app:2")), check_index=1) is None
    waiting = f"ticket-{world._number}"
    world.scale("shop_web", 0)  # takes no node's answer
    node.obedient = True
    node.hears(node.asked[-1])
    problem = world.replies[waiting].problem
    assert problem is not None and "is at revision 2 now, not at 1" in problem.summary


def test_a_number_is_never_given_to_another_content(world: World) -> None:
    world.deploy(stack(service()))
    world.deploy(stack(service(image="app:2")))
    world.remove()
    with pytest.raises(ProblemError, match="no stack shop"):
        history.find(world.state, "shop", 0)
    assert world.plan(stack(service())).index == 0
    assert world.deploy(stack(service()), check_index=2).problem is not None
    assert world.deploy(stack(service()), check_index=0).value.revision == 4
    assert told(world) == [(4, "deploy", True)]


def test_removed_stacks_are_remembered_up_to_a_limit(world: World) -> None:
    for number in range(REMOVED_KEPT_MAX + 3):
        name = f"s{number}"
        removed = StackRevision(
            stack=name, revision=2, spec=stack(name=name), cause="removed", time_ms=number
        )
        world.state.apply(Put(record=removed))
    world.deploy(stack(service()))
    world.remove()
    assert len(world.state.history) == REMOVED_KEPT_MAX
    assert "s0" not in world.state.history


def test_history_survives_a_restart(world: World) -> None:
    world.deploy(stack(service()))
    world.deploy(stack(service(image="app:2")))
    again = world.restarted()
    assert told(again) == told(world)


def test_services_from_before_revisions_were_kept_count_as_the_first() -> None:
    spec = ServiceSpec(name="web", container=ContainerSpec(image="app:1"), replicas=0)
    old = State(
        [
            Cluster(id="c", epoch=1),
            Service(id="s", name="shop_web", stack="shop", version=4, replicas=0, updated_ms=5),
            ServiceVersion(service_id="s", version=4, spec=spec),
        ]
    )
    world = World(old)
    world.node("n1")
    assert [(number, current) for number, _, current in told(world)] == [(1, True)]
    world.deploy(stack(service(image="app:2", replicas=0)), check_index=1)
    assert [(number, current) for number, _, current in told(world)] == [(2, True), (1, False)]
    world.rollback()
    assert images(world) == {"shop_web": "app:1"}
