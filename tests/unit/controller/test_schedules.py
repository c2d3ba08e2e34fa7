"""Jobs by schedule, and jobs that are removed once they have finished, in the core and its world."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bayplan.lifecycle import TaskState
from bayplan.model import Dependency, DependencyCondition, Now, Schedule, ServiceMode, ServiceSpec
from bayplan.units import parse_duration_ms
from controller.core import history
from tests.unit.controller.world import CRASHES, ENDS, World, service, stack

JOB = ServiceMode.REPLICATED_JOB
NOON = round(datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp() * 1_000)


class Clocked(World):
    """A world whose wall clock can be set."""

    wall_ms = 0

    @property
    def now(self) -> Now:
        return Now(self.now_ms, self.now_ms + self.wall_ms)

    def set_clock(self, wall_ms: int) -> None:
        self.wall_ms = wall_ms - self.now_ms

    def restarted(self) -> World:
        again = super().restarted()
        assert isinstance(again, Clocked)
        return again


@pytest.fixture
def world() -> Clocked:
    world = Clocked()
    world.set_clock(NOON)
    world.node("n1")
    return world


def job(cron: str = "*/5 * * * *", name: str = "web", **fields: Any) -> ServiceSpec:
    """A job each five minutes."""
    made = {key: fields.pop(key) for key in ("timezone", "catch_up_ms") if key in fields}
    return service(name, mode=JOB, schedule=Schedule(cron=cron, **made), **fields)


def runs(world: World, name: str = "shop_web") -> list[int]:
    """The runs of which tasks are there."""
    return sorted({task.run for task in world.tasks(name)})


def told(world: World, name: str = "shop_web") -> list[str]:
    """What people are told of a service's runs."""
    return [event.text for event in world.state.events if event.subject == name and "run" in event.text]


def wait(world: World, text: str) -> None:
    world.pass_time(parse_duration_ms(text))


def test_a_scheduled_job_runs_first_at_its_first_due_time(world: Clocked) -> None:
    world.fates["app:1"] = ENDS
    world.deploy(stack(job()))
    assert world.view().next_run_ms == NOON + 300_000
    wait(world, "4m59s")
    assert runs(world) == []
    wait(world, "1s")
    assert runs(world) == [1]
    assert told(world) == ["run 1 started"]
    assert world.view().next_run_ms == NOON + 600_000


def test_each_due_time_makes_a_run_of_its_own(world: Clocked) -> None:
    world.fates["app:1"] = ENDS
    world.deploy(stack(job(replicas=2)))
    wait(world, "16m")
    assert told(world) == ["run 1 started", "run 2 started", "run 3 started"]
    service_id = world.view().id
    assert world.state.services[service_id].run == 3
    assert {task.slot for task in world.tasks() if task.run == 3 and task.completed} == {1, 2}


def test_a_run_that_is_due_while_one_goes_on_is_left_out(world: Clocked) -> None:
    world.deploy(stack(job()))
    wait(world, "11m")
    assert told(world) == [
        "run 1 started",
        "the run of 2026-06-01 12:10 UTC is left out: run 1 still goes on",
    ]
    (node,) = world.nodes.values()
    (task,) = world.wanted()
    node.reports(task.id, TaskState.COMPLETE, exit_code=0)
    wait(world, "5m")
    assert told(world)[-1] == "run 2 started"


def test_a_run_that_was_given_up_does_not_hold_back_the_next(world: Clocked) -> None:
    world.fates["app:1"] = CRASHES
    policy = service().restart
    none = type(policy.condition).NONE
    world.deploy(stack(job(restart=type(policy)(condition=none))))
    wait(world, "11m")
    assert told(world) == ["run 1 started", "run 2 started"]


def test_a_restarted_controller_makes_up_for_a_run_that_it_missed(world: Clocked) -> None:
    world.fates["app:1"] = ENDS
    world.deploy(stack(job("0 * * * *", catch_up_ms=600_000)))
    again = _restarted(world, NOON + 3_600_000 + 300_000)
    assert told(again) == ["run 1 started, which makes up for that of 2026-06-01 13:00 UTC"]


def test_a_restarted_controller_starts_no_run_twice(world: Clocked) -> None:
    world.fates["app:1"] = ENDS
    world.deploy(stack(job()))
    wait(world, "5m10s")
    again = _restarted(world, NOON + 320_000)
    assert told(again) == []
    assert again.state.services[again.view().id].run == 1


def _restarted(world: Clocked, wall_ms: int) -> World:
    """The world after its controller stood still until a time of day."""
    again = world.restarted()
    assert isinstance(again, Clocked)
    again.set_clock(wall_ms)
    for node in again.nodes.values():
        node.connect()
    again.pass_time(1_000)
    return again


def test_a_clock_that_jumps_is_noticed_within_a_minute(world: Clocked) -> None:
    world.fates["app:1"] = ENDS
    world.deploy(stack(job("0 * * * *")))
    world.set_clock(NOON + 3_600_000 - 1_000)
    wait(world, "1m")
    assert told(world) == ["run 1 started"]


def test_a_new_schedule_counts_from_when_it_was_given(world: Clocked) -> None:
    world.fates["app:1"] = ENDS
    world.deploy(stack(job("0 3 * * *")))
    wait(world, "2m")
    world.deploy(stack(job("* * * * *", catch_up_ms=3_600_000)))
    assert told(world) == []
    wait(world, "1m")
    assert told(world) == ["run 1 started"]


def test_a_new_version_comes_in_with_the_next_run(world: Clocked) -> None:
    world.fates |= {"app:1": ENDS, "app:2": ENDS}
    world.deploy(stack(job()))
    wait(world, "6m")
    world.deploy(stack(job(image="app:2")))
    wait(world, "1m")
    assert {task.version for task in world.tasks()} == {1}
    wait(world, "4m")
    assert {task.run: task.version for task in world.tasks()}[2] == 2


def test_a_finished_job_is_removed_after_its_time(world: Clocked) -> None:
    world.fates["app:1"] = ENDS
    world.deploy(stack(service(mode=JOB, ttl_ms=3_600_000), service("other", "app:2")))
    wait(world, "59m")
    assert world.view().completed == 1
    wait(world, "2m")
    assert world.state.service_named("shop_web") is None
    assert history.views(world.state, "shop")[0].cause == "web had finished 1h before"


def test_a_job_that_goes_on_is_not_removed(world: Clocked) -> None:
    world.deploy(stack(service(mode=JOB, ttl_ms=60_000)))
    wait(world, "10m")
    assert world.runs() == {1: 1}


def test_a_stack_goes_with_its_last_finished_job(world: Clocked) -> None:
    world.fates["app:1"] = ENDS
    world.deploy(stack(service(mode=JOB, ttl_ms=60_000)))
    wait(world, "3m")
    assert not world.state.services
    assert history.index(world.state, "shop") == 0


def test_a_finished_job_stays_while_others_need_it(world: Clocked) -> None:
    world.fates["app:1"] = ENDS
    after = Dependency(service="web", condition=DependencyCondition.COMPLETED, required=True)
    world.deploy(stack(service(mode=JOB, ttl_ms=60_000), service("other", "app:2", depends_on=(after,))))
    wait(world, "10m")
    assert world.view().completed == 1
