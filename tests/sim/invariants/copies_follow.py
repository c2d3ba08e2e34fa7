"""A copy of the directory goes forward only, and is the controller's directory once it has come as far.

A controller of long ago that nobody has succeeded yet, as far as a node knows, may take it back.
"""

from __future__ import annotations

from collections.abc import Collection

from bayplan.directory import first_number, key_of
from tests.sim.directory import Copy, Keeper
from tests.sim.invariants.base import Part, View


class CopiesFollow:
    watches = frozenset({Part.LISTINGS})

    def __init__(self) -> None:
        #: By node: its copy, of whose directory, and the index that it had.
        self._seen: dict[str, tuple[Copy, Keeper | None, int]] = {}

    def check(self, world: View) -> str:
        for copy, keys in world.news.listed:
            if copy is None:
                continue
            index, (seen, of, before) = copy.directory.index, self._seen.get(copy.name, (copy, None, 0))
            self._seen[copy.name] = (copy, copy.keeper, index)
            if seen is copy and index < before and copy.keeper in (of, world.control.keeper):
                return f"the copy of {copy.name} was at {before} and is at {index}"
            core = world.hosts[copy.name].core
            if copy.keeper is not None and core is not None and index < first_number(core.state.epoch):
                return f"the copy of {copy.name} is that of a controller before epoch {core.state.epoch}"
            if fault := _difference(world, copy, keys):
                return f"the copy of {copy.name} {fault}"
        return ""


def missing(world: View) -> list[str]:
    """What is left until all copies are the controller's directory."""
    keeper = world.control.keeper
    if keeper is None or not keeper.upkeep.whole or keeper.upkeep.moved(world.state):
        return ["the directory is not up to date"]
    left = []
    for name, host in sorted(world.hosts.items()):
        if name in world.leaving or host.copy is None:
            continue
        index = host.copy.directory.index
        if index != keeper.directory.index:
            left.append(f"the copy of {name} is at {index} of {keeper.directory.index}")
        elif fault := _difference(world, host.copy, [each.key for each in keeper.directory]):
            left.append(f"the copy of {name} {fault}")
        elif len(host.copy.directory) != len(keeper.directory):
            left.append(f"the copy of {name} has more than there is")
    return left


def _difference(world: View, copy: Copy, keys: Collection[str]) -> str:
    """What of some keys a copy that has come as far as the directory has otherwise."""
    keeper = world.control.keeper
    if keeper is None or copy.keeper is not keeper or copy.directory.index != keeper.directory.index:
        return ""
    for key in (*keys, key_of("", "")):
        service, _, stack = key.rpartition(".")
        ours, theirs = copy.directory.get(stack, service), keeper.directory.get(stack, service)
        if ours is not theirs and ours != theirs:
            return f"has {ours}, not {theirs}, at {keeper.directory.index}"
    return ""
