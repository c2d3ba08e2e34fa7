"""A scheduling class: all that the scheduler wants to know of a task, equal for all tasks of one version.

Equal demands are one object, so that what is worked out for one (which nodes fit) serves all services that
ask alike. A demand names no service and no task.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import msgspec

from bayplan.model import Affinity, Resources, ServiceSpec, Strategy
from controller.decide.filters import PortKey, network_need, port_keys

#: Demands that are kept as one object each; what is beyond is merely worked out once more.
DEMANDS_MAX = 100_000
#: The dimensions that every node has, as they are called in `Resources`.
DIMENSIONS = ("cpu_millis", "memory_bytes", "disk_bytes", "pids")
#: Before the name of a kind of generic goods, which is a dimension of those nodes that have some.
GENERIC = "generic."


class Kind(msgspec.Struct, frozen=True, cache_hash=True):
    """What a node must be, whatever runs on it: its platform, the constraints' texts, and in what
    networks it must be able to take part (`filters.network_need`)."""

    platform: str = ""
    constraints: tuple[str, ...] = ()
    networked: str = ""


class Demand(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True, dict=True):
    """What a task asks of its node.

    `amounts`: each dimension of which it takes some, in the order in which shortages are told.
    `preferences`: attributes over whose values the service spreads, the first one first.
    `per_node_max`: of one service's tasks on a node; 0 is any number. `nearness`: the required ones of the
    `affinities`, in words.
    """

    amounts: tuple[tuple[str, int], ...] = ()
    kind: Kind = Kind()
    ports: frozenset[PortKey] = frozenset()
    per_node_max: int = 0
    preferences: tuple[str, ...] = ()
    strategy: Strategy = Strategy.PACK
    affinities: tuple[Affinity, ...] = ()
    nearness: tuple[str, ...] = ()
    priority: int = 0

    @functools.cached_property
    def by_dimension(self) -> dict[str, int]:
        """The amounts by dimension; not to be written to."""
        return dict(self.amounts)

    def amount(self, dimension: str) -> int:
        """How much of a dimension each task takes."""
        return self.by_dimension.get(dimension, 0)

    @functools.cached_property
    def packs(self) -> bool:
        """Whether nodes are filled one after the other: what takes nothing would all go to one node."""
        sized = "cpu_millis" in self.by_dimension or "memory_bytes" in self.by_dimension
        return self.strategy is Strategy.PACK and sized

    @functools.cached_property
    def sides(self) -> tuple[tuple[str, int], ...]:
        """The amounts of what every node has."""
        return tuple((name, amount) for name, amount in self.amounts if name in DIMENSIONS)

    @functools.cached_property
    def by_fit(self) -> bool:
        """Whether it is packed by how evenly nodes are used with it, not by how full they are alone."""
        return self.packs and len(self.sides) > 1

    @functools.cached_property
    def by_sizes(self) -> bool:
        """Whether it takes CPU and memory, and nothing else of what every node has."""
        return [name for name, _ in self.sides] == list(DIMENSIONS[:2])

    @functools.cached_property
    def alone(self) -> bool:
        """Whether tasks of different services with this demand see nothing of each other but the room that
        is left."""
        return self.packs and not self.ports and not self.affinities and not self.per_node_max

    @functools.cached_property
    def largest_first(self) -> tuple[int, int, int]:
        """Sorts demands so that those that are hard to place come first."""
        return (-self.amount("memory_bytes"), -self.amount("cpu_millis"), -len(self.ports))


def demand(spec: ServiceSpec, reserved: Resources, affinities: tuple[Affinity, ...] = ()) -> Demand:
    """The demand of a service's tasks, each of which sets `reserved` aside; equal ones are one object.
    `affinities` name services by the ids under which their tasks are counted."""
    goods = {GENERIC + kind: count for kind, count in sorted(spec.generic.items())}
    amounts = goods | {each: getattr(reserved, each) for each in DIMENSIONS}
    return interned(
        Demand(
            amounts=tuple((each, amount) for each, amount in amounts.items() if amount > 0),
            kind=Kind(spec.container.platform, spec.constraints, network_need(spec)),
            ports=port_keys(spec.container.ports),
            per_node_max=spec.max_replicas_per_node,
            preferences=spec.preferences,
            strategy=spec.strategy,
            affinities=affinities,
            nearness=tuple(_nearness(spec, affinities)),
            priority=spec.priority,
        )
    )


def _nearness(spec: ServiceSpec, affinities: tuple[Affinity, ...]) -> Iterator[str]:
    """The service's own wishes as they were written, and that others have theirs about it."""
    yield from (each.words for each in spec.affinities if each.required)
    others = len(affinities) - len(spec.affinities)
    if others > 0:
        yield f"away from {'a service' if others == 1 else f'{others} services'} that must not be near it"


@functools.lru_cache(maxsize=DEMANDS_MAX)
def interned(new: Demand) -> Demand:
    """The one object that stands for all demands equal to this one."""
    return new
