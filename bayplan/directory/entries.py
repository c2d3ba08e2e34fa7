"""The values of the directory: entries, listings, and what is told of their changes."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from msgspec import structs

from bayplan.model.base import Model, Protocol
from bayplan.model.cluster import Health

#: The stack of those that registered themselves and named none. No stack may be deployed by this name.
EXTERNAL = "external"


class Standing(StrEnum):
    """Whether an entry is given to those who ask: READY ones, and after them SUSPECT ones, whose node has
    not been heard for a while. Who asks for all gets STARTING and UNHEALTHY ones too, and DRAINING ones,
    which serve those that are connected and take nobody new."""

    READY = "ready"
    SUSPECT = "suspect"
    STARTING = "starting"
    UNHEALTHY = "unhealthy"
    DRAINING = "draining"

    @property
    def given(self) -> bool:
        return self in _GIVEN


_GIVEN = (Standing.READY, Standing.SUSPECT)
_ORDER = {standing: place for place, standing in enumerate(Standing)}


class Port(Model, frozen=True, kw_only=True):
    """A port of a service. `target` is that of the container; `published` (0: none) that of the node, bound
    to `host_ip` (empty: all addresses); `name` as the compose file has it, for SRV."""

    target: int
    published: int = 0
    protocol: Protocol = Protocol.TCP
    host_ip: str = ""
    name: str = ""


class Published(Model, frozen=True, kw_only=True):
    """A port that every node answers at (`published`, on `host_ip`; empty: all addresses) for a service's
    `target` port."""

    target: int
    published: int
    protocol: Protocol = Protocol.TCP
    host_ip: str = ""


class Facade(Model, frozen=True, kw_only=True):
    """What a service looks like to those who do not ask for instances.

    By network that spans nodes: its `names` there, its own first, and its virtual address in `vips` (none:
    its instances' addresses are given). `local_first`: who asks on a node that has one is sent to that.
    """

    names: dict[str, tuple[str, ...]] = {}
    vips: dict[str, str] = {}
    published: tuple[Published, ...] = ()
    local_first: bool = False


_PLAIN = Facade()


class Entry(Model, frozen=True, kw_only=True):
    """One instance of a service.

    `address` and `port` (0: none) are for callers outside of its networks, `networks` has its own address
    in each network by the network's name, with `target` the port there. `slot` is 0 and `node_id` empty
    for those that registered themselves. `weight` in 0..65535, against the others' of its listing; 0 is
    given to nobody new. `reason` is why it is not ready; `output` what its last check said, which never
    makes news by itself.
    """

    id: str
    standing: Standing = Standing.READY
    slot: int = 0
    node: str = ""
    node_id: str = ""
    zone: str = ""
    address: str = ""
    port: int = 0
    networks: dict[str, str] = {}
    target: int = 0
    ports: tuple[Port, ...] = ()
    health: Health = Health.NONE
    weight: int = 1
    version: int = 0
    tags: tuple[str, ...] = ()
    meta: dict[str, str] = {}
    reason: str = ""
    output: str = ""

    @property
    def given(self) -> bool:
        """Whether a client is sent to it."""
        return self.standing.given and self.weight > 0

    def number_of(self, port: Port) -> int:
        """At which number one of its ports is reached at its address; 0: at none. Who has published any port
        stands with its node's address, and an engine may choose one number for IPv4 and another for IPv6."""
        if not any(each.published for each in self.ports):
            return port.target
        every = "::" if ":" in self.address else "0.0.0.0"
        return port.published if port.host_ip in ("", every, self.address) else 0

    @property
    def fails_check(self) -> bool:
        """Whether it is its own check that fails, and not that its node is gone."""
        return self.standing is Standing.UNHEALTHY and self.health is Health.UNHEALTHY

    @property
    def but_for_output(self) -> Entry:
        """The same without what its last check said."""
        return structs.replace(self, output="")

    @property
    def sort_key(self) -> tuple[int, int, str]:
        return _ORDER[self.standing], self.slot, self.id


class Listing(Model, frozen=True, kw_only=True):
    """A service as it is found; one that is declared and has nobody is a listing without entries.

    `revision` (>= 1) only grows, and moves only when what can be routed to does. `entries` are in order:
    ready ones first, then by slot (`of` sees to that). `tags` are the service's. `protected`: so many
    entries failed at once that they are given all the same. `canary`: the version whose entries run beside
    the others' until they are promoted; 0 is none. The one listing with neither stack nor service has the
    nodes: an entry's `id` is the node's, `node` its name, `address` how others reach it, `meta` its labels.
    """

    stack: str
    service: str
    revision: int
    entries: tuple[Entry, ...] = ()
    tags: tuple[str, ...] = ()
    protected: bool = False
    canary: int = 0
    facade: Facade = Facade()

    @classmethod
    def of(
        cls,
        stack: str,
        service: str,
        revision: int,
        entries: Iterable[Entry],
        tags: tuple[str, ...] = (),
        *,
        protected: bool = False,
        canary: int = 0,
        facade: Facade = _PLAIN,
    ) -> Listing:
        """A listing with its entries in order."""
        return cls(
            stack=stack,
            service=service,
            revision=revision,
            entries=tuple(sorted(entries, key=lambda each: each.sort_key)),
            tags=tags,
            protected=protected,
            canary=canary,
            facade=facade,
        )

    @property
    def key(self) -> str:
        return key_of(self.stack, self.service)

    def given(self) -> tuple[Entry, ...]:
        """Those that a client is sent to: with `protected` those whose checks fail, too."""
        found = tuple([each for each in self.entries if each.given])
        if not self.protected:
            return found
        return (*found, *[each for each in self.entries if each.fails_check and each.weight])


def key_of(stack: str, service: str) -> str:
    """`web.shop`, as in DNS."""
    return f"{service}.{stack}"


class ListingNews(Model, frozen=True, kw_only=True):
    """What of a listing has changed: `put` are new or changed entries, `gone` the ids of those that are no
    more. `whole`: what is not in `put` is no more."""

    stack: str
    service: str
    revision: int
    put: tuple[Entry, ...] = ()
    gone: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    protected: bool = False
    canary: int = 0
    facade: Facade = Facade()
    whole: bool = False


class News(Model, frozen=True, kw_only=True):
    """What has changed since an index, up to `index`. `dropped` are the keys of services that are no more.
    `whole`: what is not in `listings` is no more."""

    index: int
    listings: tuple[ListingNews, ...] = ()
    dropped: tuple[str, ...] = ()
    whole: bool = False
