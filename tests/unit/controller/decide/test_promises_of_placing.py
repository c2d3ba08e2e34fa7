"""What holds whatever is placed: each wish of each task, checked one by one and the slow way."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bayplan.model import Affinity, Availability, NodeStatus, Resources, ServiceSpec, Strategy
from controller.decide.demand import demand
from controller.decide.filters import Candidate, clash, eligible, parsed, port_keys
from controller.decide.fleet import Fleet
from controller.decide.schedule import Group, Placed, place_groups
from tests.unit.controller.decide.test_schedule import candidate
from tests.unit.controller.world import GIB, service

ZONE = "node.labels.zone"


@st.composite
def clusters(draw: Any) -> list[Candidate]:
    """Some nodes, with tasks of `db` here and there."""
    found = []
    for at in range(draw(st.integers(1, 7))):
        zone, rank = draw(st.sampled_from(["", "a", "b"])), draw(st.integers(0, 3))
        found.append(
            candidate(
                f"n{at}",
                draw(st.integers(0, 6)),
                draw(st.integers(0, 8)),
                labels={"zone": zone, "rank": str(rank)} if zone else {},
                status=draw(st.sampled_from([NodeStatus.READY] * 5 + [NodeStatus.DOWN])),
                availability=draw(st.sampled_from([Availability.ACTIVE] * 5 + [Availability.PAUSE])),
                arch=draw(st.sampled_from(["x86_64", "x86_64", "aarch64"])),
                ports=draw(st.sampled_from([(), (), ((80, "tcp", ""),)])),
                counts=draw(st.sampled_from([{}, {}, {"db": 1}])),
                generic={"gpu": draw(st.integers(0, 3))},
                shaky=draw(st.booleans()),
            )
        )
    return found


wishes = st.sampled_from(
    [
        (),
        (Affinity(service="db", required=True),),
        (Affinity(service="db", topology=ZONE, required=True),),
        (Affinity(service="db", anti=True, required=True),),
        (Affinity(service="db", topology=ZONE, anti=True, required=True), Affinity(service="db")),
    ]
)
constraints = st.sampled_from(
    [
        (),
        (),
        (f"{ZONE} == a",),
        (f"{ZONE} != a", "node.labels.rank >= 1"),
        (f"{ZONE} in (a, b)",),
        ("node.hostname =~ [0-3]$",),
    ]
)
specs = st.builds(
    service,
    cpu=st.sampled_from([0, 300, 1_000, 2_500]),
    memory=st.sampled_from([0, GIB, 3 * GIB]),
    constraints=constraints,
    generic=st.sampled_from([{}, {}, {"gpu": 1}, {"gpu": 2}]),
    ports=st.sampled_from([[], [], [], [80], [81]]),
    max_replicas_per_node=st.integers(0, 3),
    preferences=st.sampled_from([(), (ZONE,)]),
    strategy=st.sampled_from(list(Strategy)),
    affinities=wishes,
    container=st.sampled_from([{}, {}, {"platform": "linux/amd64"}]),
)
batches = st.lists(st.tuples(specs, st.sampled_from([1, 2, 5, 9, 25])), min_size=1, max_size=5)


def groups_of(batch: list[tuple[ServiceSpec, int]], wave: int) -> list[tuple[ServiceSpec, Group]]:
    found = []
    for index, (spec, count) in enumerate(batch):
        asked = demand(spec, spec.reservations, spec.affinities)
        found.append((spec, Group(f"s{wave}.{index}", asked, count, name=f"s{index}", replicas=count)))
    return found


def takes(nodes: list[Candidate], node: Candidate, spec: ServiceSpec, service_id: str) -> bool:
    """Whether a node takes one more task, by all that the spec says."""
    most, wanted = spec.max_replicas_per_node, spec.reservations
    return (
        eligible(node, spec, parsed(spec)) is None
        and not (most and node.counts.get(service_id, 0) >= most)
        and clash(port_keys(spec.container.ports), node.ports) is None
        and all(node.generic.get(kind, 0) >= number for kind, number in spec.generic.items())
        and (not wanted.cpu_millis or wanted.cpu_millis <= node.free.cpu_millis)
        and (not wanted.memory_bytes or wanted.memory_bytes <= node.free.memory_bytes)
        and all(_holds(nodes, node, each) for each in spec.affinities if each.required)
    )


def _holds(nodes: list[Candidate], node: Candidate, wish: Affinity) -> bool:
    """`db` has tasks on the node, or on one of its zone; no zone is near to nobody."""
    if not wish.topology:
        near = bool(node.counts.get("db"))
    else:
        zone = node.node.labels.get("zone", "")
        near = bool(zone) and any(
            each.counts.get("db") and each.node.labels.get("zone") == zone for each in nodes
        )
    return near is not wish.anti


def with_one(node: Candidate, spec: ServiceSpec, service_id: str) -> Candidate:
    wanted = spec.reservations
    return node._replace(
        free=Resources(
            cpu_millis=node.free.cpu_millis - wanted.cpu_millis,
            memory_bytes=node.free.memory_bytes - wanted.memory_bytes,
            disk_bytes=node.free.disk_bytes,
            pids=node.free.pids,
        ),
        generic={kind: number - spec.generic.get(kind, 0) for kind, number in node.generic.items()},
        ports=node.ports | port_keys(spec.container.ports),
        counts=node.counts | {service_id: node.counts.get(service_id, 0) + 1},
    )


def after(
    nodes: list[Candidate], groups: list[tuple[ServiceSpec, Group]], placed: list[Placed], fleet: Fleet
) -> list[Candidate]:
    """The nodes with what was placed; asserts that each task was taken by its node when it came."""
    by_id = {each.node.id: each for each in nodes}
    for (spec, group), found in zip(groups, placed, strict=True):
        assert found.rows.size + (found.refusal is not None) >= min(1, group.count)
        for row in found.rows.tolist():
            node = by_id[fleet.ids[row]]
            assert takes(nodes, node, spec, group.service_id), (node, spec)
            by_id[fleet.ids[row]] = with_one(node, spec, group.service_id)
    return list(by_id.values())


def told(placed: list[Placed], fleet: Fleet) -> list[Counter[str]]:
    return [Counter(fleet.ids[row] for row in each.rows.tolist()) for each in placed]


@settings(max_examples=300, deadline=None)
@given(clusters(), batches, batches)
def test_every_wish_holds_nothing_is_refused_that_fits_and_a_fleet_that_lived_plans_as_a_new_one(
    nodes: list[Candidate], first: list[tuple[ServiceSpec, int]], second: list[tuple[ServiceSpec, int]]
) -> None:
    lived = Fleet.of(nodes)
    for wave, batch in enumerate((first, second)):
        groups = groups_of(batch, wave)
        anew = Fleet.of(nodes)
        placed = place_groups([group for _, group in groups], lived)
        from_scratch = place_groups([group for _, group in groups], anew)
        assert told(placed, lived) == told(from_scratch, anew)
        nodes = after(nodes, groups, placed, lived)
        for (spec, group), found in zip(groups, placed, strict=True):
            assert (found.refusal is None) == (found.rows.size == group.count)
            if found.refusal is not None:
                assert not any(takes(nodes, each, spec, group.service_id) for each in nodes)


def test_the_slow_way_can_say_no() -> None:
    node = candidate("n", labels={"zone": "a"})
    spec = service(constraints=(f"{ZONE} == a",), affinities=(Affinity(service="db", required=True),))
    assert not takes([node], node, spec, "s")
    db = node._replace(counts={"db": 1})
    assert takes([db], db, spec, "s")
    assert not takes([db], db, replace(spec, constraints=(f"{ZONE} == b",)), "s")
