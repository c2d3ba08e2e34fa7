"""Room is made for a task that fits nowhere: others move, start-first, and serve all the while."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from bayplan.lifecycle import TaskState
from bayplan.model import Mount, MountKind, ServiceSpec
from tests.unit.controller.world import GIB, STARTS, World, service, stack

STANDING = ("first_big", "first_small", "second_other")


def even(name: str, *, cpu: int, **fields: Any) -> ServiceSpec:
    """A service that takes as large a share of a node's memory as of its 4 CPUs: what it fits best is the
    fullest node."""
    return service(name, cpu=cpu, memory=cpu * 8 * GIB // 4_000, **fields)


def world(**big: Any) -> World:
    """Two nodes of 4 CPUs, with 1 free on the one and 2 on the other; a task of 2.5 CPUs is on a third."""
    world = World()
    for name in ("a", "b"):
        world.node(name)
    world.deploy(stack(even("big", cpu=2_000, **big), even("small", cpu=1_000), name="first"))
    world.deploy(stack(even("other", cpu=2_000), name="second"))
    world.node("c", zone="far")
    world.deploy(stack(even("large", cpu=2_500), name="third"))
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
    lose(here, "c")
    here.deploy(stack(even("large", cpu=3_900), name="third"))
    here.pass_time(20_000)
    assert [each.subject for each in here.state.events if "make room" in each.text] == ["first_big.1"]


def test_two_tasks_of_a_node_move_where_one_does_not_give_enough() -> None:
    here = world()
    before = places(here, *STANDING)
    here.deploy(stack(even("large", cpu=3_900), name="third"))
    here.pass_time(20_000)
    told = {each.subject: each.text for each in here.state.events if "make room" in each.text}
    assert sorted(told) == ["first_big.1", "first_small.1"]
    assert places(here, "third_large")["third_large"] == before["first_big"]
    assert all(here.runs(name) for name in (*STANDING, "third_large"))


sizes = st.lists(st.sampled_from([500, 1_000, 2_000]), min_size=2, max_size=5)


@settings(max_examples=15, deadline=None)
@example([2_000, 1_000, 2_000], 2_500, False)
@example([2_000, 1_000, 2_000], 2_500, True)
@given(sizes, st.sampled_from([2_500, 3_000, 3_500]), st.booleans())
def test_whatever_moves_each_slot_is_served_all_the_while(cpus: list[int], large: int, slow: bool) -> None:
    here = World()
    for name in ("a", "b"):
        here.node(name)
    names = []
    for at, cpu in enumerate(cpus):
        small = service("web", image=f"app:{at}", cpu=cpu)
        if here.deploy(stack(small, name=f"s{at}")).problem is None:
            names.append(f"s{at}_web")
    here.node("c")
    here.deploy(stack(service("large", "large:1", cpu=large), name="third"))
    here.pass_time(20_000)
    served = [name for name in names if here.runs(name) and places(here, name)[name] != "c"]
    if slow:
        here.fates |= {f"app:{at}": STARTS for at in range(len(cpus))}
    (lost,) = (each for each in here.nodes.values() if each.inventory.hostname == "c")
    lost.disconnect()
    for _ in range(30):
        here.pass_time(1_000)
        assert [name for name in served if not serves(here, name)] == []


def serves(world: World, name: str) -> bool:
    """Whether some task of a service runs on a node that is there, be it on its way out or not."""
    state = world.state
    service_id = next(each.id for each in state.services.values() if each.name == name)
    return any(
        state.status_of(task).state is TaskState.RUNNING and not state.is_lost(task.node_id)
        for task in state.tasks_of(service_id)
    )
