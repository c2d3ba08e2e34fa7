"""The keeper of the data plane: when it does what, and what it says when it cannot."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from agent.directory import DirectoryCopy
from agent.doors import dataplane
from agent.doors.dataplane import DataPlane, DataPlaneKeeper
from agent.runtime.nft import NftError
from bayplan.directory import Directory, Listing
from bayplan.model import NodeFaultKind, Overlay
from tests.doors.test_following import until
from tests.unit.agent.decide.dataplane_world import entry, listing

NET = Overlay(network="net", vni=0xBA0001, subnet="10.64.0.0/20", gateway="10.64.0.1")


class Kernel:
    """What the data plane was asked for; it refuses while `broken`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[list[str], bool]] = []
        self.broken = False
        monkeypatch.setattr(DataPlane, "_settle", self._settler())

    def _settler(self) -> Callable[..., None]:
        def settle(plane: DataPlane, *, look: bool) -> None:
            self._settle(plane, look)

        return settle

    def _settle(self, plane: DataPlane, look: bool) -> None:
        if self.broken:
            raise NftError("no such device")
        bridges = [address.bridge for front in plane.fronts for address in front.addresses]
        self.calls.append((bridges, look))


class Node:
    """A keeper that runs, and the controller's directory that its copy follows."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kernel = Kernel(monkeypatch)
        self.copy, self.directory = DirectoryCopy("n1", "n1"), Directory()
        self.keeper = DataPlaneKeeper(self.copy, "n1")

    def tell(self, *listings: Listing) -> int:
        """Give the index."""
        for each in listings:
            self.directory.put(each, self.directory.index + 1)
        self.copy.take(self.directory.since(self.copy.directory.index), whole=True)
        return self.directory.index


@pytest.fixture
async def node(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Node]:
    made = Node(monkeypatch)
    running = asyncio.ensure_future(made.keeper.run())
    yield made
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_nothing_is_changed_before_anything_is_known(node: Node) -> None:
    node.keeper.networks([NET])
    await asyncio.sleep(0.05)
    assert node.kernel.calls == [], "an agent before this one may have left rules that still hold"
    await asyncio.wait_for(node.keeper.applied(0), 0.05)


async def test_news_are_applied_when_the_rules_have_them(node: Node) -> None:
    node.keeper.networks([NET])
    index = node.tell(listing(entry(1)))
    await node.keeper.applied(index)
    assert node.kernel.calls[-1][0] == ["bp-ba0001"]


async def test_bridges_are_looked_at_again_when_their_networks_were_made(node: Node) -> None:
    node.keeper.networks([NET])
    await node.keeper.applied(node.tell(listing(entry(1))))
    await asyncio.sleep(0.05)
    before = len(node.kernel.calls)
    node.keeper.networks([NET])
    await until("they are looked at", lambda: node.kernel.calls[before:])
    assert node.kernel.calls[-1] == (["bp-ba0001"], True)


async def test_a_fault_is_told_holds_nobody_up_and_is_tried_again(
    node: Node, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dataplane, "RETRY_S_MIN", 0.05)
    node.kernel.broken = True
    await asyncio.wait_for(node.keeper.applied(node.tell(listing(entry(1)))), 1)
    await asyncio.sleep(0.3)
    (fault,) = node.keeper.faults
    assert fault.kind is NodeFaultKind.DATA_PLANE and "no such device" in fault.text
    assert capsys.readouterr().out.count("no such device") == 1
    node.kernel.broken = False
    await until("it is well", lambda: not node.keeper.faults)


async def test_who_waits_for_rules_does_not_wait_for_ever(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataplane, "APPLY_WAIT_S_MAX", 0.05)
    await asyncio.wait_for(node.keeper.applied(10_000), 1)


async def test_services_that_are_gone_are_gone_from_the_rules(node: Node) -> None:
    node.keeper.networks([NET])
    await node.keeper.applied(node.tell(listing(entry(1))))
    node.directory.drop("shop", "web", node.directory.index + 1)
    await node.keeper.applied(node.tell())
    await until("it is gone", lambda: node.kernel.calls[-1][0] == [])
