"""Seeded fleets and demands for the benches of the scheduler: plain ones, and all that can be asked in a mix.

Amounts are as people write them: CPU in steps of 50 millis, memory in steps of 128 MiB.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bayplan.model import Affinity, Inventory, NodeStatus, Resources, Strategy
from controller.decide.demand import GENERIC, Demand, Kind, interned
from controller.decide.filters import Candidate
from controller.decide.fleet import Fleet
from controller.decide.schedule import Group, place_groups
from controller.records import Node

MIB, GIB = 1 << 20, 1 << 30
#: What a node has.
CAPACITY = Resources(cpu_millis=64_000, memory_bytes=256 * GIB, disk_bytes=1_000 * GIB, pids=32_768)
#: GPUs of every tenth node.
GPUS = 8
ZONES, RACKS, GENERATIONS = 3, 40, 4
#: What constraints ask, each kind of them; most nodes satisfy each.
CONSTRAINTS = (
    "node.labels.disk == ssd",
    "node.labels.disk != tape",
    "node.labels.zone in (z0, z1)",
    "node.labels.generation > 1",
    "node.labels.generation < 4",
    "node.hostname =~ ^n[0-9]+$",
    "engine.version version >= 20.10, < 30",
    "node.platform.os == linux",
)


def candidates(count: int) -> Iterator[Candidate]:
    """Nodes of one size in three zones, of four generations; every tenth has GPUs."""
    for number in range(count):
        generic = {"gpu": GPUS} if number % 10 == 0 else {}
        labels = {
            "zone": f"z{number % ZONES}",
            "rack": f"r{number % RACKS}",
            "disk": "ssd" if number % 3 else "hdd",
            "generation": str(1 + number % GENERATIONS),
        }
        inventory = Inventory(
            capacity=CAPACITY, generic=generic, os="linux", arch="x86_64", engine_version="27.1.0"
        )
        node = Node(id=f"id{number:06}", name=f"n{number:06}", labels=labels, inventory=inventory)
        yield Candidate(
            node=node,
            status=NodeStatus.READY,
            free=CAPACITY,
            ports=frozenset(),
            counts={},
            generic=generic,
        )


class Demands:
    """Draws demands, with the same seed the same."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def _amounts(self) -> dict[str, int]:
        cpu, memory = self._rng.integers(1, 20), self._rng.integers(1, 32)
        return {"cpu_millis": int(cpu) * 50, "memory_bytes": int(memory) * 128 * MIB}

    def plain(self, strategy: Strategy = Strategy.PACK) -> Demand:
        """CPU and memory, nothing else."""
        return interned(Demand(amounts=tuple(self._amounts().items()), strategy=strategy))

    def mixed(self, other: str) -> Demand:
        """CPU and memory, and with its own chance each of all that there is; `other` is the id of a service
        to be near to, or away from."""
        rng, amounts = self._rng, self._amounts()
        chance = dict(zip(_WISHES, rng.random(len(_WISHES)).tolist(), strict=True))
        if chance["gpu"] < 0.03:
            amounts = {GENERIC + "gpu": 1, **amounts}
        amounts |= {"disk_bytes": int(rng.integers(1, 20)) * GIB} if chance["disk"] < 0.3 else {}
        amounts |= {"pids": int(rng.integers(1, 9)) * 32} if chance["pids"] < 0.3 else {}
        constraints = rng.choice(CONSTRAINTS, int(rng.integers(0, 4)), replace=False).tolist()
        preferences = ("node.labels.zone", "node.labels.rack")[: int(rng.integers(0, 3))]
        affinity = Affinity(service=other, anti=chance["anti"] < 0.7, required=chance["required"] < 0.5)
        return interned(
            Demand(
                amounts=tuple(amounts.items()),
                kind=Kind("linux/amd64" if chance["platform"] < 0.3 else "", tuple(sorted(constraints))),
                ports=frozenset(
                    {(int(rng.integers(8_000, 8_100)), "tcp", "")} if chance["port"] < 0.2 else ()
                ),
                per_node_max=int(rng.integers(1, 4)) if chance["per_node"] < 0.2 else 0,
                preferences=preferences,
                strategy=Strategy.SPREAD if chance["spread"] < 0.3 else Strategy.PACK,
                affinities=(affinity,) if chance["affinity"] < 0.2 else (),
            )
        )


_WISHES = (
    "gpu", "disk", "pids", "platform", "port", "per_node", "spread", "affinity", "anti", "required",
)  # fmt: skip


def used(fleet: Fleet) -> float:
    """The share of CPU or of memory that is set aside, the larger of the two."""
    shares = [
        1 - fleet.free[each].sum() / fleet.capacity[each].sum() for each in ("cpu_millis", "memory_bytes")
    ]
    return float(max(shares))


def filled(nodes: int, share: float, seed: int) -> Fleet:
    """A fleet that is used to some share, by services of which a tenth ask for all kinds of things."""
    fleet, demands, number = Fleet.of(candidates(nodes)), Demands(seed), 0
    while used(fleet) < share:
        count = max(1, nodes // 100)
        groups = [
            Group(
                f"filler{number + at}",
                demands.mixed(f"filler{number}") if at == 0 else demands.plain(_strategy(at)),
                count,
            )
            for at in range(10)
        ]
        place_groups(groups, fleet)
        number += 10
    return fleet


def _strategy(number: int) -> Strategy:
    """Half of the services spread, so that the load is no step from full to empty."""
    return Strategy.SPREAD if number % 2 else Strategy.PACK
