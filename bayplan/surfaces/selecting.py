"""Which entries of a listing a caller wants, and in which order. Pure."""

from __future__ import annotations

from typing import NamedTuple

from bayplan.directory import EXTERNAL, Entry, Listing, Standing
from bayplan.limits import FULL_NAME_CHARS_MAX
from bayplan.surfaces.asking import Asked, View

#: What a caller says who wants those near to the node that answers (Consul's word).
OWN_NODE = "_agent"


class Selection(NamedTuple):
    """Those that have all `tags`, and the `version` (0: any). Those on the node `near` come first, then those
    in its zone; with `every` those that nobody is sent to, too."""

    tags: frozenset[str] = frozenset()
    version: int = 0
    near: str = ""
    every: bool = False

    @classmethod
    def of(cls, asked: Asked, *, every: bool = False) -> Selection:
        """As the query says. Raises ProblemError (INVALID)."""
        tags = frozenset(tag for tag in asked.query.get("tag", ()) if tag)
        return cls(tags, asked.number("version"), asked.first("near"), every)

    def of_listing(self, listing: Listing, view: View) -> list[Entry]:
        """The entries that are selected; suspect ones stay behind the others."""
        found = list(listing.entries if self.every else listing.given())
        if self.version:
            found = [each for each in found if each.version == self.version]
        if self.tags:
            found = [each for each in found if self.tags.issubset(tags_of(listing, each))]
        node = view.origin.node if self.near == OWN_NODE else self.near
        if not node:
            return found
        zone = next((each.zone for each in view.directory.nodes if each.node == node), "")
        return nearest_first(found, node, zone)


def nearest_first(entries: list[Entry], node: str, zone: str) -> list[Entry]:
    """The entries on a node, those in its zone, the rest; otherwise in their order, suspect ones last."""

    def distance(entry: Entry) -> tuple[bool, int]:
        far = 0 if entry.node == node else 1 if zone and entry.zone == zone else 2
        return entry.standing is Standing.SUSPECT, far

    return sorted(entries, key=distance)


def tags_of(listing: Listing, entry: Entry) -> tuple[str, ...]:
    """The tags of an entry: its service's and its own, each once."""
    return tuple(dict.fromkeys((*listing.tags, *entry.tags)))


def endpoint(entry: Entry) -> str:
    """`10.0.0.1:80`, `[fd00::1]:80`, or the address alone when there is no port."""
    address = f"[{entry.address}]" if ":" in entry.address else entry.address
    return f"{address}:{entry.port}" if entry.port else address


def ports_by_name(entry: Entry) -> dict[str, int]:
    """The named ports of an entry, where its address is reached: published ones, if it has any."""
    found: dict[str, int] = {}
    for port in entry.ports:
        number = entry.number_of(port)
        if port.name and number:
            found.setdefault(port.name, number)
    return found


def full_name(stack: str, service: str) -> str:
    """The name where names are flat: `shop_web`; who registered without a stack has his own."""
    return service if stack == EXTERNAL else f"{stack}_{service}"


def meanings(name: str) -> tuple[tuple[str, str], ...]:
    """The services (stack, service) that a flat name may mean, the likeliest first; deployed ones win."""
    if len(name) > FULL_NAME_CHARS_MAX:
        return ((EXTERNAL, name),)
    places = [place for place, letter in enumerate(name[:-1]) if place and letter == "_"]
    return (*[(name[:place], name[place + 1 :]) for place in places], (EXTERNAL, name))
