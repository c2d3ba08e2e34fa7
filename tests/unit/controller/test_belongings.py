"""What ties tasks to nodes: named goods, volumes with data, services near to them or away from them."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from bayplan.model import Affinity, Good, HomePolicy, Mount, MountKind, Resources, ServiceSpec
from bayplan.views import Plan
from controller.events import NodeRemoveAsked, SimulateAsked
from tests.unit.controller.world import Node, World, service, stack

ZONE = "node.labels.zone"


def gpus(*names: str) -> dict[str, Any]:
    return {"generic": {"gpu": len(names)}, "named": tuple(Good(kind="gpu", name=name) for name in names)}


def node(world: World, name: str, **inventory: Any) -> Node:
    """A node whose inventory has this besides."""
    made = world.node(name)
    made.inventory = replace(made.inventory, **inventory)
    made.disconnect()
    made.connect()
    return made


def names_of(world: World, service_name: str = "shop_web") -> list[str]:
    return [
        world.state.nodes[task.node_id].name if task.node_id else "" for task in world.wanted(service_name)
    ]


def goods_of(world: World, name: str = "shop_web") -> list[str]:
    return sorted(good.name for task in world.wanted(name) for good in task.goods)


def with_data(name: str = "web", source: str = "shop_data", **fields: Any) -> ServiceSpec:
    mount = Mount(kind=MountKind.VOLUME, source=source, target="/data")
    return service(name, container={"mounts": (mount,)}, **fields)


# --- named goods ---


def test_each_task_has_goods_of_its_own_and_its_agent_hears_of_them() -> None:
    world = World()
    made = node(world, "n1", **gpus("GPU-1", "GPU-2", "GPU-3"))
    world.deploy(stack(service(replicas=2, generic={"gpu": 1})))
    assert goods_of(world) == ["GPU-1", "GPU-2"]
    assert sorted(each.goods["gpu"] for each in made.assigned.tasks) == ["GPU-1", "GPU-2"]


def test_goods_without_names_are_told_by_number() -> None:
    world = World()
    made = node(world, "n1", generic={"ssd": 4})
    world.deploy(stack(service(generic={"ssd": 3})))
    assert [each.goods for each in made.assigned.tasks] == [{"ssd": "3"}]
    assert goods_of(world) == []


def test_goods_come_free_with_their_task_and_survive_a_restart_of_the_controller() -> None:
    world = World()
    node(world, "n1", **gpus("GPU-1", "GPU-2"))
    world.deploy(stack(service(replicas=2, generic={"gpu": 1})))
    world = world.restarted()
    world.nodes[next(iter(world.nodes))].connect()
    assert goods_of(world) == ["GPU-1", "GPU-2"]
    world.scale("shop_web", 1)
    world.pass_time(5_000)
    kept = goods_of(world)
    world.deploy(stack(service("other", generic={"gpu": 1}), name="blog"))
    assert sorted([*kept, *goods_of(world, "blog_other")]) == ["GPU-1", "GPU-2"]


def test_an_update_never_gives_a_good_twice() -> None:
    world = World()
    made = node(world, "n1", **gpus("GPU-1", "GPU-2"))
    world.deploy(stack(service(replicas=2, generic={"gpu": 1})))
    world.deploy(stack(service(image="app:2", replicas=2, generic={"gpu": 1})))
    for _ in range(40):
        world.pass_time(1_000)
        running = [
            task for task in world.tasks() if world.state.holds_node(task) and task.desired.value == "run"
        ]
        given = [good.name for task in running for good in task.goods]
        assert len(given) == len(set(given))
    assert goods_of(world) == ["GPU-1", "GPU-2"]
    assert {task.version for task in world.wanted()} == {2}
    assert {each.goods["gpu"] for each in made.assigned.tasks} == {"GPU-1", "GPU-2"}


# --- homes of volumes ---


def test_a_task_comes_home_after_its_service_had_none() -> None:
    world = World()
    for name in ("n1", "n2", "n3"):
        world.node(name)
    world.deploy(stack(service("filler", cpu=2_000), name="a"))
    world.deploy(stack(with_data(cpu=2_000)))
    (home,) = names_of(world)
    world.scale("shop_web", 0)
    world.pass_time(20_000)
    world = world.restarted()
    for each in world.nodes.values():
        each.connect()
    world.deploy(stack(service("other", cpu=2_000), name="b"))  # now the others would be fuller or emptier
    world.remove("a")
    world.pass_time(20_000)
    world.scale("shop_web", 1)
    assert names_of(world) == [home]


def test_each_slot_comes_back_to_its_own_data() -> None:
    world = World()
    for name in ("n1", "n2", "n3"):
        world.node(name)
    world.deploy(stack(with_data(replicas=3)))
    before = names_of(world)
    assert len(set(before)) == 3
    world.scale("shop_web", 0)
    world.pass_time(20_000)
    world.scale("shop_web", 3)
    assert names_of(world) == before


def test_what_prefers_its_home_goes_elsewhere_when_it_must_and_what_stays_waits() -> None:
    for homes in HomePolicy:
        world = World()
        first, second = world.node("n1"), world.node("n2")
        world.deploy(stack(with_data(homes=homes)))
        (home,) = names_of(world)
        lost = first if world.state.nodes[first.id].name == home else second
        lost.disconnect()
        world.pass_time(60_000)
        now = names_of(world)
        if homes is HomePolicy.STAY:
            assert now == [home, ""]
            (waiting,) = (task for task in world.wanted() if not task.node_id)
            assert f"{home}: not ready" in world.state.pending_reasons[waiting.id]
            lost.connect()
            world.pass_time(20_000)
            assert names_of(world) == [home]
        else:
            assert now == [({"n1", "n2"} - {home}).pop()]


def placed(plan: Plan, name: str) -> list[tuple[str, tuple[str, ...]]]:
    (found,) = (each for each in plan.services if each.change.service == name)
    return [(task.node, task.reasons) for task in sorted(found.tasks, key=lambda task: task.name)]


def test_a_plan_brings_tasks_home_too() -> None:
    world = World()
    for name in ("n1", "n2", "n3"):
        world.node(name)
    world.deploy(stack(with_data(replicas=3)))
    before = names_of(world)
    world.scale("shop_web", 0)
    world.pass_time(20_000)
    plan = world.plan(stack(with_data(replicas=4)))
    told = placed(plan, "shop_web")
    assert told[:3] == [(node, ("its volumes have data there",)) for node in before]
    assert told[3][0] in before
    world.scale("shop_web", 4)
    assert names_of(world) == [node for node, _ in told]


def test_a_plan_promises_no_other_place_to_what_stays() -> None:
    world = World()
    world.node("n1"), world.node("n2")
    world.deploy(stack(with_data(homes=HomePolicy.STAY, cpu=1_000)))
    (home,) = names_of(world)
    world.scale("shop_web", 0)
    world.pass_time(20_000)
    full = service("full", cpu=3_500, constraints=(f"node.hostname == {home}",))
    world.deploy(stack(full, name="other"))
    wished = stack(with_data(homes=HomePolicy.STAY, cpu=1_000))
    (problem,) = world.plan(wished).problems
    assert problem.summary == "shop_web.1 cannot be placed"
    assert f"{home}: short of CPU" in problem.details
    assert world.deploy(wished).problem is not None
    prefers = stack(with_data(cpu=1_000))
    assert placed(world.plan(prefers), "shop_web")[0][0] == ({"n1", "n2"} - {home}).pop()


def test_what_stays_would_be_nowhere_without_its_node() -> None:
    world = World()
    world.node("n1"), world.node("n2")
    world.deploy(stack(with_data(homes=HomePolicy.STAY)))
    (home,) = names_of(world)
    (move,) = world.ask(SimulateAsked(ticket="", lose=(home,))).value.moves
    assert (move.after, move.reasons) == ("", ("it stays where its volumes have data",))


def test_what_is_read_only_or_new_each_time_has_no_home() -> None:
    world = World()
    world.node("n1")
    read_only = Mount(kind=MountKind.VOLUME, source="shop_data", target="/data", read_only=True)
    world.deploy(stack(service("a", container={"mounts": (read_only,)}), with_data("b", "x-{{.Task.ID}}")))
    assert not world.state.homes
    world.deploy(stack(with_data("c", "data-{{.Task.Slot}}", replicas=2), name="more"))
    assert sorted(world.state.homes) == ["data-1", "data-2"]


# --- affinities ---


def test_a_service_follows_another_and_keeps_away_from_a_third() -> None:
    world = World()
    for name in ("n1", "n2", "n3"):
        world.node(name)
    near = Affinity(service="db", required=True)
    away = Affinity(service="noisy", anti=True, required=True)
    wished = stack(
        service("web", replicas=2, affinities=(near,)),
        service("db", affinities=(away,)),
        service("noisy", replicas=2),
    )
    plan = world.plan(wished)
    assert isinstance(plan, Plan)
    assert not plan.problems
    planned = {task.name: task.node for each in plan.services for task in each.tasks}
    world.deploy(wished)
    (db,) = names_of(world, "shop_db")
    assert set(names_of(world)) == {db}
    assert db not in names_of(world, "shop_noisy")
    assert planned["shop_db.1"] not in (planned["shop_noisy.1"], planned["shop_noisy.2"])


def test_a_required_distance_holds_for_the_other_service_too() -> None:
    world = World()
    world.node("n1")
    alone = Affinity(service="blog_noisy", anti=True, required=True)
    world.deploy(stack(service("db", affinities=(alone,))))
    refused = world.deploy(stack(service("noisy"), name="blog")).problem
    assert refused is not None
    assert "1 node: 1 kept away by an affinity" in refused.details
    world.node("n2")
    assert world.deploy(stack(service("noisy"), name="blog")).problem is None
    assert names_of(world, "blog_noisy") == ["n2"]


def test_nearness_to_a_service_that_is_not_there_is_refused_with_the_nearest() -> None:
    world = World()
    world.node("n1")
    near = Affinity(service="dbb", required=True)
    refused = world.deploy(stack(service("web", affinities=(near,)), service("db"))).problem
    assert refused is not None
    assert refused.summary == "shop_web has to be near 'dbb', which is not there"
    assert refused.hint == "did you mean db?"
    preferred = replace(near, required=False)
    reply = world.deploy(stack(service("web", affinities=(preferred,)), service("db")))
    assert reply.problem is None
    assert reply.value.warnings == ("shop_web shall be near 'dbb', which is not there: did you mean db?",)


def test_to_be_away_from_what_comes_later_is_no_mistake() -> None:
    world = World()
    world.node("n1")
    away = Affinity(service="later", anti=True, required=True)
    assert world.deploy(stack(service("web", affinities=(away,)))).value.warnings == ()


def written(name: str, *affinities: Affinity, **fields: Any) -> ServiceSpec:
    """A service as a file has it, a line each."""
    return service(name, affinities=affinities, places={"affinity": f"c.yml:{name}"}, **fields)


def near(other: str, topology: str = "") -> Affinity:
    return Affinity(service=other, topology=topology, required=True)


def away(other: str, topology: str = "") -> Affinity:
    return Affinity(service=other, topology=topology, required=True, anti=True)


@pytest.mark.parametrize(
    ("wished", "summary", "place"),
    [
        (
            (written("a", near("b")), written("b", near("c")), written("c", near("b"))),
            "each of these has to be near the next, so none can begin: shop_b -> shop_c -> shop_b",
            "c.yml:b",
        ),
        (
            (written("a", near("b"), away("b", "node.id")), written("b")),
            "shop_a has to be near shop_b and away from it, on the same node: no node can be both",
            "c.yml:a",
        ),
        (
            (written("a", near("b", ZONE)), written("b", away("a", ZONE))),
            "shop_a has to be near shop_b and away from it, in node.labels.zone: no node can be both",
            "c.yml:a",
        ),
        (
            (written("a", near("a"), away("a"), replicas=2),),
            "shop_a has to be near shop_a and away from it, on the same node: no node can be both",
            "c.yml:a",
        ),
    ],
)
def test_wishes_that_no_node_can_meet_are_refused(
    wished: tuple[ServiceSpec, ...], summary: str, place: str
) -> None:
    world = World()
    world.node("n1", zone="a")
    refused = world.deploy(stack(*wished)).problem
    assert refused is not None
    assert (refused.summary, refused.place) == (summary, place)
    assert refused.hint
    assert not world.state.services


@pytest.mark.parametrize(
    "wished",
    [
        (written("a", near("a")), written("b", near("a"))),
        (written("a", near("b", ZONE), away("b")), written("b")),  # in its zone, on another node
        (written("a", near("b")), written("b", replace(near("a"), required=False))),
        (written("a", near("a"), away("a")),),  # there is one only
        (written("a", near("b")), written("b", replace(away("a"), required=False))),
    ],
)
def test_wishes_that_can_be_met_are_deployed(wished: tuple[ServiceSpec, ...]) -> None:
    world = World()
    world.node("n1", zone="a"), world.node("n2", zone="a")
    assert world.deploy(stack(*wished)).problem is None


def test_a_new_wish_may_not_make_another_ones_impossible() -> None:
    world = World()
    world.node("n1")
    world.deploy(stack(service("b")))
    world.deploy(stack(written("a", near("shop_b")), name="x"))
    refused = world.deploy(stack(written("b", away("x_a")))).problem
    assert refused is not None
    assert refused.summary.startswith("x_a has to be near shop_b and away from it")
    assert (refused.details, refused.place) == (("it is shop_b that wants to be away",), "c.yml:b")


def test_services_that_are_near_each_other_already_go_on() -> None:
    world = World()
    world.node("n1")
    world.deploy(stack(written("a"), written("b", near("a"))))
    both = stack(written("a", near("b")), written("b", near("a")))
    assert world.deploy(both).problem is None


def test_disk_and_processes_are_set_aside() -> None:
    world = World()
    made = world.node("n1")
    capacity = replace(made.inventory.capacity, disk_bytes=100, pids=10)
    made.inventory = replace(made.inventory, capacity=capacity)
    made.disconnect()
    made.connect()
    wants = replace(service(), reservations=Resources(disk_bytes=60, pids=5))
    assert world.deploy(stack(wants)).problem is None
    refused = world.scale("shop_web", 2).problem
    assert refused is not None
    assert "1 node: 1 short of disk" in refused.details


# --- what no node has ---


def test_what_no_node_has_is_said() -> None:
    world = World()
    world.node("n1", zone="a")
    world.node("n2", cpu=8, zone="b")
    wants = service(cpu=9_000, constraints=("node.labels.zonne == a",))
    refused = world.deploy(stack(wants)).problem
    assert refused is not None
    assert refused.details[-2:] == (
        "no node has 9 CPU in all: the most has n2, 8 CPU",
        "no node has the label zonne; there is zone",
    )
    refused = world.deploy(stack(service(generic={"fpga": 1}))).problem
    assert refused is not None
    assert "no node has any of it: 1 fpga" in refused.details


def test_the_data_of_a_node_that_was_removed_is_forgotten() -> None:
    world = World()
    gone = world.node("n1")
    world.deploy(stack(with_data()))
    assert world.state.homes["shop_data"].keys() == {gone.id}
    world.ask(NodeRemoveAsked(ticket="", node="n1", force=True))
    assert not world.state.homes
