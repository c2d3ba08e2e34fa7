"""Networks that span nodes in the agent's core: made before their tasks, and an address for each task."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from agent import commands as do
from agent import events as ev
from agent.decide.addresses import QUARANTINE_MS
from agent.overlays import LOOK_AGAIN_MS, REFUSED_RETRY_MS, UNANSWERED_RETRY_MS
from bayplan.lifecycle import TaskState
from bayplan.model import Assignment, Assignments, ContainerSpec, Desired, NetworkAttachment, Overlay
from tests.unit.agent.world import World, assignment, container, ready, remembered

#: Three addresses for tasks: .5 to .7 behind the node's own .4.
NET = Overlay(
    network="shop_net", vni=0xBA0001, subnet="10.64.0.0/28", gateway="10.64.0.4", blocks=("10.64.0.4/30",)
)
OTHER = Overlay(
    network="shop_db", vni=0xBA0002, subnet="10.65.0.0/28", gateway="10.65.0.4", blocks=("10.65.0.4/30",)
)


def joining(*networks: str, **fields: Any) -> ContainerSpec:
    return ContainerSpec(
        image="web:1", networks=tuple(NetworkAttachment(network=n, **fields) for n in networks)
    )


SPEC = joining("shop_net")


def told(
    world: World, *tasks: str | Assignment, spec: ContainerSpec = SPEC, nets: tuple[Overlay, ...] = (NET,)
) -> None:
    """The whole desired set, with these networks."""
    wanted = [assignment(task) if isinstance(task, str) else task for task in tasks]
    world.assign(*wanted, spec=spec, overlays=nets)


def given(world: World) -> dict[str, dict[str, str]]:
    """The addresses with which containers were made, by task."""
    made: dict[str, dict[str, str]] = {}
    for command in world.done(do.CreateContainer):
        endpoints = command.config["NetworkingConfig"]["EndpointsConfig"]
        made[command.task_id] = {
            name: endpoint["IPAMConfig"]["IPv4Address"]
            for name, endpoint in endpoints.items()
            if "IPAMConfig" in endpoint
        }
    return made


def refused(reason: str = "no VXLAN", kind: ev.FaultKind = ev.FaultKind.REFUSED) -> dict[str, ev.Fault]:
    return {"shop_net": ev.Fault(kind=kind, reason=reason)}


# --- networks -------------------------------------------------------------------------------------------


def test_a_network_is_made_before_the_task_that_needs_it() -> None:
    world = ready(auto=False)
    told(world, "t1")
    assert [command.overlays for command in world.done(do.KeepOverlays)] == [(NET,)]
    assert (world.done(do.CreateContainer), world.state("t1")) == ([], TaskState.PREPARING)
    assert world.told["t1"].message == "waits for network shop_net"
    world.post(ev.OverlaysKept(made=("shop_net",)))
    (create,) = world.done(do.CreateContainer)
    assert (create.overlays, given(world)) == (("shop_net",), {"t1": {"shop_net": "10.64.0.5"}})


def test_a_task_on_no_such_network_waits_for_none() -> None:
    world = ready(auto=False)
    told(world, "t1", spec=joining("plain"))
    assert [command.overlays for command in world.done(do.CreateContainer)] == [()]


def test_a_network_that_cannot_be_made_is_its_tasks_fault() -> None:
    world = ready()
    world.network_faults = refused()
    told(world, "t1")
    assert (world.state("t1"), world.told["t1"].message) == (TaskState.REJECTED, "no VXLAN")


def test_a_network_that_may_be_made_soon_is_waited_for() -> None:
    world = ready()
    world.network_faults = refused("the engine is away", ev.FaultKind.UNANSWERED)
    told(world, "t1")
    assert (world.state("t1"), world.told["t1"].message) == (TaskState.PREPARING, "the engine is away")
    world.network_faults = {}
    world.wait(UNANSWERED_RETRY_MS)
    assert world.state("t1") is TaskState.RUNNING


@pytest.mark.parametrize(("faults", "after_ms"), [({}, LOOK_AGAIN_MS), (refused(), REFUSED_RETRY_MS)])
def test_networks_are_looked_at_again_after_a_while(faults: dict[str, ev.Fault], after_ms: int) -> None:
    world = ready()
    world.network_faults = faults
    told(world, nets=(NET,))
    world.wait(after_ms - 1)
    assert len(world.done(do.KeepOverlays)) == 1
    world.wait(1)
    assert len(world.done(do.KeepOverlays)) == 2


def test_other_peers_are_told_at_once_and_stop_nobody() -> None:
    world = ready(auto=False)
    told(world, "t1")
    world.post(ev.OverlaysKept(made=("shop_net",)))
    more = replace(NET, peers=("10.0.0.2",))
    told(world, "t1", "t2", nets=(more,))
    assert world.done(do.KeepOverlays)[-1].overlays == (more,)
    assert [command.task_id for command in world.done(do.CreateContainer)] == ["t1", "t2"]


def test_a_network_of_another_segment_is_another_network() -> None:
    world = ready(auto=False)
    told(world)
    world.post(ev.OverlaysKept(made=("shop_net",)))
    told(world, "t1", nets=(replace(NET, vni=0xBA0009),))
    assert world.done(do.CreateContainer) == []
    world.post(ev.OverlaysKept(made=("shop_net",)))
    assert len(world.done(do.CreateContainer)) == 1


def test_what_changes_while_networks_are_made_is_made_after_it() -> None:
    world = ready(auto=False)
    told(world, nets=(NET,))
    told(world, nets=(NET, OTHER))
    assert len(world.done(do.KeepOverlays)) == 1
    world.post(ev.OverlaysKept(made=("shop_net",)))
    assert world.done(do.KeepOverlays)[-1].overlays == (OTHER, NET)


def test_a_network_goes_when_it_is_told_no_more_and_with_its_last_task() -> None:
    world = ready()
    told(world, "t1")
    told(world, nets=(NET,))
    assert world.done(do.RemoveNetwork) == []
    told(world, nets=())
    assert [command.network for command in world.done(do.RemoveNetwork)] == ["shop_net"]
    assert world.done(do.KeepOverlays)[-1].overlays == ()


def test_a_network_whose_removal_is_under_way_is_made_after_it() -> None:
    world = ready(auto=False)
    told(world)
    world.post(ev.OverlaysKept(made=("shop_net",)))
    told(world, nets=())
    world.post(ev.OverlaysKept())
    told(world)
    assert [
        type(each) for each in world.commands if isinstance(each, do.KeepOverlays | do.RemoveNetwork)
    ] == [
        do.KeepOverlays,
        do.RemoveNetwork,
        do.KeepOverlays,
    ]
    world.post(ev.NetworkRemoved(network="shop_net"))
    assert world.done(do.KeepOverlays)[-1].overlays == (NET,)


def test_after_a_restart_the_networks_of_the_journal_are_looked_at_without_a_controller() -> None:
    kept = remembered(assignment("t1"))
    world = World(remembered=replace(kept, assignments=replace(kept.assignments, overlays=(NET,))))
    world.list_engine(container("t1", addresses={"shop_net": "10.64.0.6"}))
    assert [command.overlays for command in world.done(do.KeepOverlays)] == [(NET,)]
    assert world.done(do.RemoveNetwork) == []


# --- addresses ------------------------------------------------------------------------------------------


def test_each_task_has_an_address_of_its_own_and_tells_it() -> None:
    world = ready()
    told(world, "t1", "t2", "t3")
    world.wait(100)
    assert {task: status.address for task, status in world.told.items()} == {
        "t1": "10.64.0.5",
        "t2": "10.64.0.6",
        "t3": "10.64.0.7",
    }


def test_with_several_networks_the_address_is_that_of_the_first_and_all_are_told() -> None:
    world = ready()
    spec = ContainerSpec(
        image="web:1",
        networks=(
            NetworkAttachment(network="plain", priority=9),
            NetworkAttachment(network="shop_net"),
            NetworkAttachment(network="shop_db", priority=5),
        ),
    )
    told(world, "t1", spec=spec, nets=(NET, OTHER))
    world.wait(100)
    status = world.told["t1"]
    assert status.address == "10.65.0.5"
    assert status.addresses == {"shop_db": "10.65.0.5", "shop_net": "10.64.0.5"}


def test_a_static_address_is_taken_as_it_is_and_given_to_nobody_else() -> None:
    world = ready()
    told(world, "t1", spec=joining("shop_net", ipv4_address="10.64.0.6"))
    statics = world.core.state.tasks["t1"].spec
    assert statics is not None
    tasks = Assignments(
        revision=9,
        tasks=(assignment("t1"), assignment("t2", spec_id="s2")),
        specs={"s1": statics, "s2": SPEC},
        overlays=(NET,),
    )
    world.hear(tasks)
    assert given(world) == {"t1": {"shop_net": "10.64.0.6"}, "t2": {"shop_net": "10.64.0.5"}}


def test_with_all_addresses_in_use_a_task_waits_until_one_is_free_and_has_rested() -> None:
    world = ready()
    told(world, "t1", "t2", "t3", "t4")
    assert world.state("t4") is TaskState.PREPARING
    assert world.told["t4"].message == "waits for an address of network shop_net: none of this node's is free"
    told(world, assignment("t1", Desired.STOP), "t2", "t3", "t4")
    world.wait(QUARANTINE_MS - 200)
    assert world.state("t4") is TaskState.PREPARING
    world.wait(200)
    assert (world.state("t4"), given(world)["t4"]) == (TaskState.RUNNING, {"shop_net": "10.64.0.5"})


def test_more_blocks_let_a_task_that_waits_go_on() -> None:
    world = ready()
    told(world, "t1", "t2", "t3", "t4")
    more = replace(NET, blocks=(*NET.blocks, "10.64.0.8/30"))
    told(world, "t1", "t2", "t3", "t4", nets=(more,))
    assert (world.state("t4"), given(world)["t4"]) == (TaskState.RUNNING, {"shop_net": "10.64.0.8"})


def test_a_restarted_agent_gives_no_address_that_a_container_has_and_lets_the_others_rest() -> None:
    kept = remembered(assignment("t1"))
    assignments = replace(kept.assignments, specs={"s1": SPEC}, overlays=(NET,))
    world = World(remembered=replace(kept, assignments=assignments))
    world.list_engine(container("t1", addresses={"shop_net": "10.64.0.6"}, address="10.64.0.6"))
    world.connect()
    world.revision = 1
    told(world, "t1", "t2", "t3", "t4")
    world.wait(100)
    assert (world.told["t1"].address, given(world)) == ("10.64.0.6", {})
    world.wait(QUARANTINE_MS)
    assert given(world) == {"t2": {"shop_net": "10.64.0.5"}, "t3": {"shop_net": "10.64.0.7"}}
    assert world.state("t4") is TaskState.PREPARING


def test_an_agent_without_its_journal_gives_no_address_that_a_container_has() -> None:
    # Simulator, seed 5: containers are found before the networks that they are on are told.
    world = World()
    world.list_engine(container("t1", addresses={"shop_net": "10.64.0.5"}, address="10.64.0.5"))
    world.connect()
    told(world, "t1", "t2")
    assert given(world) == {"t2": {"shop_net": "10.64.0.6"}}


def test_a_task_keeps_its_address_while_it_is_started_again_in_place() -> None:
    world = ready()
    told(world, "t1", "t2")
    world.cut()
    world.die("t1", 1)
    world.wait(60_000)
    assert "t1" in world.alive()
    assert world.core.state.tasks["t1"].addresses == {"shop_net": "10.64.0.5"}


def test_a_create_that_is_tried_again_asks_for_the_same_address() -> None:
    world = ready(auto=False)
    told(world, "t1")
    world.post(ev.OverlaysKept(made=("shop_net",)))
    world.fail("t1", ev.FaultKind.UNANSWERED)
    world.wait(1_000)
    assert len(world.done(do.CreateContainer)) == 2
    assert given(world) == {"t1": {"shop_net": "10.64.0.5"}}
