"""Who is tried again when nodes change: those that could now be taken, and nobody else."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bayplan.model import Affinity, Availability, Inventory, NodeStatus, Resources, ServiceSpec
from controller.decide.demand import demand
from controller.decide.filters import Candidate
from controller.decide.fleet import Fleet
from controller.decide.schedule import Group, Need, place, place_groups
from controller.decide.waking import Asker, Sleepers
from controller.records import Node
from tests.unit.controller.world import GIB, service

EMPTY = Resources(cpu_millis=8_000, memory_bytes=8 * GIB)


def node(name: str, cpu: int = 8_000, memory: int = 8, zone: str = "a", **fields: Any) -> Candidate:
    """A node with so much CPU (millis) and memory (GiB) free; also `gpu`, `ports`, `counts`, `status`."""
    return Candidate(
        node=Node(
            id=name,
            name=name,
            labels={"zone": zone},
            inventory=Inventory(capacity=EMPTY, generic={"gpu": 2}, os="linux"),
            availability=fields.get("availability", Availability.ACTIVE),
        ),
        status=fields.get("status", NodeStatus.READY),
        free=Resources(cpu_millis=cpu, memory_bytes=memory * GIB),
        ports=frozenset((port, "tcp", "") for port in fields.get("ports", ())),
        counts=dict(fields.get("counts", {})),
        generic={"gpu": fields.get("gpu", 2)},
    )


def asker(spec: ServiceSpec, pinned: str = "") -> Asker:
    return Asker(spec.name, demand(spec, spec.reservations), pinned)


class Sleeping:
    """A fleet, and who sleeps because none of its nodes takes them."""

    def __init__(self, nodes: list[Candidate], *specs: ServiceSpec, pinned: str = "") -> None:
        self.nodes = {each.node.id: each for each in nodes}
        self.fleet = Fleet.of(nodes)
        self.sleepers = Sleepers()
        for spec in specs:
            self.sleepers.put(asker(spec, pinned))

    def woken(self, *changed: Candidate) -> set[str]:
        """Names of the services that changed nodes wake."""
        self.fleet.write(changed)
        rows = np.array([self.fleet.rows[each.node.id] for each in changed], np.int64)
        return {each.service_id for each in self.sleepers.woken(rows, self.fleet)}


CPU = service("cpu", cpu=4_000)
MEMORY = service("memory", memory=4 * GIB)


def test_each_is_woken_by_what_it_was_short_of() -> None:
    full = node("n", cpu=0, memory=0)
    assert Sleeping([full], CPU, MEMORY).woken(node("n", cpu=4_000, memory=0)) == {"cpu"}
    assert Sleeping([full], CPU, MEMORY).woken(node("n", cpu=0, memory=4)) == {"memory"}
    assert Sleeping([full], CPU, MEMORY).woken(node("n", cpu=3_999, memory=3)) == set()


def test_room_on_a_node_of_another_kind_wakes_nobody() -> None:
    picky = service("picky", cpu=4_000, constraints=("node.labels.zone == b",))
    nodes = [node("n", cpu=0), node("m", cpu=0, zone="b")]
    assert Sleeping(nodes, picky, CPU).woken(node("n")) == {"cpu"}
    assert Sleeping(nodes, picky, CPU).woken(node("m", zone="b")) == {"cpu", "picky"}
    assert Sleeping(nodes, picky, CPU).woken(node("n", zone="b")) == {"cpu", "picky"}


def test_a_node_that_takes_no_tasks_wakes_nobody_until_it_does() -> None:
    asleep = Sleeping([node("n", status=NodeStatus.DOWN)], CPU)
    assert asleep.woken(node("n", availability=Availability.DRAIN)) == set()
    assert asleep.woken(node("n")) == {"cpu"}


def test_ports_goods_and_the_most_per_node_wake_as_well() -> None:
    web = service("web", ports=[80])
    assert Sleeping([node("n", ports=[80])], web).woken(node("n", ports=[81])) == {"web"}
    gpu = service("gpu", generic={"gpu": 2})
    asleep = Sleeping([node("n", gpu=0)], gpu, service("tpu", generic={"tpu": 1}))
    assert asleep.woken(node("n", gpu=1)) == set()
    assert asleep.woken(node("n", gpu=2)) == {"gpu"}
    one = service("one", max_replicas_per_node=1)
    assert Sleeping([node("n", counts={"one": 1})], one).woken(node("n")) == {"one"}


def test_who_is_bound_to_a_node_is_woken_by_that_one_alone() -> None:
    asleep = Sleeping([node("n", cpu=0), node("m", cpu=0)], CPU, pinned="m")
    assert asleep.woken(node("n")) == set()
    assert asleep.woken(node("m")) == {"cpu"}


def test_a_new_node_wakes_whom_it_can_take() -> None:
    assert Sleeping([], CPU, MEMORY).woken(node("n", memory=1)) == {"cpu"}


def test_who_was_discarded_sleeps_no_more() -> None:
    asleep = Sleeping([node("n", cpu=0)], CPU, MEMORY)
    asleep.sleepers.discard(asker(CPU))
    asleep.sleepers.discard(asker(CPU))
    assert (len(asleep.sleepers), asker(CPU) in asleep.sleepers) == (1, False)
    assert asleep.woken(node("n", memory=0)) == set()


amounts = st.sampled_from([0, 1_000, 4_000])
candidates = st.builds(
    lambda name, cpu, memory, zone, gpu, ports, count, status, availability: node(
        name, cpu, memory, zone, gpu=gpu, ports=ports, counts={"s0": count, "s1": count},
        status=status, availability=availability,
    ),
    st.just(""), amounts, st.integers(0, 4), st.sampled_from("ab"), st.integers(0, 2),
    st.sets(st.sampled_from([80, 81])), st.integers(0, 2),
    st.sampled_from([NodeStatus.READY, NodeStatus.READY, NodeStatus.DOWN]),
    st.sampled_from([Availability.ACTIVE, Availability.ACTIVE, Availability.DRAIN]),
)  # fmt: skip
specs = st.builds(
    service,
    cpu=amounts,
    memory=st.integers(0, 4).map(lambda gib: gib * GIB),
    constraints=st.sampled_from([(), ("node.labels.zone == a",), ("node.labels.zone != a",)]),
    generic=st.sampled_from([{}, {"gpu": 1}, {"gpu": 2}]),
    ports=st.sampled_from([[], [80], [80, 81]]),
    max_replicas_per_node=st.integers(0, 2),
)


def named(found: list[Candidate]) -> list[Candidate]:
    return [each._replace(node=Node(**_fields(each.node, f"n{index}"))) for index, each in enumerate(found)]


def _fields(record: Node, name: str) -> dict[str, Any]:
    kept = {key: getattr(record, key) for key in record.__struct_fields__}
    return kept | {"id": name, "name": name}


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(candidates, candidates, st.booleans()), min_size=1, max_size=5),
    st.lists(st.tuples(specs, st.sampled_from(["", "", "n0", "n1"])), min_size=1, max_size=6),
)
def test_a_change_wakes_exactly_those_that_placing_from_scratch_would_place(
    nodes: list[tuple[Candidate, Candidate, bool]], wanted: list[tuple[ServiceSpec, str]]
) -> None:
    before = named([first for first, _, _ in nodes])
    after = named([second if changes else first for first, second, changes in nodes])
    needs = [
        Need(f"t{index}", f"s{index}", spec, spec.reservations, pin)
        for index, (spec, pin) in enumerate(wanted)
    ]

    def refused(cluster: list[Candidate]) -> set[str]:
        return {need.service_id for need in needs if place([need], cluster).refused}

    asleep, fleet = Sleepers(), Fleet.of(before)
    for need in needs:
        if need.service_id in refused(before):
            asleep.put(Asker(need.service_id, demand(need.spec, need.reserved), need.pinned))
    changed = [each for each, (_, _, changes) in zip(after, nodes, strict=True) if changes]
    fleet.write(changed)
    rows = np.array([fleet.rows[each.node.id] for each in changed], np.int64)
    woken = {each.service_id for each in asleep.woken(rows, fleet)}
    assert woken == refused(before) - refused(after)


ZONE = "node.labels.zone"
wishes = st.lists(
    st.builds(
        Affinity,
        service=st.sampled_from(["s0", "s1", "s2"]),
        topology=st.sampled_from(["", ZONE]),
        anti=st.booleans(),
        required=st.just(True),
    ),
    max_size=2,
).map(tuple)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(candidates, candidates, st.booleans()), min_size=1, max_size=5),
    st.lists(st.tuples(specs, wishes), min_size=1, max_size=5),
)
def test_who_wants_to_be_near_others_or_away_is_woken_when_they_come_or_go(
    nodes: list[tuple[Candidate, Candidate, bool]], wanted: list[tuple[ServiceSpec, tuple[Affinity, ...]]]
) -> None:
    before = named([first for first, _, _ in nodes])
    after = named([second if changes else first for first, second, changes in nodes])
    askers = [
        Asker(f"s{index}", demand(spec, spec.reservations, near)) for index, (spec, near) in enumerate(wanted)
    ]

    def refused(cluster: list[Candidate]) -> set[str]:
        groups = [Group(each.service_id, each.demand, 1) for each in askers]
        return {each.service_id for each in groups if place_groups([each], Fleet.of(cluster))[0].refusal}

    asleep, fleet = Sleepers(), Fleet.of(before)
    for each in askers:
        if each.service_id in refused(before):
            asleep.put(each)
    changed = [each for each, (_, _, changes) in zip(after, nodes, strict=True) if changes]
    fleet.write(changed)
    rows = np.array([fleet.rows[each.node.id] for each in changed], np.int64)
    woken = {each.service_id for each in asleep.woken(rows, fleet)}
    assert woken == refused(before) - refused(after)
