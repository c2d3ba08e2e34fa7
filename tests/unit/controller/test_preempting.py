"""A task that waits may stop less important ones, where the controller was told so."""

from __future__ import annotations

import re
from typing import Any

from bayplan.model import HomePolicy, ServiceMode, ServiceSpec
from controller.core.turn import Settings
from controller.explaining import explain
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


def explained(world: World, target: str, *, preemption: bool = True) -> str:
    found = explain(world.state, world.core.ground, target, world.now_ms, preemption=preemption)
    return "\n".join(found.lines)


def test_explain_says_who_gives_way() -> None:
    world, _ = two_nodes(low())
    for node in world.nodes.values():
        node.obedient = False  # who shall stop does not yet
    world.pass_time(20_000)
    assert "n1 will have room for it once the tasks that leave it have ended" in explained(world, "top_high")


def test_explain_says_who_would_give_way_where_the_controller_was_not_told_so() -> None:
    world, _ = two_nodes(low(), preemption=False)
    world.pass_time(60_000)
    said = explained(world, "top_high.2", preemption=False)
    two = r"shop_low\.\d \(priority 20\) and shop_low\.\d \(priority 20\)"
    assert re.search(
        f"n1 would have room for it if {two} gave way to its priority 80; this controller ", said
    )
    said = explained(world, "top_high.2")  # as it is told before the next turn
    assert re.search(f"on n1 there will be room for it: {two} give way", said)
    assert "gave way" not in explained(world, "shop_low")


def test_explain_says_why_nobody_gives_way() -> None:
    for spec, why in (
        (low(priority=71), "4 of priority 71 or more"),
        (low(fence=True), "4 fenced"),
        (low(mode=ServiceMode.REPLICATED_JOB), "4 of jobs"),
        (low(homes=HomePolicy.STAY), "4 with their volumes"),
    ):
        world, _ = two_nodes(spec)
        world.pass_time(60_000)
        assert (
            "nobody gives way to it, whose priority is 80: the tasks on n1, which is short of least, "
            f"are {why}" in explained(world, "top_high")
        )
        assert "gives way" not in explained(world, "top_high", preemption=False)


def test_no_room_is_promised_twice() -> None:
    """What ends anyway, or is replaced by the same deploy, has made its room already."""
    world = World(settings=Settings(preemption=True))
    node = world.node("n1")
    world.deploy(stack(low(replicas=2, fence=True)))
    world.deploy(stack(service("old", cpu=1_000, replicas=2), name="blog"))
    node.obedient = False
    world.remove("blog")  # both are still there
    wished = stack(service("high", cpu=3_000, priority=80), name="top")
    assert world.plan(wished).problems
    node.obedient = True
    node.obey()
    world.deploy(stack(low(replicas=2)))
    world.pass_time(60_000)
    bigger = stack(service("low", cpu=3_000, priority=80, replicas=2))
    assert world.plan(bigger).problems
    assert not world.plan(stack(service("low", cpu=2_000, priority=80, replicas=2))).problems


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
