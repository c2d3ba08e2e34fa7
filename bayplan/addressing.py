"""The arithmetic of a network's addresses: blocks of its subnet, each of which one node has. Pure; IPv4.

A block is aligned and small, so that many nodes get one out of an ordinary subnet and a node with many
tasks has several. The subnet's own address and its broadcast address are nobody's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network

#: Addresses of a block are 2 to the power of this: 4 in a subnet of 16 or 32 addresses, else 16 at most.
BLOCK_BITS_MIN, BLOCK_BITS_MAX = 2, 4
#: The smallest and the largest subnet of a network: room for four blocks, and 65,536 addresses.
PREFIX_MIN, PREFIX_MAX = 16, 28


def block_bits(subnet: IPv4Network) -> int:
    """How many bits of an address tell those of one block apart: half of the subnet's, within the limits."""
    return max(BLOCK_BITS_MIN, min((32 - subnet.prefixlen) // 2, BLOCK_BITS_MAX))


def blocks_in(subnet: IPv4Network) -> int:
    """How many blocks a subnet has."""
    return int(subnet.num_addresses) >> block_bits(subnet)


def block(subnet: IPv4Network, index: int) -> IPv4Network:
    """The block with this index, from 0. Raises ValueError for one that is not there."""
    if not 0 <= index < blocks_in(subnet):
        raise ValueError(f"{subnet} has no block {index}")
    bits = block_bits(subnet)
    return IPv4Network((int(subnet.network_address) + (index << bits), 32 - bits))


def index_of(subnet: IPv4Network, address: IPv4Address) -> int:
    """The index of the block that an address of the subnet is in."""
    return (int(address) - int(subnet.network_address)) >> block_bits(subnet)


def usable(subnet: IPv4Network, part: IPv4Network) -> Iterator[IPv4Address]:
    """The addresses of a block that may be given, in order."""
    edges = (subnet.network_address, subnet.broadcast_address)
    return (each for each in part if each not in edges)


def gateway(subnet: IPv4Network, blocks: Iterable[IPv4Network]) -> IPv4Address:
    """A node's own address: the first of its first block. Raises ValueError where it has none."""
    for part in blocks:
        return next(usable(subnet, part))
    raise ValueError(f"no block of {subnet}")
