"""After a rolling update nodes that need not be in use are emptied: by few moves, and start-first."""

from __future__ import annotations

from typing import Any

import pytest

from bayplan.lifecycle import TaskState
from bayplan.model import Mount, MountKind, PortSpec, Strategy, UpdateOrder, UpdatePolicy
from controller.core.turn import Settings
from tests.unit.controller.world import STARTS, World, service, stack

ASKED = Settings(consolidation=True)
NAMES = ("one", "two", "three")
DATA = {"mounts": (Mount(kind=MountKind.VOLUME, source="data", target="/data"),)}


def fragmented(settings: Settings = ASKED, **three: Any) -> World:
    """Three nodes of 4 CPUs, each with one task of 1 CPU on it, of a service of its own."""
    world = World(settings=settings)
    for number, name in enumerate(NAMES):
        fields = three if name == "three" else {}
        world.node(f"h{number}")
        world.deploy(stack(service(name, cpu=1_000, **fields), name=name))
        world.deploy(stack(service("pad", cpu=3_000), name=f"pad{number}"))
        world.pass_time(10_000)
    for number in range(3):
        world.remove(f"pad{number}")
    world.pass_time(60_000)
    assert in_use(world) == {"h0", "h1", "h2"}
    return world


def in_use(world: World) -> set[str]:
    return {node.inventory.hostname for node in world.nodes.values() if node.running()}


def update(world: World, name: str = "one", image: str = "app:2") -> None:
    world.deploy(stack(service(name, image=image, cpu=1_000), name=name))
    world.pass_time(120_000)


def moves(world: World) -> list[str]:
    return [each.subject for each in world.state.events if "becomes free" in each.text]


def test_an_update_of_a_fragmented_cluster_leaves_fewer_nodes_in_use() -> None:
    world = fragmented()
    update(world)
    assert len(in_use(world)) == 1
    assert all(
        world.runs(f"{name}_{name}") == {1: version} for name, version in zip(NAMES, (2, 1, 1), strict=True)
    )
    assert 1 <= len(moves(world)) <= 2


def test_nothing_moves_without_an_update() -> None:
    world = fragmented()
    world.deploy(stack(service("new", cpu=1_000), name="new"))
    world.scale("new_new", 2)
    world.pass_time(120_000)
    assert not moves(world) and len(in_use(world)) == 3


def test_a_task_that_moves_serves_until_its_heir_is_ready() -> None:
    world = fragmented(image="slow:1")
    (before,) = world.wanted("three_three")
    world.fates["slow:1"] = STARTS  # from now on
    update(world)
    assert "three_three.1" in moves(world)
    assert world.state.status_of(before).state is TaskState.RUNNING and world.state.tasks[before.id].wanted
    (_, heir) = world.wanted("three_three")
    world.nodes[heir.node_id].reports(heir.id, TaskState.RUNNING)
    world.pass_time(60_000)
    assert len(in_use(world)) == 1


@pytest.mark.parametrize(
    "three",
    [
        {"container": DATA},
        {"fence": True},
        {"strategy": Strategy.SPREAD},
        {"preferences": ("node.labels.rack",)},
    ],
)
def test_a_node_stays_in_use_if_one_of_its_tasks_is_to_stay(three: dict[str, Any]) -> None:
    world = fragmented(**three)
    (before,) = world.wanted("three_three")
    update(world)
    assert [task.id for task in world.wanted("three_three")] == [before.id]


def test_a_service_of_which_a_third_is_on_each_node_stays_so() -> None:
    world = World(settings=ASKED)
    for number in range(3):
        world.node(f"h{number}")
    world.deploy(stack(service("web", cpu=500, replicas=3), service("one", cpu=500)))
    world.pass_time(60_000)
    world.deploy(stack(service("web", cpu=500, replicas=3), service("one", image="app:2", cpu=500)))
    world.pass_time(120_000)
    assert len({task.node_id for task in world.wanted()}) == 3


def test_a_controller_that_is_killed_amid_the_moves_goes_on() -> None:
    world = fragmented(image="slow:1")
    world.fates["slow:1"] = STARTS
    update(world)
    again = world.restarted()
    for node in again.nodes.values():
        node.connect()
    again.pass_time(60_000)
    assert all(len(again.runs(f"{name}_{name}")) == 1 for name in NAMES)
    for task in again.wanted("three_three")[1:]:
        again.nodes[task.node_id].reports(task.id, TaskState.RUNNING)
    again.pass_time(60_000)
    assert len(again.wanted("three_three")) == 1 and not again.wanted("three_three")[0].displaced
    update(again, image="app:3")
    assert len(in_use(again)) <= 2


def test_those_on_the_emptiest_nodes_give_way_last() -> None:
    """Their heirs come to the places of the others, and the nodes become free."""
    world, rules = World(settings=ASKED), UpdatePolicy(order=UpdateOrder.START_FIRST)
    for number in range(3):
        world.node(f"h{number}", cpu=8)
    world.deploy(stack(service(cpu=1_000, replicas=3, update=rules)))
    (first, *_) = world.wanted()
    emptiest = world.state.nodes[first.node_id].name
    elsewhere = (f"node.hostname!={emptiest}",)
    world.deploy(stack(service("base", cpu=4_000, constraints=elsewhere, replicas=2), name="b"))
    world.pass_time(20_000)
    world.fates["app:2"] = STARTS
    world.deploy(stack(service(image="app:2", cpu=1_000, replicas=3, update=rules)))
    renewed = []
    while heirs := [task for task in world.wanted() if task.version == 2 and task.slot not in renewed]:
        renewed += [task.slot for task in heirs]
        for task in heirs:
            world.nodes[task.node_id].reports(task.id, TaskState.RUNNING)
        world.pass_time(10_000)
    assert sorted(renewed) == [1, 2, 3] and renewed[-1] == first.slot == 1


def test_nothing_of_others_moves_for_an_update_where_nobody_asked_for_it() -> None:
    world = fragmented(Settings())
    others = {task.id for name in NAMES[1:] for task in world.wanted(f"{name}_{name}")}
    update(world)
    assert moves(world) == []
    assert {task.id for name in NAMES[1:] for task in world.wanted(f"{name}_{name}")} == others != set()


def test_what_is_still_to_go_when_a_rollout_is_over_is_waited_for() -> None:
    world, here = World(settings=ASKED), ("node.hostname==h0",)
    for number in range(2):
        world.node(f"h{number}")
    world.deploy(stack(service("base", cpu=1_000, container=DATA, constraints=here), name="base"))
    world.deploy(stack(service("pad", cpu=3_000, constraints=here), name="pad"))
    served: dict[str, Any] = {"drain_ms": 30_000, "container": {"expose": (PortSpec(target=80),)}}
    world.deploy(stack(service("one", cpu=1_000, **served), service("two", cpu=1_000)))
    world.remove("pad")
    world.pass_time(60_000)
    world.deploy(stack(service("one", image="app:2", cpu=1_000, **served), service("two", cpu=1_000)))
    world.pass_time(20_000)
    assert in_use(world) == {"h0", "h1"} and world.state.leaving
    world.pass_time(60_000)
    assert in_use(world) == {"h0"}
