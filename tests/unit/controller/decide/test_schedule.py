"""Placement on paper."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bayplan.model import Availability, Inventory, NodeStatus, Resources
from controller.decide.filters import Candidate, Cause, clash
from controller.decide.reasons import SHAKY
from controller.decide.schedule import Need, Plan, place
from controller.records import Node
from tests.unit.controller.world import GIB, service


def candidate(name: str, cpu: int = 4, memory_gib: int = 8, **fields: Any) -> Candidate:
    """A node with free CPU (cores), memory and GPUs; `labels`, `status`, `ports`, `counts` and the like."""
    resources = Resources(cpu_millis=cpu * 1000, memory_bytes=memory_gib * GIB)
    node = Node(
        id=f"id-{name}",
        name=name,
        labels=fields.get("labels", {}),
        availability=fields.get("availability", Availability.ACTIVE),
        inventory=Inventory(
            capacity=fields.get("capacity", resources), arch=fields.get("arch", "x86_64"), generic={"gpu": 4}
        ),
    )
    return Candidate(
        node=node,
        status=fields.get("status", NodeStatus.READY),
        free=resources,
        ports=frozenset(fields.get("ports", ())),
        counts=fields.get("counts", {}),
        generic=fields.get("generic", {"gpu": 4}),
        engine_silent=fields.get("engine_silent", False),
        shaky=fields.get("shaky", False),
    )


def needs(count: int, service_id: str = "web", **fields: Any) -> list[Need]:
    spec = service(service_id, **{key: value for key, value in fields.items() if key != "pinned"})
    pinned = fields.get("pinned", "")
    return [Need(f"{service_id}.{n}", service_id, spec, spec.reservations, pinned) for n in range(count)]


def per_node(plan: Plan) -> dict[str, int]:
    counts: dict[str, int] = {}
    for node_id in plan.placed.values():
        counts[node_id.removeprefix("id-")] = counts.get(node_id.removeprefix("id-"), 0) + 1
    return counts


def test_replicas_spread_over_the_nodes() -> None:
    plan = place(needs(7), [candidate("a"), candidate("b"), candidate("c")])
    assert sorted(per_node(plan).values()) == [2, 2, 3]


def test_different_services_fill_one_node_before_they_open_the_next() -> None:
    wanted = [need for n in range(4) for need in needs(1, f"s{n}", memory=2 * GIB)]
    assert per_node(place(wanted, [candidate("a"), candidate("b")])) == {"a": 4}


def test_the_largest_are_placed_first_so_that_all_fit() -> None:
    wanted = [*needs(4, "small", memory=GIB), *needs(1, "large", memory=4 * GIB)]
    plan = place(wanted, [candidate("a", memory_gib=4), candidate("b", memory_gib=4)])
    assert not plan.refused


def test_constraints_choose_the_node() -> None:
    nodes = [candidate("a", labels={"zone": "x"}), candidate("b", labels={"zone": "y"})]
    assert per_node(place(needs(3, constraints=("node.labels.zone == y",)), nodes)) == {"b": 3}
    assert per_node(place(needs(3, constraints=("node.hostname != b",)), nodes)) == {"a": 3}


def test_a_platform_has_several_names() -> None:
    nodes = [candidate("a"), candidate("b", arch="aarch64"), candidate("c", arch="")]
    on_arm = needs(2, container={"platform": "linux/arm64/v8"}, max_replicas_per_node=1)
    assert per_node(place(on_arm, nodes)) == {"b": 1, "c": 1}
    assert place(needs(1, container={"platform": "windows"}), nodes[:1]).placed
    assert per_node(place(needs(2, constraints=("node.platform.arch == arm64",)), nodes)) == {"b": 2}


def test_tasks_spread_over_the_values_of_an_attribute_first() -> None:
    zones = {"a": "x", "b": "x", "c": "x", "d": "y"}
    nodes = [candidate(name, labels={"zone": zone}) for name, zone in zones.items()]
    plan = place(needs(6, preferences=("node.labels.zone",)), nodes)
    assert per_node(plan) == {"a": 1, "b": 1, "c": 1, "d": 3}
    assert "fewest tasks of the service in node.labels.zone y (0)" in str(plan.reasons)


def test_a_second_preference_spreads_within_the_first() -> None:
    racks = {"a": ("x", "1"), "b": ("x", "1"), "c": ("x", "2"), "d": ("y", "1")}
    nodes = [candidate(name, labels={"zone": z, "rack": r}) for name, (z, r) in racks.items()]
    plan = place(needs(8, preferences=("node.labels.zone", "node.labels.rack")), nodes)
    assert per_node(plan) == {"a": 1, "b": 1, "c": 2, "d": 4}


def test_goods_that_are_counted_run_out() -> None:
    plan = place(needs(3, generic={"gpu": 2}), [candidate("a")])
    assert len(plan.placed) == 2
    (refusal,) = plan.refused.values()
    assert "needs 2 gpu" in refusal.lines


def test_a_task_that_is_bound_to_a_node_goes_there_or_says_why_not() -> None:
    nodes = [candidate("a"), candidate("b", cpu=1)]
    assert per_node(place(needs(1, pinned="id-b"), nodes)) == {"b": 1}
    refusal = place(needs(1, cpu=2000, pinned="id-b"), nodes).refused["web.0"]
    assert refusal.lines[1] == "b: short of CPU"


def test_a_placement_says_why_there() -> None:
    plan = place(needs(1, cpu=1000, memory=2 * GIB), [candidate("a"), candidate("b", counts={"web": 1})])
    (reason,) = plan.reasons["web.0"]
    assert reason == "fewest tasks of the service (0), best fit: CPU 25 %, memory 25 % reserved"


def test_a_node_that_comes_and_goes_is_the_last_choice_and_says_so() -> None:
    nodes = [candidate("a", shaky=True), candidate("b", counts={"web": 3})]
    assert per_node(place(needs(2), nodes)) == {"b": 2}
    plan = place(needs(1), nodes[:1])
    assert plan.reasons["web.0"][0] == f"a last choice, since {SHAKY}"


def test_a_node_on_which_the_version_failed_is_the_last_choice_for_it_alone() -> None:
    nodes = [candidate("a"), candidate("b", counts={"web": 3, "api": 3})]
    avoiding = needs(1)[0]._replace(avoided=frozenset({"id-a"}))
    assert per_node(place([avoiding, *needs(1, "api")], nodes)) == {"a": 1, "b": 1}


def test_every_cause_is_counted_in_the_refusal() -> None:
    nodes = [
        candidate("a", cpu=1),
        candidate("b", memory_gib=1),
        candidate("c", status=NodeStatus.DOWN),
        candidate("d", availability=Availability.DRAIN),
        candidate("e", availability=Availability.PAUSE),
        candidate("f", labels={"zone": "x"}),
        candidate("g", ports=[(8080, "tcp", "")]),
        candidate("h", counts={"web": 1}),
        candidate("i", arch="aarch64"),
        candidate("j", generic={"gpu": 1}),
        candidate("k", engine_silent=True),
    ]
    zoneless = ("node.labels.zone != x",)
    wanted = needs(
        1,
        cpu=2000,
        memory=2 * GIB,
        ports=[8080],
        constraints=zoneless,
        max_replicas_per_node=1,
        generic={"gpu": 2},
        container={"platform": "linux/amd64"},
    )
    refusal = place(wanted, nodes).refused["web.0"]
    assert refusal.causes == dict.fromkeys(
        [
            Cause.NOT_READY,
            Cause.ENGINE,
            Cause.PAUSED,
            Cause.DRAINING,
            Cause.PLATFORM,
            Cause.CONSTRAINT,
            Cause.PER_NODE,
            Cause.PORT,
            Cause.GENERIC,
            Cause.CPU,
            Cause.MEMORY,
        ],
        1,
    )
    assert refusal.lines[0] == "needs 2 CPU, 2 GiB"
    assert refusal.lines[-1].startswith("nearest: a has 1 CPU free (1 CPU short), 8 GiB free")


def test_a_cluster_without_nodes_says_so() -> None:
    assert "no nodes" in place(needs(1), []).refused["web.0"].lines[0]


def test_ports_clash_where_addresses_overlap() -> None:
    taken = frozenset({(80, "tcp", "127.0.0.1"), (53, "udp", "")})
    assert clash(frozenset({(80, "tcp", "")}), taken)
    assert clash(frozenset({(53, "udp", "10.0.0.1")}), taken)
    assert not clash(frozenset({(80, "tcp", "10.0.0.1"), (80, "udp", ""), (53, "tcp", "")}), taken)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 8), st.integers(1, 16)), max_size=6),
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 6), st.booleans()), max_size=20),
)
def test_no_node_is_ever_promised_more_than_it_has(
    nodes: list[tuple[int, int]], wanted: list[tuple[int, int, bool]]
) -> None:
    candidates = [candidate(f"n{i}", cpu, memory) for i, (cpu, memory) in enumerate(nodes)]
    specs = [
        service(f"s{i % 3}", cpu=cpu, memory=gib * GIB, ports=[80] if port else [])
        for i, (cpu, gib, port) in enumerate(wanted)
    ]
    batch = [Need(f"t{i}", spec.name, spec, spec.reservations) for i, spec in enumerate(specs)]
    plan = place(batch, candidates)
    assert set(plan.placed) | set(plan.refused) == {need.task_id for need in batch}
    assert not set(plan.placed) & set(plan.refused)
    for each in candidates:
        mine = [need.spec for need in batch if plan.placed.get(need.task_id) == each.node.id]
        assert sum(spec.reservations.cpu_millis for spec in mine) <= each.free.cpu_millis
        assert sum(spec.reservations.memory_bytes for spec in mine) <= each.free.memory_bytes
        assert sum(bool(spec.container.ports) for spec in mine) <= 1
    assert place(list(reversed(batch)), list(reversed(candidates))).placed == plan.placed


def test_where_only_one_node_fits_that_is_the_reason() -> None:
    plan = place(needs(1, cpu=2_000), [candidate("a", cpu=1), candidate("b", cpu=4)])
    (reason,) = plan.reasons["web.0"]
    assert reason == "the only node that fits: CPU 50 %, memory 0 % reserved"
