"""A network that spans nodes: as `docker network inspect` prints one, and as lines for people. Pure."""

from __future__ import annotations

from typing import Any

from bayplan.render.amounts import rfc3339
from bayplan.views import NetworkUser, NetworkView

#: Docker's word for what is one over all nodes.
SCOPE = "swarm"
DRIVER = "overlay"


def network_json(network: NetworkView) -> dict[str, Any]:
    """Docker's keys; ours are Stack, VXLAN, Encrypted, and what stands within Peers and Services."""
    spec = network.spec
    pool = next(iter(spec.pools), None)
    config = {"Subnet": network.subnet}
    if pool is not None and pool.ip_range:
        config["IPRange"] = pool.ip_range
    if pool is not None and pool.gateway:
        config["Gateway"] = pool.gateway
    return {
        "Name": network.name,
        "Id": network.id,
        "ID": network.id,
        "Created": rfc3339(network.created_ms) if network.created_ms else "",
        "Scope": SCOPE,
        "Driver": DRIVER,
        "EnableIPv4": True,
        "EnableIPv6": False,
        "IPAM": {
            "Driver": "default",
            "Options": spec.ipam_options or None,
            "Config": [{**config, **({"AuxiliaryAddresses": pool.aux_addresses} if pool else {})}],
        },
        "Internal": spec.internal,
        "Attachable": spec.attachable,
        "Ingress": False,
        "Options": spec.driver_options,
        "Labels": spec.labels,
        "Peers": [
            {"Name": node.node, "IP": node.address, "Gateway": node.gateway, "Blocks": list(node.blocks)}
            for node in network.nodes
        ],
        "Services": {user.service: {"VIP": user.vip, "Tasks": user.tasks} for user in network.services},
        "Stack": network.stack,
        "VXLAN": network.vni,
        "Encrypted": spec.encrypted,
    }


def network_lines(network: NetworkView) -> list[str]:
    """One thing a line."""
    words = [word for word, holds in _words(network) if holds]
    lines = [
        f"ID:       {network.id}",
        f"Name:     {network.name}",
        f"Stack:    {network.stack or '-'}",
        f"Subnet:   {network.subnet}",
        f"VXLAN:    {network.vni} ({network.vni:#x})",
        *([f"Kind:     {', '.join(words)}"] if words else []),
        *[f"Label:    {key}={value}" for key, value in sorted(network.spec.labels.items())],
    ]
    lines += [
        f"Node:     {node.node} at {node.address}, gateway {node.gateway}: {', '.join(node.blocks)}"
        for node in network.nodes
    ]
    return [*lines, *map(_service_line, network.services)]


def _service_line(user: NetworkUser) -> str:
    at = f"at {user.vip}" if user.vip else "without a virtual address"
    return f"Service:  {user.service} {at}, {user.tasks} task{'' if user.tasks == 1 else 's'}"


def _words(network: NetworkView) -> list[tuple[str, bool]]:
    spec = network.spec
    return [("internal", spec.internal), ("attachable", spec.attachable), ("encrypted", spec.encrypted)]
