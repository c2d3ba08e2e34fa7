"""Networks that span nodes, as this node takes part in them: a bridge network of the engine, joined to those
of the other nodes by a VXLAN device, and a filter before it.

It finds again what an agent before it has made, and changes what differs: connections outlast its restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path
from typing import Protocol, TypeVar

from agent.events import Fault, FaultKind, OverlaysKept
from agent.labels import bridge_name, overlay_alias, tunnel_name
from agent.runtime.base import EngineError
from agent.runtime.links import VXLAN_BYTES, VXLAN_BYTES_IPV6, Link, LinkError, Links, Tunnel, open_links
from agent.runtime.nft import Nft, NftError, NftMissingError
from agent.runtime.peers import PeersFilter, Secure
from agent.runtime.wireguard import WIREGUARD_BYTES, SecureLink, inner
from bayplan.model import Overlay

#: One look at all networks, or the removal of one, may take this long besides what the engine takes.
KERNEL_DEADLINE_S = 30.0

#: Whether packets within a bridge pass the host's rules, which virtual addresses need.
BRIDGE_SWITCH = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")

ResultT = TypeVar("ResultT")


class OverlayEngine(Protocol):
    """What is needed of the engine. All methods raise EngineError."""

    async def list_networks(self) -> list[str]:
        """The names of all networks of ours."""

    async def keep_overlay(self, overlay: Overlay, mtu: int) -> None:
        """Have the engine's part of a network there."""


class OverlayKeeper:
    """`address` is the one under which other nodes reach this one, `private` gives the key of its tunnel.
    One call at a time, others wait."""

    def __init__(
        self, engine: OverlayEngine, node_id: str, address: str, private: Callable[[], str] = lambda: ""
    ) -> None:
        self._engine = engine
        self._node_id = node_id
        self._address = address
        self._filter: PeersFilter | None = None
        self._secure = SecureLink(node_id, private)
        self._busy = asyncio.Lock()

    async def keep(self, overlays: tuple[Overlay, ...]) -> OverlaysKept:
        """Have these networks here. The filter comes before any device."""
        async with self._busy:
            try:
                there = await self._engine.list_networks()
                mtu, unsafe = await _in_thread(lambda: self._prepare(overlays, there))
            except (EngineError, LinkError, NftError, TimeoutError) as error:
                return OverlaysKept(faults={overlay.network: _fault(error) for overlay in overlays})
            faults: dict[str, Fault] = {}
            for overlay in overlays:
                try:
                    if overlay.encrypted and unsafe is not None:
                        raise unsafe
                    await self._keep_one(overlay, mtu, there)
                except (EngineError, LinkError, NftError, TimeoutError) as error:
                    faults[overlay.network] = _fault(error)
            names = tuple(overlay.network for overlay in overlays)
            return OverlaysKept(made=tuple(name for name in names if name not in faults), faults=faults)

    async def removed(self, network: str) -> None:
        """The engine's network is gone: its device goes, too, and with the last one the filter. What cannot
        be done now is done with the next look."""
        async with self._busy:
            with suppress(LinkError, NftError, TimeoutError):
                await _in_thread(lambda: self._sweep(lambda found: found == network))

    async def take_down(self) -> None:
        """Remove all links of ours, and the filter. Raises LinkError, NftError, TimeoutError."""
        async with self._busy:
            await _in_thread(lambda: self._sweep(lambda network: True))
            await _in_thread(self._secure.remove)
            with suppress(NftMissingError):
                await _in_thread(lambda: self._peers_filter().remove())

    async def renew_key(self) -> None:
        """The tunnel has another key. What cannot be done now is done with the next look."""
        async with self._busy:
            with suppress(LinkError, TimeoutError):
                await _in_thread(self._secure.renew_key)

    async def _keep_one(self, overlay: Overlay, mtu: int, there: list[str]) -> None:
        alias, bridge = overlay_alias(self._node_id, overlay.network), bridge_name(overlay.vni)
        if overlay.network not in there:
            await _in_thread(lambda: _clear_way(bridge, alias))
        local, peers, heads = self._address, frozenset(overlay.peers), VXLAN_BYTES
        if overlay.encrypted:
            local, peers = inner(local), frozenset(map(inner, overlay.keys))
            heads = VXLAN_BYTES_IPV6 + WIREGUARD_BYTES
        mtu -= heads
        await self._engine.keep_overlay(overlay, mtu)
        tunnel = Tunnel(
            name=tunnel_name(overlay.vni),
            alias=alias,
            vni=overlay.vni,
            local=local,
            bridge=bridge,
            mtu=mtu,
            peers=peers,
        )
        await _in_thread(lambda: _keep_tunnel(tunnel))

    def _prepare(self, overlays: tuple[Overlay, ...], there: list[str]) -> tuple[int, LinkError | None]:
        """What all networks need: the switch, the filter, the tunnel; what nobody needs any more goes. The
        MTU of the link below, and why nothing can be encrypted."""
        told = {overlay.network for overlay in overlays}
        self._sweep(lambda network: network not in told and network not in there)
        encrypted = [overlay for overlay in overlays if overlay.encrypted]
        if not encrypted:
            self._secure.remove()
        if not overlays:
            return 0, None
        _switch_on()
        secure = (
            Secure(tuple(sorted(each.vni for each in encrypted)), self._secure.name) if encrypted else None
        )
        plain = {peer for overlay in overlays if not overlay.encrypted for peer in overlay.peers}
        self._peers_filter().keep(plain, secure)
        with open_links() as links:
            mtu = links.mtu_at(_ipv4(self._address))
        try:
            if encrypted:
                keys = {peer: key for overlay in encrypted for peer, key in overlay.keys.items()}
                self._secure.keep(self._address, mtu, keys)
        except LinkError as error:
            return mtu, error
        return mtu, None

    def _sweep(self, is_over: Callable[[str], bool]) -> None:
        """Remove the links of networks that are over, and the filter with the last of all."""
        with open_links() as links:
            ours = _ours(links, self._node_id)
            for link, network in ours:
                if is_over(network):
                    links.remove(link)
        over = [network for _, network in ours if is_over(network)]
        if len(over) == len(ours) and (over or self._filter is not None):
            self._peers_filter().remove()

    def _peers_filter(self) -> PeersFilter:
        if self._filter is None:
            self._filter = PeersFilter(Nft())
        return self._filter


async def _in_thread(act: Callable[[], ResultT]) -> ResultT:
    """Raises TimeoutError when the kernel does not come back."""
    async with asyncio.timeout(KERNEL_DEADLINE_S):
        return await asyncio.to_thread(act)


def _ours(links: Links, node_id: str) -> list[tuple[Link, str]]:
    """The links that an agent of this node has made, with the network of each."""
    prefix = overlay_alias(node_id, "")
    marked = [link for link in links.all().values() if link.alias.startswith(prefix)]
    return [(link, link.alias.removeprefix(prefix)) for link in marked]


def _clear_way(bridge: str, alias: str) -> None:
    """The engine would take a bridge of the name for its own: one that an engine before it left goes, and
    someone else's is a LinkError."""
    with open_links() as links:
        link = links.own(bridge, alias)
        if link is not None:
            links.remove(link)


def _keep_tunnel(tunnel: Tunnel) -> None:
    with open_links() as links:
        bridge = links.all().get(tunnel.bridge)
        if bridge is None:
            raise LinkError(
                f"the engine's bridge {tunnel.bridge} is not in the agent's network namespace: "
                "both must run in the same one"
            )
        links.mark(bridge, tunnel.alias)
        links.keep_tunnel(tunnel)


def _switch_on() -> None:
    """Raises LinkError."""
    try:
        if BRIDGE_SWITCH.read_text().strip() != "1":
            BRIDGE_SWITCH.write_text("1")
    except OSError as error:
        raise LinkError(
            f"{BRIDGE_SWITCH} cannot be set to 1 ({error.strerror}): "
            "run `modprobe br_netfilter` and `sysctl -w net.bridge.bridge-nf-call-iptables=1`"
        ) from error


def _ipv4(address: str) -> str:
    """Raises LinkError."""
    try:
        return str(IPv4Address(address))
    except AddressValueError as error:
        raise LinkError(
            f"networks that span nodes need an IPv4 address of each node, and this one's is {address!r}: "
            "join with --advertise-addr"
        ) from error


def _fault(error: EngineError | LinkError | NftError | TimeoutError) -> Fault:
    if isinstance(error, EngineError):
        return error.fault
    if isinstance(error, TimeoutError):
        reason = f"the kernel did not answer within {KERNEL_DEADLINE_S:g} s"
        return Fault(kind=FaultKind.UNANSWERED, reason=reason)
    hint = f": {error.hint}" if isinstance(error, NftError) and error.hint else ""
    return Fault(kind=FaultKind.REFUSED, reason=f"{error}{hint}")
