"""Which UDP flows are let go of when instances come and go."""

from __future__ import annotations

from agent.decide.flows import NOBODY, Answerers, answerers, shrunk, together
from agent.flow import Flow
from bayplan.directory import Standing
from bayplan.model.base import Protocol
from tests.unit.agent.decide.dataplane_world import HERE, entry, listing, published

UDP = Protocol.UDP
WEB = Answerers({"10.64.15.1": frozenset({"10.64.1.5"})}, {8000: frozenset({("10.64.1.5", 80)})})


def test_whoever_is_there_may_go_on_answering_ready_or_not() -> None:
    given = listing(
        entry(5, protocol=UDP, standing=Standing.DRAINING),
        entry(6, node=2, protocol=UDP),
        ports=(published(8000, protocol=UDP),),
    )
    found = answerers(given, HERE)
    assert found.virtual == {"10.64.15.1": {"10.64.1.5", "10.64.2.6"}}
    assert found.published == {8000: {("10.64.1.5", 80), ("10.9.0.1", 30_005), ("10.9.0.2", 30_006)}}


def test_ports_of_tcp_are_of_no_concern() -> None:
    assert answerers(listing(entry(5), vip="", ports=(published(8000),)), HERE) == NOBODY


def test_a_flow_goes_with_the_instance_that_answered_it() -> None:
    assert not WEB.lets_go_of(Flow("10.64.15.1", 99, "10.64.1.5", 99))
    assert WEB.lets_go_of(Flow("10.64.15.1", 99, "10.64.1.6", 99))
    assert not WEB.lets_go_of(Flow("10.9.0.1", 8000, "10.64.1.5", 80))
    assert WEB.lets_go_of(Flow("10.9.0.1", 8000, "10.64.1.5", 81))
    assert not WEB.lets_go_of(Flow("10.9.0.1", 8001, "10.64.1.6", 80)), "somebody else's port"


def test_only_what_lost_somebody_is_looked_for() -> None:
    more = Answerers({"10.64.15.1": WEB.virtual["10.64.15.1"] | {"10.64.2.6"}}, WEB.published)
    assert shrunk(WEB, more) == NOBODY
    assert shrunk(more, WEB) == Answerers(WEB.virtual)
    assert shrunk(WEB, NOBODY) == Answerers({"10.64.15.1": frozenset()}, {8000: frozenset()})
    assert together([WEB, shrunk(WEB, NOBODY), WEB]) == WEB
