"""The names and labels by which containers and networks are found again on an engine, and what is in them.

Only those with our node's id are ours: two agents on one engine do not touch each other's.
"""

from __future__ import annotations

import hashlib

from bayplan.model.container import CONTAINER_PREFIX

LABEL_NODE = "bayplan.node"
LABEL_CLUSTER = "bayplan.cluster"
LABEL_TASK = "bayplan.task"
LABEL_SERVICE = "bayplan.service"
LABEL_STACK = "bayplan.stack"
LABEL_SLOT = "bayplan.slot"
LABEL_VERSION = "bayplan.version"
#: On a network: the digest of its definition.
LABEL_DEFINITION = "bayplan.definition"
#: What a container reads to find its name server.
RESOLV_CONF = "/etc/resolv.conf"

#: Networks that every engine has; they are never made or removed.
PREDEFINED_NETWORKS = frozenset({"bridge", "host", "none"})


#: Links of networks that span nodes: a bridge and a VXLAN device for each, with its segment behind this.
BRIDGE_PREFIX, TUNNEL_PREFIX = "bp-", "bx-"
#: The link through which all goes that is to be encrypted, one a node, with a digest of the node's id behind
#: this.
SECURE_PREFIX, _DIGEST_BYTES = "bw-", 4
#: How the comment of each of our tables of nftables begins.
TABLE_MARK = "bayplan"


def bridge_name(vni: int) -> str:
    """The engine's bridge of a network that spans nodes."""
    return f"{BRIDGE_PREFIX}{vni:06x}"


def tunnel_name(vni: int) -> str:
    """The VXLAN device of a network that spans nodes."""
    return f"{TUNNEL_PREFIX}{vni:06x}"


def secure_name(node_id: str) -> str:
    """The WireGuard device of a node."""
    return SECURE_PREFIX + hashlib.blake2b(node_id.encode(), digest_size=_DIGEST_BYTES).hexdigest()


def secure_alias(node_id: str) -> str:
    """What is written on it."""
    return f"bayplan-encrypted {node_id}"


def overlay_alias(node_id: str, network: str) -> str:
    """What is written on both, so that they are known as ours and nobody else's is touched."""
    return f"bayplan:{node_id}:{network}"


def container_name(task_id: str) -> str:
    """The container's name: one a task, so that making it twice is a conflict and not a copy."""
    return CONTAINER_PREFIX + task_id
