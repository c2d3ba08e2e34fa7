"""Addresses of networks that span nodes: which subnet a network has, which blocks of it a node, which virtual
address a service.

The lowest that is free is taken, so the same asked of the same gives the same. What cannot be given is a
refusal that names what is in the way. Which address of its node's blocks a task has, the node decides.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError, ip_address
from typing import NamedTuple

from bayplan import addressing
from bayplan.errors import ProblemKind, refuse
from bayplan.model import NetworkSpec
from bayplan.model.network import NETWORKS_MAX, VNI_BASE

#: Where networks get their subnets from, if users give none.
POOL = "10.64.0.0/10"
#: How large such a subnet is: 4,096 addresses.
SUBNET_PREFIX = 20
#: How long nobody is given an address, or a block, that somebody has had, ms: connections may still know it.
QUARANTINE_MS = 60_000
#: To whom blocks belong out of which virtual addresses are.
NOBODY = ""
#: Addresses that a node has for each task that it has: an heir starts before its elder's address is free.
ADDRESSES_PER_TASK = 2
#: What is in the way that one refusal names.
NAMED_MAX = 3


class Taken(NamedTuple):
    """A range that is no longer to be had, and by whom: `the network shop_default`."""

    range: IPv4Network
    by: str


def choose_vni(taken: Collection[int]) -> int:
    """The identifier of a new segment. Raises ProblemError (REFUSED) when there are none left."""
    for number in range(VNI_BASE + 1, VNI_BASE + NETWORKS_MAX):
        if number not in taken:
            return number
    raise refuse(
        ProblemKind.REFUSED,
        f"the cluster has {NETWORKS_MAX - 1} networks; at most so many",
        hint="`bayplan network ls` shows them; remove some",
    )


def choose_subnet(pool: IPv4Network, taken: Iterable[Taken]) -> IPv4Network:
    """The lowest subnet of the pool that overlaps nothing. Raises ProblemError (REFUSED)."""
    prefix = max(SUBNET_PREFIX, pool.prefixlen)
    size, begin, end = 1 << 32 - prefix, int(pool.network_address), int(pool.broadcast_address)
    in_the_way = [each for each in taken if each.range.overlaps(pool)]
    for first, last in sorted(_ends(each.range) for each in in_the_way):
        if begin + size <= first:
            break
        if last >= begin:
            begin = -(-(last + 1) // size) * size
    if begin + size - 1 > end:
        raise refuse(
            ProblemKind.REFUSED,
            f"no subnet of {pool} is left for another network",
            f"in the way: {_named(in_the_way)}",
            hint="remove networks (`bayplan network ls`), or give this one a subnet of its own "
            "(`ipam: {config: [{subnet: ...}]}`)",
        )
    return IPv4Network((begin, prefix))


def given_subnet(text: str, taken: Iterable[Taken]) -> IPv4Network:
    """A subnet that a user wrote, if it overlaps nothing. Raises ProblemError (INVALID, REFUSED)."""
    try:
        subnet = IPv4Network(text)
    except (AddressValueError, NetmaskValueError, ValueError) as error:
        raise refuse(
            ProblemKind.INVALID, f"the subnet {text!r} cannot be read: {error}", hint="as in 10.20.0.0/20"
        ) from error
    if not addressing.PREFIX_MIN <= subnet.prefixlen <= addressing.PREFIX_MAX:
        raise refuse(
            ProblemKind.INVALID,
            f"the subnet {subnet} is too {'large' if subnet.prefixlen < addressing.PREFIX_MIN else 'small'}",
            hint=f"from /{addressing.PREFIX_MIN} to /{addressing.PREFIX_MAX} are possible",
        )
    in_the_way = [each for each in taken if each.range.overlaps(subnet)]
    if in_the_way:
        raise refuse(
            ProblemKind.REFUSED,
            f"the subnet {subnet} overlaps what is there already",
            f"in the way: {_named(in_the_way)}",
            hint="give the network another subnet, or none: then it gets a free one",
        )
    return subnet


def _ends(found: IPv4Network) -> tuple[int, int]:
    return int(found.network_address), int(found.broadcast_address)


def _named(taken: Collection[Taken]) -> str:
    named = [f"{each.by} ({each.range})" for each in sorted(taken)[:NAMED_MAX]]
    more = len(taken) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")


def set_aside(spec: NetworkSpec, statics: Iterable[str] = ()) -> frozenset[IPv4Address]:
    """Addresses that are given to nobody who does not ask for them: what the definition names, and those
    that services ask for."""
    named = [text for pool in spec.pools for text in (pool.gateway, *pool.aux_addresses.values())]
    found = [ip_address(text) for text in (*named, *statics) if text]
    return frozenset([each for each in found if isinstance(each, IPv4Address)])


class Space(NamedTuple):
    """The addresses of a network: whose blocks are whose, and what is given to nobody."""

    subnet: IPv4Network
    blocks: Mapping[str, tuple[int, ...]]
    reserved: frozenset[IPv4Address] = frozenset()
    #: The part of the subnet from which addresses are given.
    within: IPv4Network | None = None

    def free_blocks(self) -> Iterator[int]:
        """The indices of the blocks that nobody has."""
        taken = {index for mine in self.blocks.values() for index in mine}
        return (
            index
            for index in range(addressing.blocks_in(self.subnet))
            if index not in taken and self._is_within(index)
        )

    def _is_within(self, index: int) -> bool:
        return self.within is None or addressing.block(self.subnet, index).subnet_of(self.within)

    def addresses(self, blocks: Iterable[int]) -> Iterator[IPv4Address]:
        """Those of some blocks that can be given, in order."""
        for index in blocks:
            for address in addressing.usable(self.subnet, addressing.block(self.subnet, index)):
                if address not in self.reserved:
                    yield address

    def ranges(self, blocks: Iterable[int]) -> list[IPv4Network]:
        """The ranges of some blocks."""
        return [addressing.block(self.subnet, index) for index in blocks]

    def more_blocks(self, owner: str, addresses: int) -> tuple[int, ...]:
        """The blocks of an owner who needs so many addresses: those it has, and as many more as are free."""
        mine = list(self.blocks.get(owner, ()))
        have = sum(1 for _ in self.addresses(mine))
        free = self.free_blocks() if have < addresses else iter(())
        while have < addresses and (index := next(free, None)) is not None:
            gained = sum(1 for _ in self.addresses((index,)))
            if gained:
                mine.append(index)
                have += gained
        return tuple(mine)

    def holds(self, blocks: Iterable[int], addresses: int) -> bool:
        """Whether blocks have so many addresses."""
        return sum(1 for _ in self.addresses(blocks)) >= addresses

    def gateway(self, blocks: Iterable[int]) -> str:
        """The address of a node with these blocks: the first one; empty where there is none."""
        return str(next(self.addresses(blocks), ""))

    def place(self, address: IPv4Address) -> int:
        """Where in the subnet an address is."""
        return int(address) - int(self.subnet.network_address)

    def virtual(self, used: Collection[int]) -> tuple[tuple[int, ...], int | None]:
        """A virtual address that is not used: the blocks of those then, and its place; None: there is none
        left."""
        blocks = self.more_blocks(NOBODY, len(used) + 1)
        places = (self.place(address) for address in self.addresses(blocks))
        return blocks, next((place for place in places if place not in used), None)


def wished(tasks: int) -> int:
    """How many addresses a node has for its tasks, with its own."""
    return ADDRESSES_PER_TASK * tasks + 1
