"""Quotas of stacks, in the whole controller."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from bayplan.errors import Problem
from bayplan.model import Resources, ServiceMode, ServiceSpec
from bayplan.views import Plan, QuotaView, RolloutAction
from controller.core import quotas
from controller.events import (
    Event,
    PlanAsked,
    QuotaRemoveAsked,
    QuotaSetAsked,
    Reply,
    RolloutAsked,
    ServiceCreateAsked,
    ServiceRollbackAsked,
    ServiceUpdateAsked,
)
from tests.unit.controller.world import World, service, stack


def limited(**quota: int) -> World:
    world = World()
    world.node("n1")
    world.node("n2")
    reply = ask(world, QuotaSetAsked, stack="shop", tasks=quota.pop("tasks", 0), limit=Resources(**quota))
    assert isinstance(reply.value, QuotaView)
    return world


def ask(world: World, event: Any, **fields: Any) -> Reply:
    reply = world.ask(event(ticket="", **fields))
    assert isinstance(reply, Reply)
    return reply


def refused(reply: Reply) -> Problem:
    assert reply.problem is not None
    assert reply.problem.summary == "the quota of stack shop is exceeded"
    return reply.problem


def test_a_deploy_beyond_the_quota_is_refused_whole() -> None:
    world = limited(tasks=3)
    reply = world.deploy(stack(service("a", replicas=2), service("b", replicas=2)))
    assert refused(reply).details == ("tasks: 4 wanted, 3 allowed: 1 too much (now 0)",)
    assert not world.state.services
    assert world.deploy(stack(service("a", replicas=2), service("b"))).problem is None


def test_other_stacks_have_no_part_in_it() -> None:
    world = limited(tasks=1)
    assert world.deploy(stack(service(replicas=5), name="blog")).problem is None


def test_scaling_creating_and_updating_are_held_to_it_too() -> None:
    world = limited(cpu_millis=2_000)
    world.deploy(stack(service("web", cpu=500, replicas=2)))
    assert "2.5 CPU wanted" in refused(world.scale("shop_web", 5)).details[0]
    bigger = service("web", cpu=1_500, replicas=2)
    update = ask(world, ServiceUpdateAsked, service="shop_web", spec=bigger)
    assert "3 CPU wanted, 2 CPU allowed: 1 CPU too much (now 1 CPU)" in refused(update).details[0]
    create = ask(world, ServiceCreateAsked, stack="shop", spec=service("db", cpu=1_001))
    assert "2.001 CPU wanted" in refused(create).details[0]
    assert [each.replicas for each in world.state.services.values()] == [2]


def test_a_plan_tells_it_as_a_problem() -> None:
    world = limited(tasks=1)
    plan = ask(world, PlanAsked, stack=stack(service(replicas=2))).value
    assert isinstance(plan, Plan)
    assert [each.summary for each in plan.problems] == ["the quota of stack shop is exceeded"]


def test_what_is_beyond_a_new_quota_stays_and_may_shrink() -> None:
    world = limited(tasks=9)
    world.deploy(stack(service(replicas=5)))
    ask(world, QuotaSetAsked, stack="shop", tasks=2)
    assert len(world.state.tasks_of(next(iter(world.state.services)))) == 5
    assert world.scale("shop_web", 4).problem is None
    refused(world.scale("shop_web", 5))


def test_a_service_on_each_node_counts_the_nodes() -> None:
    world = limited(tasks=1)
    everywhere = replace(service("agent"), mode=ServiceMode.GLOBAL)
    assert refused(world.deploy(stack(everywhere))).details == (
        "tasks: 2 wanted, 1 allowed: 1 too much (now 0)",
    )


def test_the_list_shows_what_is_used() -> None:
    world = limited(tasks=9, cpu_millis=4_000)
    world.deploy(stack(service("web", cpu=500, replicas=2, memory=7)))
    (view,) = quotas.views(world.state)
    assert (view.tasks, view.limit.cpu_millis) == (9, 4_000)
    assert (view.used_tasks, view.used.cpu_millis, view.used.memory_bytes) == (2, 1_000, 14)


def test_a_quota_survives_a_restart_and_goes_when_it_is_taken_away() -> None:
    world = limited(tasks=1)
    world = world.restarted()
    for node in world.nodes.values():
        node.connect()
    refused(world.deploy(stack(service(replicas=2))))
    assert ask(world, QuotaRemoveAsked, stack="shop").problem is None
    assert world.deploy(stack(service(replicas=2))).problem is None
    missing = ask(world, QuotaRemoveAsked, stack="shp").problem
    assert missing is not None
    assert missing.summary == "stack shp has no quota"


@pytest.mark.parametrize("spec", [service(replicas=0), service(replicas=1)])
def test_what_is_within_is_deployed(spec: ServiceSpec) -> None:
    assert limited(tasks=1).deploy(stack(spec)).problem is None


@pytest.mark.parametrize("event", [ServiceRollbackAsked, RolloutAsked])
def test_going_back_to_a_version_that_takes_more_is_held_to_it_too(event: type[Event]) -> None:
    fields = {"action": RolloutAction.UNDO} if event is RolloutAsked else {}
    world = limited(cpu_millis=4_000)
    world.deploy(stack(service("web", cpu=1_500, replicas=2)))
    world.deploy(stack(service("web", cpu=500, replicas=2)))
    world.pass_time(60_000)
    ask(world, QuotaSetAsked, stack="shop", limit=Resources(cpu_millis=2_000))
    reply = ask(world, event, service="shop_web", **fields)
    assert refused(reply).details == ("CPU: 3 CPU wanted, 2 CPU allowed: 1 CPU too much (now 1 CPU)",)
    assert world.view("shop_web").version == 2
    world.scale("shop_web", 1)  # which is not gone back on: one task of it fits
    assert ask(world, event, service="shop_web", **fields).problem is None
    assert world.view("shop_web").version == 1
