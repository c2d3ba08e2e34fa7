"""A node's condition, out of sockets that somebody else has."""

from __future__ import annotations

import asyncio
import socket

import pytest

from agent.doors import surfaces
from agent.doors.condition import ConditionWatch
from agent.doors.surfaces import Address, Lacking, keep_trying
from agent.events import NodeRef
from agent.state import State
from bayplan.dns import Desk, DnsServer, bind
from bayplan.model import NodeCondition, NodeFaultKind
from tests.doors.test_following import until

HOST = "127.0.0.1"


def nobody(host: str) -> Desk | None:
    return None


async def serve(address: Address) -> None:
    await DnsServer(nobody, bind(*address)).run()


async def test_a_resolvers_port_that_is_taken_is_a_fault_until_it_is_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(surfaces, "RETRY_S", 0.05)
    monkeypatch.setattr(surfaces, "HAD_S", 0.1)
    said: list[NodeCondition] = []
    lacking = Lacking()
    state = State(identity=NodeRef(node_id="n1", cluster_id="c1"), boot_id="b1", cores=1)
    watch = ConditionWatch(state, HOST, [lambda: lacking.faults], said.append)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((HOST, 0))
        address = Address(HOST, taken.getsockname()[1])
        trying = asyncio.create_task(
            keep_trying("the containers of net", address, serve, lacking, subject="net")
        )
        await until("it is told", lambda: lacking.faults)
        for _ in range(5):
            watch.look()
            await asyncio.sleep(0.05)
    ((fault,),) = [condition.faults for condition in said]
    assert (fault.kind, fault.subject) == (NodeFaultKind.RESOLVER, "net")
    assert str(address) in fault.text and "shows who has the port" in fault.hint
    await until("it is had", lambda: not lacking.faults)
    watch.look()
    assert said[1:] == [NodeCondition()]
    trying.cancel()


async def test_an_address_that_is_wanted_no_more_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = Lacking()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((HOST, 0))
        trying = asyncio.create_task(keep_trying("DNS", Address(*taken.getsockname()), serve, lacking))
        await until("it is told", lambda: lacking.faults)
        trying.cancel()
        await until("it is forgotten", lambda: not lacking.faults)
