"""Rollouts, order and jobs by name, each on the whole cluster; what the simulator found stays here."""

from __future__ import annotations

import pytest

from bayplan.model import (
    Dependency,
    DependencyCondition,
    FailureAction,
    ServiceMode,
    ServiceSpec,
    UpdateOrder,
    UpdatePolicy,
)
from controller.records import RolloutState, Service
from tests.sim.daemon import Moment
from tests.sim.stacks import service, stack
from tests.sim.world import World

BACK = UpdatePolicy(failure_action=FailureAction.ROLLBACK, monitor_ms=3_000)
START_FIRST = UpdatePolicy(order=UpdateOrder.START_FIRST)


@pytest.fixture
def world() -> World:
    world = World("rollouts")
    world.nodes(3)
    return world


def deployed(world: World, *services: ServiceSpec) -> None:
    assert world.answered(world.deploy(stack("shop", *services)))
    world.converge()


def found(world: World, name: str = "shop_web") -> Service:
    service = world.state.service_named(name)
    assert service is not None
    return service


def images(world: World) -> list[str]:
    return sorted(box.spec.image for _, box in world.boxes("shop"))


def test_start_first_never_runs_less_than_is_wanted(world: World) -> None:
    deployed(world, service("web", 3, update=START_FIRST, health=True))
    ticket = world.deploy(stack("shop", service("web", 3, update=START_FIRST, health=True, version="v2")))
    while found(world).settled != 2:
        assert len(world.boxes("shop")) >= 3
        world.run(0.05)
    assert world.accepted(ticket)


@pytest.mark.parametrize("moment", list(Moment))
@pytest.mark.parametrize("after_s", [0.3, 0.9, 1.5, 2.1])
def test_a_broken_version_goes_back_whenever_the_controller_dies(moment: Moment, after_s: float) -> None:
    world = World(f"back {moment} {after_s}")
    world.nodes(3)
    deployed(world, service("web", 3, update=BACK))
    world.deploy(stack("shop", service("web", 3, image="crash", update=BACK)))
    world.run(after_s)
    world.crash_controller(moment)
    world.run(30)
    world.control.start()
    world.converge()
    if found(world).next_version > 2:  # the deploy was committed
        rollout = found(world).rollout
        assert rollout is not None and rollout.state is RolloutState.ROLLED_BACK
    assert images(world) == ["app"] * 3


def test_a_version_that_never_comes_up_has_failed_however_short_it_is_watched(world: World) -> None:
    """Found as seed 17: it had run for 0 ms, which was not less than a monitor time of 0."""
    policy = UpdatePolicy(failure_action=FailureAction.ROLLBACK, monitor_ms=0, order=UpdateOrder.START_FIRST)
    deployed(world, service("web", 2, update=policy))
    world.deploy(stack("shop", service("web", 3, image="sick", health=True, update=policy)))
    world.run(10)
    world.converge()
    assert images(world) == ["app"] * 3


def test_an_update_that_has_begun_does_not_fall_back_when_what_it_needs_dies(world: World) -> None:
    """Found as seed 1 without the grace after a start: a slot was emptied for the new version, then what
    it depends on went away, and it was filled with the old version again, and so on."""
    needs = (Dependency(service="db", condition=DependencyCondition.HEALTHY, required=True),)
    database = service("db", health=True)
    deployed(world, database, service("web", image="slow", depends_on=needs))
    world.deploy(stack("shop", database, service("web", image="slow", version="v2", depends_on=needs)))
    world.run_until(lambda: any(not task.wanted for task in world.state.tasks_of(found(world).id)))
    (host, box) = next((host, box) for host, box in world.boxes("shop") if box.spec.image == "app")
    world.kill_container(box, host)
    world.run_until(lambda: len(world.state.tasks_of(found(world).id)) > 1)
    assert max(task.version for task in world.state.tasks_of(found(world).id)) == 2
    world.converge()


def test_a_job_that_was_done_is_not_done_again_after_everybody_forgot(world: World) -> None:
    deployed(world, service("web", 2, image="job", mode=ServiceMode.REPLICATED_JOB))
    before = sum(len(host.starts) for host in world.hosts.values())
    world.crash_controller()
    for name, host in world.hosts.items():
        world.crash_agent(name)
        host.lose_journal()
        for box in list(host.engine.boxes.values()):
            host.engine.take_away(box)
    world.run(20)
    world.converge()
    assert sum(len(host.starts) for host in world.hosts.values()) == before == 2
