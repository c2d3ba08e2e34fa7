"""`bayplan doctor`: what is wrong with the cluster, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from ipaddress import IPv4Network

import click
import msgspec

from bayplan import __version__
from bayplan.cli import rows
from bayplan.cli.commands import command, connect
from bayplan.cli.drift import named
from bayplan.cli.output import out
from bayplan.client import ClusterNow, CopiesNow
from bayplan.model import NodeFaultKind
from bayplan.render.amounts import counted, span
from bayplan.render.printable import one_line
from bayplan.views import NetworkView

EXIT_FAILED = 1
#: Faults with which what runs goes on, for now.
_BEARABLE = (NodeFaultKind.MTU, NodeFaultKind.SUBNET, NodeFaultKind.SURFACE)
#: Faults whose subject may be another node's address.
_OF_PEERS = (NodeFaultKind.PEER, NodeFaultKind.MTU)


class Verdict(StrEnum):
    PASSED = "PASSED"
    WARN = "WARN"
    FAILED = "FAILED"


class Check(msgspec.Struct, frozen=True):
    """What was looked at and found; `advice` is the next command."""

    verdict: Verdict
    found: str
    advice: str = ""


@command(
    "doctor",
    "Look for what is wrong, with advice. The exit code is 1 when something has FAILED.",
    "bayplan doctor",
    "bayplan doctor --json",
    "bayplan doctor || bayplan status",
)
@click.option("--json", "as_json", is_flag=True, help="One object a line.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    with connect() as client:
        checks = list(examine(client.status(), client.copies(), client.networks()))
    for check in checks:
        if as_json:
            out(msgspec.json.encode(check).decode())
            continue
        out(f"{check.verdict.value:<6}  {check.found}")
        if check.advice:
            out(f"        {check.advice}")
    if any(check.verdict is Verdict.FAILED for check in checks):
        ctx.exit(EXIT_FAILED)


def examine(now: ClusterNow, copies: CopiesNow, networks: Sequence[NetworkView]) -> Iterator[Check]:
    """All checks, in the order in which one would ask."""
    yield from _controller(now)
    yield from _nodes(now)
    yield from _networks(now)
    yield from _encryption(now, networks)
    yield from _faults(now)
    yield from _mtus(now)
    yield from _subnets(now, networks)
    yield from _registry(now, copies)


def _controller(now: ClusterNow) -> Iterator[Check]:
    up = span(now.uptime_ms).lower()
    if now.controller_version == __version__:
        yield Check(Verdict.PASSED, f"the controller answers: version {__version__}, up {up}")
    else:
        found = f"the controller is {now.controller_version}, this client {__version__}"
        yield Check(Verdict.WARN, found, "install the same version of both")
    for problem in now.problems:
        yield Check(Verdict.FAILED, one_line(problem), "`bayplan status` shows it with its surroundings")


def _nodes(now: ClusterNow) -> Iterator[Check]:
    if not now.nodes:
        yield Check(Verdict.FAILED, "the cluster has no nodes", "`bayplan join-token` prints how one joins")
        return
    well = [node for node in now.nodes if rows.node_is_well(node)]
    if len(well) == len(now.nodes):
        yield Check(Verdict.PASSED, f"{counted(len(well), 'node')}, all ready")
    for node in now.nodes:
        if node.engine_silent_ms:
            silent = span(node.engine_silent_ms).lower()
            found = f"node {node.name}: its engine has not answered for {silent}"
            yield Check(Verdict.FAILED, found, f"on {node.name}: `systemctl status docker`")
        elif node not in well:
            found = f"node {node.name} is {node.status.value}"
            yield Check(Verdict.FAILED, found, f"on {node.name}: `systemctl status bayplan-agent`")
    for node in now.nodes:
        if node.shaky_ms:
            found = f"node {node.name} came and went lately: it takes tasks only where no other can"
            yield Check(Verdict.WARN, found, f"`bayplan node inspect --pretty {node.name}`")


def _networks(now: ClusterNow) -> Iterator[Check]:
    """Whether each node can take part in networks that span nodes."""
    unable = [node for node in now.nodes if node.inventory.overlay_fault]
    for node in unable:
        fault = one_line(node.inventory.overlay_fault)
        found = f"node {node.name} can take no part in networks that span nodes: {fault}"
        yield Check(
            Verdict.WARN, found, "it gets no tasks of services on them: docs/networks.md tells what it needs"
        )
    if now.nodes and not unable:
        yield Check(
            Verdict.PASSED, f"{counted(len(now.nodes), 'node')} can take part in networks that span nodes"
        )


def _encryption(now: ClusterNow, networks: Sequence[NetworkView]) -> Iterator[Check]:
    """Whether nodes can take part in encrypted networks; it matters where there is one."""
    wanted = any(network.spec.encrypted for network in networks)
    for node in now.nodes:
        if node.inventory.tunnel_fault and not node.inventory.overlay_fault:
            found = f"node {node.name} cannot encrypt: {one_line(node.inventory.tunnel_fault)}"
            if wanted:
                yield Check(Verdict.WARN, found, "it gets no tasks of services on encrypted networks")
            else:
                yield Check(Verdict.PASSED, f"{found} (no network asks for it)")


def _faults(now: ClusterNow) -> Iterator[Check]:
    """What nodes say of themselves. That nothing comes from a node which is not well is no news."""
    well = [node for node in now.nodes if rows.node_is_well(node)]
    silent = {node.address for node in now.nodes if node not in well}
    by_address = {node.address: node.name for node in well}
    told = [
        (node.name, fault)
        for node in well
        for fault in node.condition.faults
        if fault.kind not in _OF_PEERS or fault.subject not in silent
    ]
    for name, fault in told:
        text = one_line(fault.text)
        if fault.kind in _OF_PEERS and fault.subject in by_address:
            text = text.replace(fault.subject, f"{by_address[fault.subject]} ({fault.subject})")
        verdict = Verdict.WARN if fault.kind in _BEARABLE else Verdict.FAILED
        yield Check(verdict, f"node {name}: {text}", one_line(fault.hint))
    if well and not told:
        yield Check(Verdict.PASSED, "no node tells of a fault of its networks, ports and name servers")


def _mtus(now: ClusterNow) -> Iterator[Check]:
    """Each node makes its part of a network with the MTU of its own link."""
    by_mtu: dict[int, list[str]] = {}
    for node in now.nodes:
        if node.condition.link_mtu and rows.node_is_well(node):
            by_mtu.setdefault(node.condition.link_mtu, []).append(node.name)
    if len(by_mtu) > 1:
        listed = ", ".join(f"{mtu} on {named(tuple(names))}" for mtu, names in sorted(by_mtu.items()))
        advice = "large packets between them may be lost: give their links the same MTU (`ip link`)"
        yield Check(Verdict.WARN, f"the links between the nodes differ in their MTU: {listed}", advice)


def _subnets(now: ClusterNow, networks: Sequence[NetworkView]) -> Iterator[Check]:
    """Routes that nodes had when they came, also of nodes that take no part in a network yet."""
    ranges = [(network.name, subnet) for network in networks if (subnet := _range(network.subnet))]
    for node in now.nodes:
        told = {each.subject for each in node.condition.faults if each.kind is NodeFaultKind.SUBNET}
        routes = [route for route in map(_range, node.inventory.routes) if route is not None]
        for name, subnet in ranges:
            for route in routes if name not in told else ():
                if route.overlaps(subnet):
                    found = f"network {name}, {subnet}, overlaps {route}, a route of node {node.name}"
                    yield Check(Verdict.WARN, found, "give one of both another subnet")


def _range(text: str) -> IPv4Network | None:
    try:
        return IPv4Network(text, strict=False)
    except ValueError:
        return None


def _registry(now: ClusterNow, copies: CopiesNow) -> Iterator[Check]:
    """Whether each node that is well answers from the newest directory."""
    by_node = {copy.node: copy for copy in copies.copies}
    well = [node for node in now.nodes if rows.node_is_well(node)]
    without = [node for node in well if node.name not in by_node]
    behind = [node for node in well if node not in without and by_node[node.name].index < copies.index]
    if well and not without and not behind:
        yield Check(Verdict.PASSED, f"the registry's copies on {counted(len(well), 'node')} are the newest")
    if without:
        advice = "their agents were started without the registry's surfaces, or are just coming back"
        yield Check(
            Verdict.WARN, f"no copy of the registry on {named(tuple(node.name for node in without))}", advice
        )
    for node in behind:
        copy = by_node[node.name]
        missing = counted(copies.index - copy.index, "change")
        verdict = Verdict.FAILED if copy.silent else Verdict.WARN
        found = f"node {node.name}: its copy of the registry is {missing} behind"
        yield Check(verdict, found, f"again in a second; then on {node.name}: `journalctl -u bayplan-agent`")
