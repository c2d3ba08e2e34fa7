"""What is the matter with a node, in words: out of what was found."""

from __future__ import annotations

import pytest

from agent.decide.condition import condition_of
from agent.events import Fault, FaultKind, Underlay
from bayplan.model import NodeCondition, NodeFault, NodeFaultKind, Overlay
from bayplan.node_faults import NODE_FAULT_CHARS_MAX, NODE_FAULTS_MAX

SHOP = Overlay(network="shop_default", vni=0xBA0001, subnet="10.64.0.0/20", gateway="10.64.0.1")

LINK = Underlay(1500)


def fault(number: int = 1, text: str = "taken") -> NodeFault:
    return NodeFault(kind=NodeFaultKind.PORT, subject=str(number), text=text)


def condition(
    *found: NodeFault, refused: dict[str, Fault] | None = None, underlay: Underlay = LINK
) -> NodeCondition:
    return condition_of(found, refused or {}, [SHOP], underlay)


def test_a_node_that_is_well_has_no_faults_and_tells_its_mtu() -> None:
    well = condition(underlay=Underlay(1500, {"shop_default": 1450}, ("192.168.0.0/24",)))
    assert well == NodeCondition(link_mtu=1500)


def test_the_same_is_told_once_and_in_one_order() -> None:
    first, second = fault(80), NodeFault(kind=NodeFaultKind.DATA_PLANE, text="no such device")
    assert condition(first, second, first).faults == condition(second, first).faults == (second, first)


@pytest.mark.parametrize(("mtu", "told"), [(1450, False), (1451, True)])
def test_containers_whose_packets_are_larger_than_the_link_takes_are_told(mtu: int, told: bool) -> None:
    found = condition(underlay=Underlay(1500, {"shop_default": mtu})).faults
    assert [each.kind for each in found] == [NodeFaultKind.MTU] * told
    assert all("set the link's MTU to 1501" in each.hint for each in found)


def test_an_mtu_that_is_not_known_is_no_fault() -> None:
    assert not condition(underlay=Underlay(0, {"shop_default": 1450})).faults


@pytest.mark.parametrize(
    ("route", "clashes"),
    [("10.64.15.0/24", True), ("10.0.0.0/8", True), ("10.64.16.0/20", False), ("192.168.1.0/24", False)],
)
def test_a_subnet_that_overlaps_a_route_is_told_with_both(route: str, clashes: bool) -> None:
    found = condition(underlay=Underlay(1500, routes=(route,))).faults
    assert [(each.kind, each.subject) for each in found] == [(NodeFaultKind.SUBNET, "shop_default")] * clashes
    assert all("10.64.0.0/20" in each.text and route in each.text for each in found)


def test_a_network_that_was_refused_is_told_and_one_that_waits_is_not() -> None:
    refused = Fault(kind=FaultKind.REFUSED, reason="a link bp-ba0001 is in the way")
    waits = Fault(kind=FaultKind.UNANSWERED, reason="no answer")
    (found,) = condition(refused={"shop_default": refused, "shop_back": waits}).faults
    assert (found.kind, found.subject) == (NodeFaultKind.NETWORK, "shop_default")
    assert "is in the way" in found.text


def test_many_and_long_faults_are_cut_and_counted() -> None:
    found = condition(*[fault(number, "x" * 2_000) for number in range(100)]).faults
    assert len(found) == NODE_FAULTS_MAX
    assert found[-1].text.startswith(f"and {100 - NODE_FAULTS_MAX + 1} more faults")
    assert max(len(each.text) for each in found) == NODE_FAULT_CHARS_MAX
