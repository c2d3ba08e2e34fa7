"""A task that waits may stop less important ones, where the controller was told so."""

from __future__ import annotations

from typing import Any

from bayplan.model import ServiceMode, ServiceSpec
from controller.core.turn import Settings
from tests.unit.controller.world import Node, World, service, stack


def two_nodes(less: ServiceSpec, *, preemption: bool = True) -> tuple[World, Node]:
    """`less` fills n1 and a service of priority 80 fills n2, which is lost then."""
    world = World(settings=Settings(preemption=preemption))
    world.node("n1")
    world.deploy(stack(less))
    lost = world.node("n2")
    world.deploy(stack(service("high", cpu=2_000, replicas=2, priority=80), name="top"))
    assert {task.node_id for task in world.wanted("top_high")} == {lost.id}
    lost.disconnect()
    return world, lost


def low(**fields: Any) -> ServiceSpec:
    return service("low", **{"cpu": 1_000, "replicas": 4, "priority": 20} | fields)


def running(world: World, name: str) -> int:
    state = world.state
    return sum(state.holds_node(task) for task in world.wanted(name) if not state.is_lost(task.node_id))


def told(world: World) -> list[str]:
    return [each.text for each in world.state.events if "gives way" in each.text]


def test_the_less_important_give_way_and_wait_and_come_back() -> None:
    world, lost = two_nodes(low())
    world.pass_time(60_000)
    assert (running(world, "top_high"), running(world, "shop_low")) == (2, 0)
    assert told(world) == ["gives way on n1 to top_high, of priority 80 (its own is 20)"] * 4
    assert len(world.wanted("shop_low")) == 4
    lost.connect()
    world.node("n3")
    world.pass_time(60_000)
    assert (running(world, "top_high"), running(world, "shop_low")) == (2, 4)
    assert len(told(world)) == 4


def test_nobody_gives_way_unless_the_controller_was_told_so() -> None:
    world, _ = two_nodes(low(), preemption=False)
    world.pass_time(60_000)
    assert (running(world, "top_high"), running(world, "shop_low")) == (0, 4)


def test_who_is_about_as_important_or_may_not_be_stopped_stays() -> None:
    for spec in (low(priority=71), low(fence=True), low(mode=ServiceMode.REPLICATED_JOB)):
        world, _ = two_nodes(spec)
        world.pass_time(60_000)
        assert (running(world, "top_high"), running(world, "shop_low")) == (0, 4)


def test_no_more_give_way_than_there_is_need_for() -> None:
    world = World(settings=Settings(preemption=True))
    world.node("n1")
    world.deploy(stack(low()))
    lost = world.node("n2")
    world.deploy(stack(service("high", cpu=2_000, priority=80), name="top"))
    lost.disconnect()
    world.pass_time(120_000)
    assert (running(world, "top_high"), running(world, "shop_low")) == (1, 2)
    assert len(told(world)) == 2


def test_many_give_way_some_at_a_time() -> None:
    world = World(settings=Settings(preemption=True))
    world.node("n1", cpu=64)
    world.deploy(stack(service("low", cpu=1_000, replicas=64, priority=20)))
    lost = world.node("n2", cpu=64)
    world.deploy(stack(service("high", cpu=1_000, replicas=40, priority=80), name="top"))
    lost.disconnect()
    world.pass_time(120_000)
    assert (running(world, "top_high"), running(world, "shop_low")) == (40, 24)
    assert len(told(world)) == 40


def test_the_more_important_chooses_first() -> None:
    world = World()
    made = world.node("n1")
    world.deploy(stack(service("a", cpu=3_000, priority=10)))
    world.node("n2")
    world.deploy(stack(service("b", cpu=2_000, priority=90), name="top"))
    for node in world.nodes.values():
        node.disconnect()
    world.pass_time(1_000)
    made.connect()  # n2 stays away: there is room for one of the two
    world.pass_time(60_000)
    assert running(world, "shop_a") == 1  # what runs stays without preemption
    assert running(world, "top_b") == 0


def test_a_deploy_finds_room_where_others_give_way() -> None:
    for preemption in (False, True):
        world = World(settings=Settings(preemption=preemption))
        world.node("n1")
        world.deploy(stack(low()))
        wished = stack(service("high", cpu=2_000, priority=80), name="top")
        plan = world.plan(wished)
        problem = world.deploy(wished).problem
        world.pass_time(60_000)
        if preemption:
            assert problem is None
            assert plan.warnings == (
                "top_high.1 finds room once tasks of lower priority were stopped for it",
            )
            assert (running(world, "top_high"), running(world, "shop_low")) == (1, 2)
        else:
            assert problem is not None
            assert (running(world, "top_high"), running(world, "shop_low")) == (0, 4)
        too_much = world.deploy(stack(service("vast", cpu=5_000, priority=80), name="more")).problem
        assert too_much is not None
        assert too_much.summary == "more_vast.1 cannot be placed"
