"""The fleet as columns: written a little at a time it is what is written at once, and copies are apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bayplan.model import Availability, Inventory, NodeStatus, Resources
from controller.decide.demand import GENERIC, Demand, Kind, demand
from controller.decide.filters import Candidate, Cause
from controller.decide.fleet import CAUSES, Fleet
from controller.records import Node
from tests.unit.controller.world import GIB, service


def candidate(name: str, cpu: int = 4, **fields: Any) -> Candidate:
    """A node with free CPU (cores of 8), and 16 GiB of memory of which half is free."""
    capacity = Resources(cpu_millis=8_000, memory_bytes=16 * GIB, disk_bytes=100 * GIB, pids=1_000)
    node = Node(
        id=f"id-{name}",
        name=name,
        labels=fields.get("labels", {}),
        availability=fields.get("availability", Availability.ACTIVE),
        inventory=Inventory(capacity=fields.get("capacity", capacity), generic={"gpu": 2}),
    )
    free = Resources(cpu_millis=cpu * 1_000, memory_bytes=8 * GIB, disk_bytes=50 * GIB, pids=500)
    return Candidate(
        node=node,
        status=fields.get("status", NodeStatus.READY),
        free=free,
        ports=frozenset(fields.get("ports", ())),
        counts=fields.get("counts", {}),
        generic=fields.get("generic", {"gpu": 2}),
        shaky=fields.get("shaky", False),
    )


def asks(**fields: Any) -> Demand:
    """A demand of CPU millis and GiB of memory, and whatever a service can ask for."""
    spec = service(**fields)
    return demand(spec, spec.reservations)


def names(fleet: Fleet, rows: Any) -> list[str]:
    return sorted(fleet.nodes[row].name for row in np.flatnonzero(rows).tolist())


def everything(fleet: Fleet) -> dict[str, Any]:
    """What is known of each node, by its id, and the order of the nodes."""
    found: dict[str, Any] = {}
    for node_id, row in fleet.rows.items():
        found[node_id] = {
            **{each: int(column[row]) for each, column in fleet.free.items() if column[row]},
            **{f"of {each}": int(column[row]) for each, column in fleet.capacity.items() if column[row]},
            "tasks": int(fleet.tasks[row]),
            "barred": int(fleet.barred[row]),
            "shaky": int(fleet.shaky[row]),
            "key": int(fleet.suits.key[row]),
            "ports": fleet.ports.at(row),
            "services": {each: fleet.counts.at(each, row) for each in ("web", "db", "api")},
            "node": fleet.nodes[row],
        }
    return found


# --- who fits


def test_equal_demands_are_one_object() -> None:
    assert asks(name="a", cpu=500) is asks(name="b", cpu=500)
    assert asks(cpu=500) is not asks(cpu=501)


def test_nodes_that_are_short_of_one_dimension_do_not_fit() -> None:
    fleet = Fleet.of([candidate("a", cpu=1), candidate("b"), candidate("c", generic={"gpu": 0})])
    wanted = asks(cpu=2_000, generic={"gpu": 1})
    assert names(fleet, fleet.fits(wanted, "web")) == ["b"]
    causes = fleet.causes(wanted, "web").tolist()
    assert [CAUSES[code] for code in causes] == [Cause.CPU, None, Cause.GENERIC]


def test_disk_and_processes_are_counted_like_cpu_and_memory() -> None:
    fleet = Fleet.of([candidate("a")])
    for wanted, cause in (
        (Demand(amounts=(("disk_bytes", 60 * GIB),)), Cause.DISK),
        (Demand(amounts=(("pids", 501),)), Cause.PIDS),
    ):
        assert not fleet.fits(wanted, "web").any()
        assert CAUSES[fleet.causes(wanted, "web")[0]] is cause
    assert fleet.fits(Demand(amounts=(("disk_bytes", 50 * GIB), ("pids", 500))), "web").all()


def test_goods_that_no_node_has_fit_nowhere() -> None:
    fleet = Fleet.of([candidate("a")])
    wanted = asks(generic={"fpga": 1})
    assert not fleet.fits(wanted, "web").any()
    assert CAUSES[fleet.causes(wanted, "web")[0]] is Cause.GENERIC


def test_a_constraint_follows_a_node_whose_labels_change() -> None:
    fleet = Fleet.of([candidate("a", labels={"zone": "x"}), candidate("b", labels={"zone": "y"})])
    kind = Kind(constraints=("node.labels.zone == x",))
    assert names(fleet, fleet.of_kind(kind)) == ["a"]
    fleet.write([candidate("b", labels={"zone": "X"})])
    assert names(fleet, fleet.of_kind(kind)) == ["a", "b"]
    fleet.describe(candidate("a").node, NodeStatus.READY)
    assert names(fleet, fleet.of_kind(kind)) == ["b"]


def test_a_node_that_takes_no_tasks_fits_nothing() -> None:
    drained, lost = candidate("a", availability=Availability.DRAIN), candidate("b", status=NodeStatus.DOWN)
    fleet = Fleet.of([drained, lost])
    assert [CAUSES[code] for code in fleet.causes(asks(), "web").tolist()] == [
        Cause.DRAINING,
        Cause.NOT_READY,
    ]
    fleet.write([candidate("b")])
    assert names(fleet, fleet.fits(asks(), "web")) == ["b"]


def test_ports_are_taken_and_given_back_however_many_nodes_have_them() -> None:
    fleet = Fleet.of([candidate(f"n{number:03}") for number in range(200)])
    wanted, one = asks(ports=[8080]), np.ones(1, np.int64)
    for row in range(150):  # by then the port is a column of flags, no longer a list of rows
        fleet.take("web", wanted, np.array([row]), one)
        assert int(fleet.fits(wanted, "web").sum()) == 199 - row
    for row in range(150):
        fleet.release("web", wanted, np.array([row]), one)
    assert fleet.fits(wanted, "web").all()


# --- the order of nodes


def test_the_fullest_comes_first_then_the_smallest_then_the_first_by_name() -> None:
    small = Resources(cpu_millis=2_000, memory_bytes=4 * GIB)
    fleet = Fleet.of(
        [
            candidate("d"),
            candidate("c", cpu=2),
            candidate("a"),
            candidate("s", capacity=small)._replace(
                free=Resources(cpu_millis=1_000, memory_bytes=2 * GIB), generic={}
            ),
        ]
    )
    assert [fleet.nodes[row].name for row in np.argsort(fleet.suits.key).tolist()] == ["c", "s", "a", "d"]


# --- a little at a time

moves = st.lists(
    st.tuples(
        st.sampled_from(["write", "take", "release", "drop", "describe"]),
        st.sampled_from("abcde"),
        st.sampled_from(["web", "db", "api"]),
        st.integers(1, 3),
    ),
    max_size=25,
)
DEMANDS = {
    "web": asks(cpu=500, ports=[80]),
    "db": asks(cpu=1_000, memory=GIB, generic={"gpu": 1}),
    "api": asks(memory=2 * GIB),
}


class Ledger:
    """What should be on each node, kept the slow way."""

    def __init__(self) -> None:
        self.nodes: dict[str, Candidate] = {}

    def change(self, name: str, service_id: str, by: int) -> None:
        before, wanted = self.nodes[name], DEMANDS[service_id]
        counts = dict(before.counts)
        counts[service_id] = counts.get(service_id, 0) + by
        ports = before.ports | wanted.ports if by > 0 else before.ports - wanted.ports
        self.nodes[name] = before._replace(
            free=Resources(
                cpu_millis=before.free.cpu_millis - by * wanted.amount("cpu_millis"),
                memory_bytes=before.free.memory_bytes - by * wanted.amount("memory_bytes"),
                disk_bytes=before.free.disk_bytes,
                pids=before.free.pids,
            ),
            generic={"gpu": before.generic["gpu"] - by * wanted.amount(GENERIC + "gpu")},
            ports=ports,
            counts={each: count for each, count in counts.items() if count},
        )


@settings(max_examples=200, deadline=None)
@given(moves)
def test_a_fleet_that_is_changed_is_one_that_is_made_anew(changes: list[tuple[str, str, str, int]]) -> None:
    fleet, ledger, one = Fleet(), Ledger(), np.ones(1, np.int64)
    for what, name, service_id, number in changes:
        known = ledger.nodes.get(name)
        if what == "write" or known is None:
            labels = {"zone": str(number)}
            ledger.nodes[name] = candidate(name, number, labels=labels, shaky=number == 3)
            fleet.write([ledger.nodes[name]])
        elif what == "drop":
            fleet.drop(f"id-{name}")
            del ledger.nodes[name]
        elif what == "describe":
            node, shaky = candidate(name, labels={"zone": f"new {number}"}).node, number == 2
            fleet.describe(node, NodeStatus.DOWN, shaky=shaky)
            ledger.nodes[name] = known._replace(node=node, status=NodeStatus.DOWN, shaky=shaky)
        elif what == "take":
            ledger.change(name, service_id, 1)
            fleet.take(service_id, DEMANDS[service_id], np.array([fleet.rows[f"id-{name}"]]), one)
        elif known.counts.get(service_id):
            ledger.change(name, service_id, -1)
            fleet.release(service_id, DEMANDS[service_id], np.array([fleet.rows[f"id-{name}"]]), one)
    anew = Fleet.of(ledger.nodes[name] for name in sorted(ledger.nodes))
    assert everything(fleet) == everything(anew)
    for kind in (Kind(), Kind(constraints=("node.labels.zone == 2",)), Kind(platform="linux/arm64")):
        assert names(fleet, fleet.of_kind(kind)) == names(anew, anew.of_kind(kind))
    for service_id, wanted in DEMANDS.items():
        assert names(fleet, fleet.fits(wanted, service_id)) == names(anew, anew.fits(wanted, service_id))


def test_what_is_placed_on_a_copy_is_not_on_the_fleet() -> None:
    fleet = Fleet.of([candidate("a", counts={"web": 1}), candidate("b", ports=[(80, "tcp", "")])])
    before = everything(fleet)
    copy = fleet.copy()
    assert everything(copy) == before
    copy.take("web", DEMANDS["web"], np.array([0]), np.ones(1, np.int64))
    copy.drop("id-b")
    copy.write([candidate("c")])
    assert everything(fleet) == before
    assert names(fleet, fleet.fits(DEMANDS["web"], "web")) == ["a"]


def test_what_is_known_of_attributes_is_shared_until_a_node_changes() -> None:
    zones = {"a": "1", "b": "2"}
    fleet = Fleet.of([candidate(name, labels={"zone": zone}) for name, zone in zones.items()])
    first = Kind(constraints=("node.labels.zone == 1",))
    mask = fleet.of_kind(first)
    copy, other = fleet.copy(), fleet.copy()
    assert copy.of_kind(first) is mask
    fleet.write([candidate("a", labels={"zone": "2"})])
    copy.write([candidate("b", labels={"zone": "1"}), candidate("c", labels={"zone": "1"})])
    for one, fit in ((fleet, []), (copy, ["a", "b", "c"]), (other, ["a"])):
        assert names(one, one.of_kind(first)) == fit
        column = one.attribute("node.labels.zone")
        assert names(one, column.where("1", lambda value: value == "1")) == fit
