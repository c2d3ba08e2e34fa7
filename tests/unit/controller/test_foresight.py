"""What would be if nodes were lost, and moves of tasks that even out the load."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from bayplan.errors import ProblemKind
from bayplan.model import Mount, MountKind, ServiceMode, ServiceSpec
from bayplan.views import Move
from controller.core.foresight import MOVES_MAX
from controller.events import Foreseen, RebalanceAsked, Reply, SimulateAsked
from tests.unit.controller.world import ENDS, GIB, World, service, stack


@pytest.fixture
def world() -> World:
    return World()


def simulate(world: World, *lose: str) -> Foreseen:
    world.log.clear()
    reply: Reply = world.ask(SimulateAsked(ticket="", lose=lose))
    assert isinstance(reply.value, Foreseen), reply.problem
    assert world.log == []
    return reply.value


def rebalance(world: World, **fields: Any) -> list[Move]:
    reply: Reply = world.ask(RebalanceAsked(ticket="", **fields))
    assert isinstance(reply.value, Foreseen), reply.problem
    return list(reply.value.moves)


def paths(moves: Any) -> list[tuple[str, str, str]]:
    return [(move.task, move.before, move.after) for move in moves]


def nodes_of(world: World, name: str = "shop_web") -> dict[int, str]:
    """By slot the node of what runs."""
    return {task.slot: world.state.nodes[task.node_id].name for task in world.wanted(name) if task.node_id}


def with_data(spec: ServiceSpec) -> ServiceSpec:
    mount = Mount(kind=MountKind.VOLUME, source="shop_data", target="/data")
    return replace(spec, container=replace(spec.container, mounts=(mount,)))


def test_the_tasks_of_a_lost_node_would_run_elsewhere(world: World) -> None:
    world.node("n1"), world.node("n2"), world.node("n3")
    world.deploy(stack(service(replicas=3)))
    foreseen = simulate(world, "n1")
    (slot,) = [slot for slot, node in nodes_of(world).items() if node == "n1"]
    assert paths(foreseen.moves) == [(f"shop_web.{slot}", "n1", "n2")]
    assert foreseen.moves[0].reasons


def test_what_would_fit_nowhere_is_told_with_the_reasons(world: World) -> None:
    world.node("n1"), world.node("n2", memory=1 * GIB)
    world.deploy(stack(service(memory=2 * GIB)))
    (move,) = simulate(world, "n1").moves
    assert (move.task, move.before, move.after) == ("shop_web.1", "n1", "")
    assert move.reasons[0] == "needs 0.05 CPU, 2 GiB"


def test_tasks_that_are_bound_to_a_lost_node_would_end_with_it(world: World) -> None:
    world.node("n1"), world.node("n2")
    world.deploy(stack(service(mode=ServiceMode.GLOBAL)))
    foreseen = simulate(world, "n2")
    assert (foreseen.moves, foreseen.ended) == ((), ("shop_web.2",))


def test_several_nodes_can_be_lost_at_once_and_even_all(world: World) -> None:
    world.node("n1"), world.node("n2"), world.node("n3", cpu=1)
    world.deploy(stack(service(replicas=2, cpu=2_000)))
    assert [move.after for move in simulate(world, "n1", "n2").moves] == ["", ""]
    (first, _) = simulate(world, "n1", "n2", "n3").moves
    assert first.reasons == ("no node would be left",)


def test_work_that_is_done_would_not_be_done_again(world: World) -> None:
    world.fates["app:1"] = ENDS
    world.node("n1"), world.node("n2")
    world.deploy(stack(service(mode=ServiceMode.REPLICATED_JOB)))
    assert simulate(world, "n1", "n2").moves == ()


def test_a_node_that_is_not_there_is_told_with_what_is_nearest(world: World) -> None:
    world.node("node1")
    reply = world.ask(SimulateAsked(ticket="", lose=("nod1",)))
    assert (reply.problem.kind, reply.problem.hint) == (ProblemKind.NOT_FOUND, "did you mean node1?")
    assert world.ask(SimulateAsked(ticket="", lose=())).problem.kind is ProblemKind.INVALID


def test_a_rebalance_moves_replicas_onto_a_new_node(world: World) -> None:
    world.node("n1")
    world.deploy(stack(service(replicas=4)))
    world.pass_time(10_000)
    world.node("n2")
    planned = rebalance(world, dry_run=True)
    assert nodes_of(world) == dict.fromkeys(range(1, 5), "n1")
    assert [move.after for move in planned] == ["n2", "n2"]
    assert rebalance(world) == planned
    world.pass_time(60_000)
    assert sorted(nodes_of(world).values()) == ["n1", "n1", "n2", "n2"]
    assert rebalance(world) == []


def test_different_services_go_to_the_emptiest_node(world: World) -> None:
    world.node("n1"), world.node("n2")
    stays = ("node.hostname == n2",)
    names = [f"s{number}" for number in range(4)]
    world.deploy(stack(service("half", cpu=1_500, constraints=stays), name="other"))
    world.deploy(stack(*(service(name, cpu=900, constraints=("node.hostname == n1",)) for name in names)))
    world.pass_time(10_000)
    world.deploy(stack(*(service(name, cpu=900) for name in names)))
    world.pass_time(60_000)
    before = {name: nodes_of(world, f"shop_{name}")[1] for name in names}
    world.node("n3")
    moves = rebalance(world)
    assert {move.after for move in moves} == {"n3"}
    world.pass_time(60_000)
    for move in moves:
        name = move.task.removesuffix(".1")
        assert nodes_of(world, name) == {1: "n3"} != {1: before[name.removeprefix("shop_")]}


@pytest.mark.parametrize(
    "spec",
    [
        service(mode=ServiceMode.GLOBAL),
        service(replicas=4, mode=ServiceMode.REPLICATED_JOB),
        service(replicas=4, fence=True),
        service(replicas=4, preferences=("node.labels.zone",)),
        with_data(service(replicas=4)),
    ],
    ids=["global", "job", "fenced", "spread", "data"],
)
def test_what_should_stay_is_not_moved(world: World, spec: ServiceSpec) -> None:
    world.node("n1")
    world.deploy(stack(spec))
    world.pass_time(10_000)
    world.node("n2")
    assert rebalance(world) == []


def test_a_rebalance_moves_no_more_than_asked_for(world: World) -> None:
    world.node("n1")
    world.deploy(stack(service(replicas=8)))
    world.pass_time(10_000)
    world.node("n2")
    assert len(rebalance(world, moves_max=1, dry_run=True)) == 1
    reply = world.ask(RebalanceAsked(ticket="", moves_max=MOVES_MAX + 1))
    assert reply.problem.summary == f"{MOVES_MAX + 1} moves: 1 to {MOVES_MAX} are possible"


def test_a_move_that_can_only_lead_back_is_given_up(world: World) -> None:
    """Found by the simulator as seed 486: the heir of a moved task came to the node that it was to leave."""
    world.node("n1")
    world.deploy(stack(service(replicas=2)))
    world.pass_time(10_000)
    other = world.node("n2")
    other.obedient = False
    before = {task.id for task in world.wanted()}
    (move,) = rebalance(world)
    assert (move.before, move.after) == ("n1", "n2")
    other.disconnect()
    world.pass_time(20_000)
    assert {task.id for task in world.wanted()} == before
    assert not any(task.displaced for task in world.wanted())
