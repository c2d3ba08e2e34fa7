"""What a node is told of the networks that span nodes."""

from __future__ import annotations

from bayplan.model.base import Model

#: The first identifier of a VXLAN segment of ours; all of ours begin with this byte (0xba).
VNI_BASE = 0xBA0000
#: Segments of a cluster.
NETWORKS_MAX = 0x10000


class Overlay(Model, frozen=True, kw_only=True):
    """A network in which a node takes part.

    `subnet` and `blocks` in CIDR form: a task of this node has an address out of the node's blocks, of which
    the first address of the first is the node's own (`gateway`). `reserved` addresses are given to nobody;
    `peers` are the addresses of the other nodes that take part. What leaves a node of an `encrypted` one goes
    through a tunnel to the public key of the other node, which `keys` has by its address (X25519, base64).
    """

    network: str
    vni: int
    subnet: str
    gateway: str
    blocks: tuple[str, ...] = ()
    reserved: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()
    keys: dict[str, str] = {}
    encrypted: bool = False
    internal: bool = False
    attachable: bool = False
    labels: dict[str, str] = {}
    driver_options: dict[str, str] = {}
    stack: str = ""
