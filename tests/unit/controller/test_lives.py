"""The nodes' lives: pulses, witnesses, the brake on mass failures, coming and going, stalled engines."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from bayplan.model import Availability, NodeStatus, Resources, Strategy
from bayplan.session import Goodbye, Heartbeat
from controller import lookup, views
from controller.core import lives, placing
from controller.decide import liveness, restarts
from controller.decide.demand import demand
from controller.decide.filling import Wish
from controller.decide.fleet import Fleet
from controller.decide.ratings import rate
from controller.decide.reasons import FAILED_HERE
from controller.events import NodeUpdateAsked, SessionLost, WitnessLost, WitnessOpened
from tests.unit.controller.world import CRASHES, Node, World, service, stack


def status(world: World, node: Node) -> NodeStatus:
    return world.state.lives[node.id].status


def fleet(count: int, replicas: int = 0) -> tuple[World, list[Node]]:
    """A world with nodes, and a service with so many tasks spread over them."""
    world = World()
    nodes = [world.node(f"n{number}") for number in range(1, count + 1)]
    if replicas:
        world.deploy(stack(service(replicas=replicas, strategy=Strategy.SPREAD)))
    return world, nodes


def silence(*nodes: Node) -> None:
    """They answer no pulse any more, though their sessions stand."""
    for node in nodes:
        node.beating = False


def placed(world: World) -> dict[str, str]:
    """Where each wanted task is."""
    return {task.id: task.node_id for task in world.wanted()}


# --- pulses


def test_a_node_that_hears_nothing_ages_like_one_that_says_nothing() -> None:
    world, (node, _) = fleet(2)
    silence(node)
    for _ in range(7):
        world.pass_time(1_000)
        node.says(Goodbye(reason="what it says is heard, but it answers no pulse"))
    assert status(world, node) is NodeStatus.DOWN


def test_a_silent_node_is_suspect_after_two_beats_and_down_after_three() -> None:
    world, (node, _) = fleet(2)
    world.pass_time(10_000)
    silence(node)
    silent_ms = 0
    seen: dict[NodeStatus, int] = {}
    while NodeStatus.DOWN not in seen:
        world.pass_time(100)
        silent_ms += 100
        seen.setdefault(status(world, node), silent_ms)
    assert 2_000 <= seen[NodeStatus.SUSPECT] <= 4_100
    assert 4_000 <= seen[NodeStatus.DOWN] <= 6_100


def test_a_controller_that_comes_to_its_pulses_only_now_and_then_forgets_no_node() -> None:
    world, nodes = fleet(200)
    for _ in range(15):
        world.now_ms += 900
        world.event(SessionLost(node_id="nobody", session_id=""))
    assert {status(world, node) for node in nodes} == {NodeStatus.READY}


def test_an_answer_counts_from_when_its_pulse_was_sent() -> None:
    world, (node, _) = fleet(2)
    life = world.state.lives[node.id]
    silence(node)
    world.pass_time(5_000)
    number, sent_ms = life.pulses[-1]
    assert sent_ms < world.now_ms
    node.says(Heartbeat(pulse=number))
    assert (life.heard_ms, life.answered_ms) == (sent_ms, world.now_ms)
    assert status(world, node) is NodeStatus.READY


def test_answers_that_are_made_up_or_repeated_say_nothing() -> None:
    world, (node, _) = fleet(2)
    silence(node)
    world.pass_time(2_100)
    number = world.state.lives[node.id].pulses[-1][0]
    node.says(Heartbeat(pulse=number))
    heard_ms = world.state.lives[node.id].heard_ms
    world.pass_time(1_000)
    for each in (number, number - 1, number + 50, 0):
        node.says(Heartbeat(pulse=each))
    assert world.state.lives[node.id].heard_ms == heard_ms


def test_a_large_fleet_is_asked_a_few_nodes_at_a_time_and_each_once_a_beat() -> None:
    world, nodes = fleet(120)
    lives_of = [world.state.lives[node.id] for node in nodes]
    most = 0
    for _ in range(100):  # their Hellos came at the same moment
        before = sum(life.pulse for life in lives_of)
        world.pass_time(lives.PULSES_APART_MS)
        most = max(most, sum(life.pulse for life in lives_of) - before)
    assert 0 < most <= 2 * lives.PULSES_TOGETHER
    counts = {life.pulse for life in lives_of}
    world.pass_time(10 * world.state.lease_ms // 3)
    assert {life.pulse for life in lives_of} <= {count + more for count in counts for more in (9, 10, 11)}


# --- witnesses


def killed(world: World, node: Node, gap_ms: int = 0) -> None:
    """All processes of a machine end."""
    node.disconnect()
    if gap_ms:
        world.pass_time(gap_ms)
    world.event(WitnessLost(node_id=node.id, witness="w1"))


def witnessed_pair() -> tuple[World, Node, Node]:
    world, (first, second) = fleet(2, replicas=2)
    world.event(WitnessOpened(node_id=first.id, witness="w1"))
    return world, first, second


def test_a_machine_whose_session_and_witness_break_is_down_after_a_second() -> None:
    world, first, second = witnessed_pair()
    killed(world, first)
    assert status(world, first) is NodeStatus.SUSPECT
    world.pass_time(1_100)
    assert status(world, first) is NodeStatus.DOWN
    assert len(second.running()) == 2


def test_an_agent_that_restarts_beside_its_witness_has_the_whole_lease() -> None:
    world, first, second = witnessed_pair()
    first.disconnect()
    world.pass_time(3_500)
    assert status(world, first) is NodeStatus.SUSPECT
    first.connect()
    assert len(first.running()) == len(second.running()) == 1


def test_a_node_that_never_had_a_witness_has_the_whole_lease() -> None:
    world, (first, _) = fleet(2)
    first.disconnect()
    world.pass_time(3_000)
    assert status(world, first) is NodeStatus.SUSPECT


def test_a_witness_that_broke_long_before_says_nothing_about_the_machine() -> None:
    world, first, _ = witnessed_pair()
    world.event(WitnessLost(node_id=first.id, witness="w1"))
    world.pass_time(5_000)
    first.disconnect()
    world.pass_time(3_000)
    assert status(world, first) is NodeStatus.SUSPECT


def test_a_witness_that_is_taken_over_has_not_broken() -> None:
    world, first, _ = witnessed_pair()
    world.event(WitnessOpened(node_id=first.id, witness="w2"))
    killed(world, first)
    world.pass_time(3_000)
    assert status(world, first) is NodeStatus.SUSPECT


def test_an_agent_that_says_goodbye_has_the_whole_lease_whatever_its_witness_does() -> None:
    world, first, _ = witnessed_pair()
    first.says(Goodbye(reason="shutdown"))
    killed(world, first)
    world.pass_time(3_000)
    assert status(world, first) is NodeStatus.SUSPECT


def test_breaks_that_a_controller_sees_after_it_stood_still_are_its_own_doing() -> None:
    world, first, _ = witnessed_pair()
    world.now_ms += 60_000
    killed(world, first)
    world.pass_time(3_000)
    assert status(world, first) is NodeStatus.SUSPECT


def test_the_end_of_an_older_session_is_no_sign() -> None:
    world, first, _ = witnessed_pair()
    old = first.session
    first.connect()
    world.event(SessionLost(node_id=first.id, session_id=old))
    world.event(WitnessLost(node_id=first.id, witness="w1"))
    world.pass_time(2_000)
    assert status(world, first) is NodeStatus.READY


# --- the brake


def test_when_too_many_fall_silent_together_nothing_is_moved() -> None:
    world, nodes = fleet(5, replicas=5)
    before = placed(world)
    silence(*nodes[:2])
    world.pass_time(60_000)
    assert [status(world, node) for node in nodes[:2]] == [NodeStatus.DOWN] * 2
    assert placed(world) == before
    assert any("not moved" in line for line in views.problems(world.state))
    assert views.node_view(world.state, nodes[0].id, world.now_ms).held
    instances = lookup.lookup(world.state, "shop", "web").instances
    assert len(instances) == 3  # nobody is sent to what is out of reach


def test_one_of_many_is_moved_at_once() -> None:
    world, nodes = fleet(5, replicas=5)
    silence(nodes[0])
    world.pass_time(7_000)
    assert nodes[0].id not in placed(world).values()


def test_a_held_node_that_comes_back_keeps_its_tasks() -> None:
    world, nodes = fleet(3, replicas=3)
    before = placed(world)
    for node in nodes:
        node.disconnect()
    world.pass_time(30_000)
    for node in nodes:
        world.pass_time(2_000)
        node.connect()
    world.pass_time(60_000)
    assert placed(world) == before
    assert not any("not moved" in line for line in views.problems(world.state))


def test_the_last_held_node_is_given_up_some_time_after_the_others_are_back() -> None:
    world, nodes = fleet(3, replicas=3)
    for node in nodes:
        node.disconnect()
    world.pass_time(20_000)
    for node in nodes[1:]:
        node.connect()
    world.pass_time(9_000)
    assert nodes[0].id in placed(world).values()
    world.pass_time(2_000)
    assert nodes[0].id not in placed(world).values()


def test_held_tasks_are_moved_after_five_minutes() -> None:
    world, nodes = fleet(3, replicas=3)
    silence(*nodes[:2])
    world.pass_time(liveness.HELD_MS_MAX)
    assert len(set(placed(world).values())) == 3
    world.pass_time(10_000)
    assert set(placed(world).values()) == {nodes[2].id}


def test_an_operator_who_drains_a_held_node_has_given_it_up() -> None:
    world, nodes = fleet(3, replicas=3)
    silence(*nodes[:2])
    world.pass_time(10_000)
    world.ask(NodeUpdateAsked(ticket="", node="n1", availability=Availability.DRAIN))
    assert [world.state.lives[node.id].lost for node in nodes] == [True, False, False]
    assert nodes[0].id not in placed(world).values()
    assert nodes[1].id in placed(world).values()


def test_nodes_that_were_lost_before_do_not_count_for_the_brake() -> None:
    world, nodes = fleet(4, replicas=4)
    silence(nodes[0])
    world.pass_time(10_000)
    silence(nodes[1])
    world.pass_time(10_000)
    assert set(placed(world).values()) == {nodes[2].id, nodes[3].id}


@pytest.mark.parametrize(
    ("silent", "expected", "brakes"),
    [(1, 1, False), (1, 2, False), (2, 2, True), (2, 5, True), (2, 6, False), (3, 6, True), (3, 9, False)],
)
def test_more_than_a_third_and_at_least_two_brake(silent: int, expected: int, brakes: bool) -> None:
    assert liveness.brakes(silent, expected) is brakes


# --- coming and going


def flap(world: World, node: Node) -> None:
    """It goes down and comes back."""
    node.disconnect()
    world.pass_time(7_000)
    node.connect()


def test_a_node_that_comes_and_goes_is_a_last_choice_for_a_while() -> None:
    world, nodes = fleet(3)
    flap(world, nodes[0])
    flap(world, nodes[0])
    assert views.node_view(world.state, nodes[0].id, world.now_ms).shaky_ms == liveness.SHAKY_MS_MIN
    world.deploy(stack(service(replicas=4)))
    assert nodes[0].id not in placed(world).values()
    world.pass_time(liveness.SHAKY_MS_MIN)
    assert views.node_view(world.state, nodes[0].id, world.now_ms).shaky_ms == 0
    world.scale("shop_web", 5)
    assert nodes[0].id in placed(world).values()


def test_a_shaky_node_takes_what_no_other_can() -> None:
    world, nodes = fleet(2)
    flap(world, nodes[0])
    flap(world, nodes[0])
    world.deploy(stack(service(replicas=3, cpu=2_000)))
    assert sorted(placed(world).values()).count(nodes[0].id) == 1


def test_a_node_that_went_once_is_not_shaky() -> None:
    world, nodes = fleet(3)
    flap(world, nodes[0])
    assert views.node_view(world.state, nodes[0].id, world.now_ms).shaky_ms == 0


def test_shaky_times_double_up_to_half_an_hour_and_start_afresh_after_a_steady_time() -> None:
    found = 0
    spans = []
    for _ in range(5):
        found = liveness.shaky_for([0, 1], found, 10, 10)
        spans.append(found // 60_000)
    assert spans == [5, 10, 20, 30, 30]
    assert liveness.shaky_for([0, 1], 600_000, -600_001, 10) == liveness.SHAKY_MS_MIN


# --- nodes on which something is wrong


def test_a_node_on_which_a_version_keeps_failing_is_avoided_for_it() -> None:
    world, (first, second) = fleet(2)
    first._run = lambda task_id, spec: replace(CRASHES, task_id=task_id)  # type: ignore[method-assign]
    world.deploy(stack(service()))
    world.pass_time(10_000)
    assert len(second.running()) == 1
    assert len([task for task in world.tasks() if task.end is not None]) == restarts.FAILURES_AVOIDED_MIN
    nodes = Fleet.of(placing.candidates(world.state))
    wish = Wish("s", demand(service(), Resources()), bound=1, avoided=frozenset({first.id}))
    rated = rate(nodes, wish, most=2).rows
    assert [nodes.ids[each.row] for each in rated] == [second.id, first.id]
    assert FAILED_HERE in rated[1].reason


def test_an_engine_that_does_not_answer_takes_no_new_tasks_and_loses_none() -> None:
    world, (first, second) = fleet(2, replicas=2)
    first.engine_silent_ms = 11_000
    world.pass_time(3_000)
    assert status(world, first) is NodeStatus.READY
    assert len(first.running()) == 1
    world.scale("shop_web", 4)
    assert (len(first.running()), len(second.running())) == (1, 3)
    assert any("its engine has not answered" in line for line in views.problems(world.state))
    first.engine_silent_ms = 0
    world.pass_time(3_000)
    world.scale("shop_web", 6)
    assert len(first.running()) == 3


def test_after_a_restart_nodes_are_waited_for_while_others_come_back() -> None:
    world, nodes = fleet(6, replicas=6)
    before = placed(world)
    again = world.restarted()
    for node in nodes[:5]:
        again.pass_time(4_000)
        node.connect()
    assert status(again, nodes[5]) is NodeStatus.UNKNOWN
    assert placed(again) == before
    again.pass_time(11_000)
    assert status(again, nodes[5]) is NodeStatus.DOWN


def test_after_a_restart_nodes_are_not_waited_for_longer_than_a_minute() -> None:
    world, nodes = fleet(40)
    again = world.restarted()
    for node in nodes[:39]:
        again.pass_time(2_000)
        node.connect()
    assert status(again, nodes[39]) is NodeStatus.DOWN


def test_nodes_are_judged_by_the_time_up_to_which_all_are_heard() -> None:
    world, (node, _) = fleet(2)
    heard_ms = world.now_ms
    for _ in range(14):
        world.now_ms += 500
        world.core.settle(world.now, heard_ms)
    assert status(world, node) is NodeStatus.READY
    world.core.settle(world.now)
    assert status(world, node) is NodeStatus.DOWN
