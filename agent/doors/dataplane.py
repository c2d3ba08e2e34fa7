"""Keeps this node's data plane as the directory says: rules, virtual addresses, listeners at published ports.

Level, not edge: what is wanted follows from the copy of the directory and the networks that are here. The
first time all is replaced in one transaction; from then on what differs. A fault is told and tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping

import structlog

from agent.decide import flows, rules
from agent.decide.dataplane import Front, Place, Segment, front_of
from agent.decide.flows import NOBODY, Answerers
from agent.decide.rules import Rules
from agent.directory import DirectoryCopy
from agent.doors.ingress import Listeners
from agent.labels import bridge_name
from agent.runtime import conntrack, forwarding, tables
from agent.runtime.bridges import BridgeError, Bridges
from agent.runtime.forwarding import ForwardingError
from agent.runtime.nft import Nft, NftError
from bayplan.directory import Listing
from bayplan.errors import ProblemError
from bayplan.model import NodeFault, NodeFaultKind, Overlay

#: After a fault it is tried again so much later, in seconds, doubled each time.
RETRY_S_MIN, RETRY_S_MAX = 0.2, 10.0
#: How often it is looked at whether somebody took our rules or addresses away, in seconds.
CHECK_EVERY_S = 10.0
#: News are acknowledged when they are applied, or after this time, in seconds.
APPLY_WAIT_S_MAX = 3.0

#: What the kernel may refuse.
FAULTS = (NftError, BridgeError, ForwardingError)

_log = structlog.get_logger(__name__)


class DataPlane:
    """What is in the kernel, and what shall be. Synchronous: one call at a time, in a thread."""

    def __init__(self) -> None:
        self._nft: Nft | None = None
        self._bridges = Bridges()
        #: By the services' keys.
        self._fronts: dict[str, Front] = {}
        self._rules: dict[str, Rules] = {}
        self._answerers: dict[str, Answerers] = {}
        #: Whose UDP flows are still to be let go of.
        self._lost = NOBODY
        self._place = Place("", {})
        #: None: unknown, as after a start or a fault.
        self._done: Rules | None = None
        self._addressed: tuple[object, ...] = ()
        self._addresses_before: Mapping[str, set[str]] = {}
        self._forwards = True

    @property
    def fronts(self) -> list[Front]:
        """Of all services that have one, by key."""
        return [front for _, front in sorted(self._fronts.items())]

    @property
    def keys(self) -> list[str]:
        """Of those services."""
        return sorted(self._fronts)

    def change(self, listings: Mapping[str, Listing | None], place: Place, *, look: bool) -> None:
        """These services have changed, or are gone (None). `look`: somebody may have taken something away.
        Raises one of FAULTS."""
        self._place = place
        if self._done is None:
            self._lost = flows.together((self._lost, *self._answerers.values()))
        for key, listing in listings.items():
            self._answer(key, listing)
            front = front_of(listing, place) if listing else Front()
            if front == Front():
                self._fronts.pop(key, None)
                self._rules.pop(key, None)
            elif front != self._fronts.get(key):
                self._fronts[key], self._rules[key] = front, rules.rules_of(front)
        if look:
            self._look()
        self._settle(look=look)
        self._let_go()

    def _answer(self, key: str, listing: Listing | None) -> None:
        """Note who may answer for a service from now on, and whom it has lost; at first nobody is known."""
        now = flows.answerers(listing, self._place) if listing else NOBODY
        lost = flows.shrunk(self._answerers.pop(key, NOBODY), now)
        self._lost = flows.together((self._lost, lost, now if self._done is None else NOBODY))
        if now != NOBODY:
            self._answerers[key] = now

    def _let_go(self) -> None:
        lost, self._lost = self._lost, NOBODY
        if lost == NOBODY:
            return
        try:
            conntrack.drop(lost.lets_go_of)
        except OSError as error:
            _log.warning(
                "UDP callers of instances that are gone have to pause to get others", cause=str(error)
            )

    def _look(self) -> None:
        if self._done not in (None, Rules()):
            there = self._kernel().run("list tables")
            if any(f"table {table}\n" not in there for table in rules.TABLES):
                _log.warning("somebody took this node's rules away; they are made anew")
                self._done = None

    def _settle(self, *, look: bool) -> None:
        addresses = self._addresses()
        seen = (addresses, [(front.local, bool(front.ports)) for front in self.fronts])
        look |= not self._addressed
        moved, before = look or seen != self._addressed, self._addresses_before
        self._addressed = ()
        if look or any(held - addresses.get(bridge, set()) for bridge, held in before.items()):
            # Before the rules, without which the host itself would answer.
            self._bridges.drop({**dict.fromkeys(before, frozenset()), **addresses})
        if moved:
            self._forward()
        self._apply(rules.joined(each for _, each in sorted(self._rules.items())))
        if moved:
            self._bridges.keep(addresses)
        self._addressed, self._addresses_before = seen, addresses

    def _forward(self) -> None:
        if any(front.ports for front in self._fronts.values()):
            forwarding.keep()
            self._forwards = True
        elif self._forwards:
            forwarding.remove()
            self._forwards = False

    def _apply(self, wanted: Rules) -> None:
        done, self._done = self._done, None
        if done is None and wanted == Rules():
            # What another agent left here goes; where there are no rules, nothing is amiss without nftables.
            with contextlib.suppress(NftError):
                tables.remove(self._kernel(), rules.TABLES)
        elif done in (None, Rules()):
            for table in rules.TABLES:
                tables.comment_of(self._kernel(), table)  # raises where it is somebody else's
            self._kernel().run(rules.whole(wanted))
        elif text := rules.difference(done, wanted):
            self._kernel().run(text)
        self._done = wanted

    def _addresses(self) -> dict[str, set[str]]:
        """The virtual addresses of each bridge."""
        found: dict[str, set[str]] = {each.bridge: set() for each in self._place.segments.values()}
        for front in self._fronts.values():
            for address in front.addresses:
                found.setdefault(address.bridge, set()).add(address.address)
        return found

    def _kernel(self) -> Nft:
        if self._nft is None:
            self._nft = Nft()
        return self._nft


class DataPlaneKeeper:
    """Has the data plane follow the directory and the networks of this node."""

    def __init__(self, copy: DirectoryCopy, node_id: str) -> None:
        self._copy = copy
        self._plane = DataPlane()
        self._listeners = Listeners()
        self._place = Place(node_id, {})
        self._news = asyncio.Event()
        self._turned = asyncio.Event()
        #: As of this index of the directory all is done.
        self._index = 0
        #: All services are to be looked at, whatever the index; the kernel is.
        self._all_due = self._look_due = True
        self.fault, self._hint = "", ""

    @property
    def faults(self) -> tuple[NodeFault, ...]:
        """What is the matter; empty: nothing."""
        text = f"virtual addresses and published ports are not as they shall be: {self.fault}"
        own = NodeFault(kind=NodeFaultKind.DATA_PLANE, text=text, hint=self._hint)
        return (*([own] if self.fault else []), *self._listeners.faults)

    def networks(self, overlays: Iterable[Overlay]) -> None:
        """These networks over several nodes are here, or may have been made anew."""
        segments = {each.network: segment_of(each) for each in overlays}
        self._all_due |= segments != self._place.segments
        self._look_due = True
        self._place = self._place._replace(segments=segments)
        self._news.set()

    async def applied(self, index: int) -> None:
        """Return when all that the directory said up to an index is done, or cannot be now."""
        try:
            async with asyncio.timeout(APPLY_WAIT_S_MAX):
                while self._index < index and not self.fault:
                    await self._turned.wait()
        except TimeoutError:
            _log.warning("rules take long to be made", waited_s=APPLY_WAIT_S_MAX)

    async def run(self) -> None:
        """Follow, forever."""
        retry_s = RETRY_S_MIN
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listeners.run())
            while True:
                if not await self._wait(retry_s if self.fault else CHECK_EVERY_S):
                    self._look_due = True
                if not self._copy.directory.index:
                    continue  # nothing is known: what is there stays
                await self._turn()
                retry_s = min(retry_s * 2, RETRY_S_MAX) if self.fault else RETRY_S_MIN

    async def _wait(self, limit_s: float) -> bool:
        """Until there is something to do; False: nothing was heard for so long."""
        if self.fault:
            await asyncio.sleep(limit_s)
            return True
        if (self._all_due or self._look_due) and self._copy.directory.index:
            return True
        self._news.clear()
        heard = [
            asyncio.ensure_future(self._news.wait()),
            asyncio.ensure_future(self._copy.changed(self._index)),
        ]
        try:
            done, _ = await asyncio.wait(heard, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in heard:
                each.cancel()
            ends = await asyncio.gather(*heard, return_exceptions=True)
        if any(isinstance(each, ProblemError) for each in ends):
            await asyncio.sleep(RETRY_S_MIN)  # too many wait for changes: it is looked without waiting
        return bool(done)

    async def _turn(self) -> None:
        """Do what there is to do now."""
        index, listings, look = self._copy.directory.index, self._changed(), self._look_due
        self._all_due = self._look_due = False
        try:
            await asyncio.to_thread(self._plane.change, listings, self._place, look=look)
            self._all_well()
        except FAULTS as error:
            self._tell(error)
        self._listeners.want(self._plane.fronts)
        self._index = index
        turned, self._turned = self._turned, asyncio.Event()
        turned.set()

    def _changed(self) -> dict[str, Listing | None]:
        """Services that are to be looked at."""
        directory = self._copy.directory
        keys = None if self._all_due else directory.changed_since(self._index)
        if keys is None:
            gone = dict.fromkeys(self._plane.keys, None)
            return {**gone, **{listing.key: listing for listing in directory}}
        found: dict[str, Listing | None] = {}
        for key in keys:
            service, _, stack = key.rpartition(".")
            found[key] = directory.get(stack, service) if stack else None
        return found

    def _all_well(self) -> None:
        if self.fault:
            _log.info("this node's rules are as they shall be again")
        self.fault = ""

    def _tell(self, error: Exception) -> None:
        self._hint = error.hint if isinstance(error, NftError) else ""
        if str(error) != self.fault:
            _log.error(
                "virtual addresses and published ports are not as they shall be",
                cause=str(error),
                hint=self._hint,
            )
        self.fault = str(error) or type(error).__name__


def segment_of(overlay: Overlay) -> Segment:
    """A network as its bridge stands here."""
    return Segment(overlay.network, bridge_name(overlay.vni), overlay.internal)
