"""Whose packets reach this node, by the signs that came of each."""

from __future__ import annotations

import pytest

from agent.decide import reach
from agent.decide.reach import FIRST_S_MAX, Heard, cover, faults, followed, period_s, took
from agent.events import Sign
from agent.runtime.reach import decoded, encoded
from bayplan.model import NodeFaultKind, Overlay

PEER = "10.0.0.2"


def overlay(name: str, *peers: str) -> Overlay:
    return Overlay(network=name, vni=1, subnet="10.64.0.0/20", gateway="10.64.0.1", peers=peers)


def kinds(heard: Heard, now_s: float) -> list[NodeFaultKind]:
    return [fault.kind for fault in faults({PEER: heard}, now_s)]


def sign(*, large: bool, every_s: float = 5.0) -> Sign:
    return Sign(PEER, every_s, large)


def both(heard: Heard, now_s: float, every_s: float = 5.0) -> Heard:
    return took(
        took(heard, sign(large=False, every_s=every_s), now_s), sign(large=True, every_s=every_s), now_s
    )


def test_few_networks_have_all_peers() -> None:
    overlays = [overlay("a", "1", "2"), overlay("b", "1", "2", "3"), overlay("c", "4"), overlay("d")]
    assert [each.network for each in cover(overlays)] == ["b", "c"]
    assert cover([]) == [] and cover(reversed(overlays)) == cover(overlays)


@pytest.mark.parametrize(("peers", "expected"), [(0, 5), (3, 5), (1_000, 20), (10_000, 60)])
def test_many_peers_are_sent_to_less_often(peers: int, expected: float) -> None:
    assert period_s([overlay("a", *map(str, range(peers)))]) == expected


def test_a_peer_that_was_heard_is_missed_after_three_of_its_periods() -> None:
    heard = both(Heard(0), 100)
    assert kinds(heard, 115) == [] and kinds(heard, 116) == [NodeFaultKind.PEER]
    slow = both(Heard(0), 100, every_s=20)
    assert kinds(slow, 160) == [] and kinds(slow, 161) == [NodeFaultKind.PEER]
    assert kinds(both(heard, 200), 201) == []


def test_a_peer_that_was_never_heard_has_time_to_come() -> None:
    assert kinds(Heard(10), 10 + FIRST_S_MAX) == []
    assert kinds(Heard(10), 11 + FIRST_S_MAX) == [NodeFaultKind.PEER]


def test_a_peer_of_which_only_large_packets_are_lost_is_a_matter_of_the_mtu() -> None:
    heard = took(both(Heard(0), 100), sign(large=False), 120)
    assert kinds(heard, 121) == [NodeFaultKind.MTU]
    assert kinds(took(Heard(0), sign(large=False), 95), 96) == [NodeFaultKind.MTU]


def test_what_a_peer_says_of_its_period_is_not_trusted() -> None:
    assert both(Heard(0), 1, every_s=6_000).period_s == reach.PERIOD_S_MAX
    assert both(Heard(0), 1, every_s=0).period_s == reach.PERIOD_S_MIN


def test_peers_that_go_are_forgotten_and_those_that_stay_are_not_new() -> None:
    before = followed({}, [overlay("a", "1", "2")], 5)
    after = followed(before, [overlay("a", "2", "3")], 9)
    assert after == {"2": Heard(5), "3": Heard(9)}


@pytest.mark.parametrize("large", [True, False])
def test_a_sign_is_a_frame_and_back(large: bool) -> None:
    frame = encoded(Sign("10.1.2.3", 12.5, large))
    assert decoded(frame + b"\0" * 100) == Sign("10.1.2.3", 12.5, large)
    assert decoded(frame[:-1]) is None
    assert decoded(frame.replace(b"bayplan", b"another")) is None
