"""Room is made for a task that fits nowhere: one other moves, start-first, and serves all the while."""

from __future__ import annotations

from typing import Any

from bayplan.lifecycle import TaskState
from bayplan.model import Mount, MountKind
from tests.unit.controller.world import STARTS, World, service, stack

STANDING = ("first_big", "first_small", "second_other")


def world(**big: Any) -> World:
    """Two nodes of 4 CPUs, with 1 free on the one and 2 on the other; a task of 2.5 CPUs is on a third."""
    world = World()
    for name in ("a", "b"):
        world.node(name)
    world.deploy(stack(service("big", cpu=2_000, **big), service("small", cpu=1_000), name="first"))
    world.deploy(stack(service("other", cpu=2_000), name="second"))
    world.node("c", zone="far")
    world.deploy(stack(service("large", cpu=2_500), name="third"))
    world.pass_time(20_000)
    assert places(world, "third_large") == {"third_large": "c"}
    return world


def places(world: World, *names: str) -> dict[str, str]:
    tasks = [(name, task) for name in names for task in world.wanted(name)]
    return {name: world.state.nodes[task.node_id].name for name, task in tasks if task.node_id}


def lose(world: World, name: str) -> None:
    (node,) = (each for each in world.nodes.values() if each.inventory.hostname == name)
    node.disconnect()
    world.pass_time(60_000)


def moved(world: World) -> bool:
    return "to make room for" in str(world.state.events)


def test_one_task_moves_so_that_a_larger_one_fits() -> None:
    here = world()
    before = places(here, *STANDING)
    lose(here, "c")
    after = places(here, *STANDING)
    assert sum(after[name] != before[name] for name in STANDING) == 1
    assert places(here, "third_large")["third_large"] in ("a", "b")
    assert all(here.runs(name) for name in (*STANDING, "third_large"))
    assert [each.subject for each in here.state.events if "make room" in each.text] == ["first_big.1"]


def test_the_task_that_moves_serves_until_its_heir_is_ready() -> None:
    here = world(image="slow:1")
    (before,) = here.wanted("first_big")
    here.fates["slow:1"] = STARTS  # from now on
    lose(here, "c")
    assert moved(here)
    assert here.state.status_of(before).state is TaskState.RUNNING and here.state.tasks[before.id].wanted
    assert places(here, "third_large").get("third_large", "") not in ("a", "b")


def test_a_task_with_data_on_its_node_is_not_moved() -> None:
    data = Mount(kind=MountKind.VOLUME, source="data", target="/data")
    here = world(container={"mounts": (data,)})
    lose(here, "c")
    assert not moved(here)


def test_nothing_moves_where_that_would_not_help() -> None:
    here = world()
    here.deploy(stack(service("large", cpu=3_900), name="third"))
    here.pass_time(20_000)
    lose(here, "c")
    assert not moved(here)
