"""What the nodes say to a task: how many say no and why, who is nearest to taking it, in one wording.

`explain`, plans and the reasons of pending tasks are all read off this one value. It is worked out over
columns: ten thousand nodes make as many rows only for who asks to see them. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bayplan import constraints
from bayplan.nearest import nearest
from bayplan.units import format_bytes, format_cpus
from controller.decide.demand import GENERIC, Demand
from controller.decide.filters import ENCRYPTED, Cause
from controller.decide.fleet import CAUSES, VACANT, Codes, Fleet

#: What is said where there is nobody to ask.
NO_NODES = "the cluster has no nodes; `bayplan join-token` prints how one joins"
#: Causes that are a lack of something that other tasks hold.
SHORT = frozenset({Cause.GENERIC, Cause.CPU, Cause.MEMORY, Cause.DISK, Cause.PIDS})
#: Nodes that are equally near and whose names are compared.
EQUALS_MAX = 100
#: What to do about a cause; about what is not here: ask for less.
WAYS_OUT = {
    Cause.NOT_READY: "`bayplan node ls` shows why nodes are not ready",
    Cause.PAUSED: "`bayplan node update --availability active NODE` takes tasks there again",
    Cause.DRAINING: "`bayplan node update --availability active NODE` takes tasks there again",
    Cause.PLATFORM: "add a node of that platform (`bayplan join-token`)",
    Cause.NETWORK: "`bayplan doctor` on such a node says what it lacks; add a node (`bayplan join-token`)",
    Cause.CONSTRAINT: "ask for what a node has, or label one: "
    "`bayplan node update --label-add KEY=VALUE NODE`",
    Cause.AFFINITY: "leave `required` away, or add a node (`bayplan join-token`)",
    Cause.PORT: "publish another port, run fewer tasks, or add a node (`bayplan join-token`)",
}
#: Nodes whose labels are read to find one with a name like that which no node has.
NODES_READ_MAX = 1_000

_SHORT_CODES = [code for code, cause in enumerate(CAUSES) if cause in SHORT]


class Verdicts(NamedTuple):
    """The answers of `nodes` nodes to one more task: `fits` say yes, the others no, counted by cause in the
    order of causes. `nearest` is told where none fits: who is short of the smallest share of what is asked.
    `node` is the name of the only one that was asked, of a task that is bound to it. `hopeless` says what no
    node has, whatever its state."""

    demand: Demand
    nodes: int
    fits: int
    causes: dict[Cause, int]
    nearest: str = ""
    node: str = ""
    hopeless: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """Why no node takes it: what it needs, the nodes by cause, and the nearest."""
        if not self.nodes:
            return (NO_NODES,)
        nearest = [f"nearest: {self.nearest}"] if self.nearest else []
        return (*_needs(self.demand, self.causes), self.answer, *nearest, *self.hopeless)

    @property
    def worst(self) -> Cause | None:
        """What most nodes say no for."""
        return max(self.causes, key=lambda cause: self.causes[cause], default=None)

    @property
    def way_out(self) -> str:
        """What to do about that."""
        usual = "ask for less, or add a node (`bayplan join-token`)"
        return WAYS_OUT.get(self.worst, usual) if self.worst else usual

    @property
    def answer(self) -> str:
        """`3 nodes: 1 draining · 2 short of memory`; `n1: draining` of a task that is bound to that one."""
        if self.node:
            return f"{self.node}: {next(iter(self.causes)).value if self.causes else 'fits'}"
        total = "1 node" if self.nodes == 1 else f"{self.nodes} nodes"
        fits = [f"{self.fits} {'fits' if self.fits == 1 else 'fit'}"] if self.fits else []
        return f"{total}: " + " · ".join([*fits, *(f"{n} {cause.value}" for cause, n in self.causes.items())])


def judge(fleet: Fleet, demand: Demand, service_id: str, pinned: str = "") -> Verdicts:
    """The verdicts on one more task of a service; `pinned` is the id of the only node where it may run."""
    causes = fleet.causes(demand, service_id)
    if pinned:
        return (
            verdict_of(fleet, demand, causes, fleet.rows[pinned]) if pinned in fleet.rows else _nobody(demand)
        )
    counts = np.bincount(causes[causes != VACANT], minlength=len(CAUSES)).tolist()
    found = {cause: number for cause, number in zip(CAUSES, counts, strict=True) if cause and number}
    closest = "" if counts[0] else nearest_of(fleet, demand, np.flatnonzero(np.isin(causes, _SHORT_CODES)))
    hopeless = () if counts[0] else tuple(_hopeless(fleet, demand, found))
    return Verdicts(demand, sum(counts), counts[0], found, closest, hopeless=hopeless)


def _hopeless(fleet: Fleet, demand: Demand, causes: Container[Cause]) -> Iterator[str]:
    """What no node has: so much of something in all, or a label that a constraint asks for."""
    there = np.flatnonzero(fleet.barred != VACANT)
    for dimension, amount in demand.amounts if there.size else ():
        capacity = fleet.capacity.get(dimension, np.zeros(fleet.size, np.int64))[there]
        whole, asked = int(capacity.max()), amount_text(dimension, amount)
        if whole < amount and not whole:
            near = nearest(dimension.removeprefix(GENERIC), _goods(fleet))
            yield f"no node has any of it: {asked}" + (f"; there is {near}" if near else "")
        elif whole < amount:
            node = fleet.nodes[there[capacity.argmax()]].name
            yield f"no node has {asked} in all: the most has {node}, {amount_text(dimension, whole)}"
    for text in demand.kind.constraints if Cause.CONSTRAINT in causes else ():
        key = constraints.parse(text).key
        if constraints.is_label(key) and not any(fleet.attribute(key).values):
            name, known = key.partition(".labels.")[2], _labels(fleet, key)
            near = nearest(name, known)
            yield f"no node has the label {name}" + (f"; there is {near}" if near else "")


def _goods(fleet: Fleet) -> set[str]:
    """The kinds of generic goods that some node has."""
    return {name.removeprefix(GENERIC) for name in fleet.free if name.startswith(GENERIC)}


def _labels(fleet: Fleet, key: str) -> set[str]:
    """The names of the labels of some nodes, or of their engines."""
    of_engines = key.startswith(constraints.ENGINE_LABELS)
    some = [fleet.nodes[row] for row in np.flatnonzero(fleet.barred != VACANT)[:NODES_READ_MAX].tolist()]
    return {name for node in some for name in (node.inventory.engine_labels if of_engines else node.labels)}


def verdict_of(fleet: Fleet, demand: Demand, causes: Codes, row: int) -> Verdicts:
    """What one node alone says; `causes` are those of the demand, by row."""
    cause = CAUSES[causes[row]]
    nearest = nearest_of(fleet, demand, np.array([row])) if cause in SHORT else ""
    return Verdicts(
        demand, 1, int(cause is None), {cause: 1} if cause else {}, nearest, fleet.nodes[row].name
    )


def _nobody(demand: Demand) -> Verdicts:
    return Verdicts(demand, 0, 0, {})


def shortage(fleet: Fleet, demand: Demand, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """How much each of these rows is short of, as a share of what is asked, summed over the dimensions."""
    found = np.zeros(rows.size)
    for dimension, amount in demand.amounts:
        column = fleet.free.get(dimension)
        free = np.zeros(rows.size, np.int64) if column is None else column[rows]
        found += np.maximum(0, amount - free) / amount
    return found


def nearest_of(fleet: Fleet, demand: Demand, rows: npt.NDArray[np.intp]) -> str:
    """The one of these rows that is short of least, of several the first by name; empty if there is none."""
    if not rows.size:
        return ""
    short = shortage(fleet, demand, rows)
    nearest = rows[short == short.min()][:EQUALS_MAX].tolist()
    best = min(nearest, key=lambda row: fleet.nodes[row].name)
    return f"{fleet.nodes[best].name} has {free_text(fleet, demand, best)}"


def free_text(fleet: Fleet, demand: Demand, row: int) -> str:
    """What a node has free of what is asked for (CPU and memory always), and how much less that is:
    `1 CPU free (500m short), 2 GiB free`."""
    asked = dict(demand.amounts)
    told = dict.fromkeys(("cpu_millis", "memory_bytes", *asked))
    return ", ".join(_free(fleet, row, dimension, asked.get(dimension, 0)) for dimension in told)


def _free(fleet: Fleet, row: int, dimension: str, wanted: int) -> str:
    column = fleet.free.get(dimension)
    free = 0 if column is None else max(0, int(column[row]))
    short = f" ({amount_text(dimension, wanted - free)} short)" if free < wanted else ""
    return f"{amount_text(dimension, free)} free{short}"


def amount_text(dimension: str, amount: int) -> str:
    """`1.5 CPU`, `2 GiB`, `10 GiB disk`, `100 pids`, `2 gpu`."""
    match dimension:
        case "cpu_millis":
            return format_cpus(amount)
        case "memory_bytes":
            return format_bytes(amount)
        case "disk_bytes":
            return f"{format_bytes(amount)} disk"
        case _:
            return f"{amount} {dimension.removeprefix(GENERIC)}"


def _needs(demand: Demand, causes: dict[Cause, int]) -> list[str]:
    """What it asks: its amounts, and those of its other wishes that are a cause against some node."""
    asked = dict(demand.amounts)
    own = [name for name in ("cpu_millis", "memory_bytes", "disk_bytes", "pids") if name in asked]
    lines = ["needs " + ", ".join(amount_text(name, asked[name]) for name in own)] if own else []
    if Cause.PLATFORM in causes:
        lines.append(f"needs platform {demand.kind.platform}")
    if Cause.NETWORK in causes:
        kind = "an encrypted network" if demand.kind.networked == ENCRYPTED else "a network"
        lines.append(f"needs to take part in {kind} that spans nodes")
    if Cause.CONSTRAINT in causes:
        lines.append(f"needs {' and '.join(demand.kind.constraints)}")
    if Cause.AFFINITY in causes:
        lines.append(f"needs to be {' and '.join(demand.nearness)}")
    if Cause.GENERIC in causes:
        goods = sorted(name for name in asked if name.startswith(GENERIC))
        lines.append("needs " + ", ".join(amount_text(name, asked[name]) for name in goods))
    if Cause.PORT in causes:
        ports = ", ".join(f"port {number}/{protocol}" for number, protocol, _ in sorted(demand.ports))
        lines.append(f"needs {ports}")
    return lines
