"""Networks have no segment or subnet in common, nodes no block, containers and services no address."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from ipaddress import IPv4Network

from controller.decide.addresses import NOBODY
from controller.networks import vip
from controller.records import Network
from tests.sim.invariants.base import Part, View, is_running


class NetworksApart:
    watches = frozenset({Part.RECORDS, Part.BOXES})

    def check(self, world: View) -> str:
        if not world.control.running:
            return ""
        networks = list(world.state.networks.values())
        found = "".join(_within(each) for each in networks) if Part.RECORDS in world.news.parts else ""
        return found or _among(networks) or _containers(world)


def _within(network: Network) -> str:
    """What is wrong with the blocks and the virtual addresses of one network."""
    blocks = [index for mine in network.blocks.values() for index in mine]
    if len(set(blocks)) < len(blocks):
        return f"{network.name}: a block is given twice in {network.blocks}"
    if len(set(network.vips.values())) < len(network.vips):
        return f"{network.name}: a virtual address is given twice in {network.vips}"
    if network.vips and not network.blocks.get(NOBODY):
        return f"{network.name}: virtual addresses out of no block: {vip(network, next(iter(network.vips)))}"
    return ""


def _among(networks: Iterable[Network]) -> str:
    ordered = sorted(networks, key=lambda each: IPv4Network(each.subnet))
    if len({each.vni for each in ordered}) < len(ordered):
        return f"two networks have one segment: {[(each.name, each.vni) for each in ordered]}"
    for one, other in itertools.pairwise(ordered):
        if IPv4Network(one.subnet).overlaps(IPv4Network(other.subnet)):
            return f"{one.name} ({one.subnet}) and {other.name} ({other.subnet}) overlap"
    return ""


def _containers(world: View) -> str:
    """Who runs on which host, given up or not: addresses are one node's own for as long as it is known."""
    taken: dict[tuple[str, str], str] = {}
    for node_id in world.state.nodes.keys() & world.hosts_by_id.keys():
        for box in world.hosts_by_id[node_id].engine.boxes.values():
            for network, address in box.addresses.items() if is_running(box) else ():
                other = taken.setdefault((network, address), box.task_id)
                if other != box.task_id:
                    return f"{other} and {box.task_id} are both {address} in {network}"
    return ""
