"""`depends_on` at work: who waits, for how long, and what users are told."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from bayplan.lifecycle import TaskState
from bayplan.model import (
    Dependency,
    DependencyCondition,
    Health,
    RestartCondition,
    RestartPolicy,
    ServiceSpec,
    StackSpec,
)
from bayplan.session import PreflightResult
from controller.core import settling
from controller.records import Service
from tests.unit.controller.world import CRASHES, ENDS, STARTS, World, service, stack

HEALTHY, COMPLETED = DependencyCondition.HEALTHY, DependencyCondition.COMPLETED


def after(name: str, condition: DependencyCondition = HEALTHY, **fields: Any) -> dict[str, Any]:
    fields.setdefault("required", True)
    return {"depends_on": (Dependency(service=name, condition=condition, **fields),)}


def shop(db: str = "db:1", web: str = "app:1", **fields: Any) -> StackSpec:
    """A web that waits for its db; further fields are the web's."""
    return stack(service("db", db), service("web", web, **{**after("db"), **fields}))


def becomes(world: World, name: str, state: TaskState, **fields: Any) -> None:
    """All tasks of a service enter a state."""
    for task in world.wanted(name):
        world.nodes[task.node_id].reports(task.id, state, **fields)


def test_a_service_waits_until_the_one_that_it_needs_is_healthy() -> None:
    world = World()
    world.node("h1")
    world.fates["db:1"] = STARTS
    world.deploy(shop())
    assert world.tasks() == []
    assert world.view().waits_for == "shop_db to be healthy"
    becomes(world, "shop_db", TaskState.RUNNING, health=Health.HEALTHY)
    assert world.runs() == {1: 1}
    assert world.view().waits_for == ""


def test_once_it_has_begun_it_waits_no_more() -> None:
    world = World()
    world.node("h1")
    world.deploy(shop())
    world.fates["db:1"] = STARTS
    becomes(world, "shop_db", TaskState.FAILED)
    becomes(world, "shop_web", TaskState.FAILED)
    world.pass_time(5_000)
    assert world.runs() == {1: 1}


def test_an_update_goes_in_waves_and_what_waits_heals_as_it_is() -> None:
    world = World()
    world.node("h1")
    world.deploy(shop())
    world.fates["db:2"] = STARTS
    world.deploy(shop("db:2", "app:2"))
    assert (world.runs(), world.view().waits_for) == ({1: 1}, "shop_db to be healthy")
    becomes(world, "shop_web", TaskState.FAILED)
    world.pass_time(5_000)
    assert world.runs() == {1: 1}
    becomes(world, "shop_db", TaskState.RUNNING, health=Health.HEALTHY)
    assert world.runs() == {1: 2}


def test_a_restarted_controller_goes_on_waiting() -> None:
    world = World()
    world.node("h1")
    world.fates["db:1"] = STARTS
    world.deploy(shop())
    again = world.restarted()
    for node in again.nodes.values():
        node.connect()
    again.pass_time(2_000)
    assert again.tasks() == []
    becomes(again, "shop_db", TaskState.RUNNING, health=Health.HEALTHY)
    assert again.runs() == {1: 1}


def migrated(image: str = "migrate:1", **fields: Any) -> StackSpec:
    once = RestartPolicy(condition=RestartCondition.ON_FAILURE, max_attempts=1)
    migrate = service("migrate", image, restart=fields.pop("restart", once))
    return stack(migrate, service("web", **after("migrate", COMPLETED, **fields)))


def test_what_was_waited_for_to_complete_is_not_run_again() -> None:
    world = World()
    world.node("h1")
    world.fates["migrate:1"] = ENDS
    world.deploy(migrated(restart=RestartPolicy()))
    world.pass_time(60_000)
    assert world.runs() == {1: 1}
    assert len(world.tasks("shop_migrate")) == 1


def test_what_has_done_its_work_is_not_waited_for_to_be_healthy() -> None:
    world = World()
    world.node("h1")
    world.fates["db:1"] = ENDS
    once = RestartPolicy(condition=RestartCondition.ON_FAILURE)
    world.deploy(stack(service("db", "db:1", restart=once), service("web", "app:1", **after("db"))))
    assert world.runs() == {1: 1}


def test_what_ends_and_begins_again_is_waited_for_to_be_healthy() -> None:
    world = World()
    world.node("h1")
    world.fates["db:1"] = ENDS
    world.deploy(shop())
    assert world.tasks() == []


def test_a_dependency_that_failed_for_good_is_told_with_its_cause() -> None:
    world = World()
    world.node("h1")
    world.fates["migrate:1"] = CRASHES
    world.deploy(migrated())
    world.pass_time(60_000)
    assert world.tasks() == []
    assert world.view().waits_for == "shop_migrate to complete: it failed with exit code 1"


def test_one_that_is_not_required_holds_up_nobody_once_it_has_failed() -> None:
    world = World()
    world.node("h1")
    world.fates["migrate:1"] = CRASHES
    world.deploy(migrated(required=False))
    world.pass_time(60_000)
    assert world.runs() == {1: 1}


def test_a_dependency_that_goes_lets_go_of_those_that_may_do_without() -> None:
    world = World()
    world.node("h1")
    world.fates["db:1"] = STARTS
    web: ServiceSpec = service("web", **after("db", required=False))
    world.deploy(stack(service("db", "db:1"), web))
    assert world.tasks() == []
    world.deploy(stack(web), prune=True)
    assert world.runs() == {1: 1}


def test_a_report_touches_only_those_that_wait() -> None:
    world = World()
    world.node("h1")
    world.deploy(shop())
    (db,) = world.wanted("shop_db")
    looked_at: list[str] = []
    real = settling.reconcile.reconcile

    def watched(service: Service, *args: Any, **fields: Any) -> Any:
        looked_at.append(service.name)
        return real(service, *args, **fields)

    with patch.object(settling.reconcile, "reconcile", watched):
        world.nodes[db.node_id].reports(db.id, TaskState.RUNNING, message="again")
    assert looked_at == ["shop_db"]


def test_an_update_that_has_begun_goes_on_when_what_it_needs_fails() -> None:
    world = World()
    node = world.node("h1")
    world.deploy(shop())
    world.pass_time(10_000)
    node.obedient = False
    world.deploy(shop(web="app:2"))
    node.says(PreflightResult(ticket=node.asked[-1].ticket))
    old, heir = world.tasks()
    becomes(world, "shop_db", TaskState.FAILED)
    node.reports(heir.id, TaskState.RUNNING)
    node.reports(old.id, TaskState.SHUTDOWN)
    assert [task.version for task in world.wanted()] == [2]
