"""The nodes as columns, one array per dimension, and what stands on them: what the scheduler looks at.

It lives as long as its owner does: only nodes that have changed are written anew (`write`, `describe`), and
tasks that come and go are taken off and given back in bulk (`take`, `release`). A row is a node's for as long
as it is known. What is worked out from the columns (who is of a kind) is kept until a node changes.
Knows no tasks by name, and decides nothing: it says who fits, and keeps the order of the nodes.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from bayplan import constraints
from bayplan.model import NodeStatus
from controller.decide import affinity
from controller.decide.attributes import Attribute
from controller.decide.demand import DIMENSIONS, GENERIC, Demand, Kind
from controller.decide.filters import (
    ENCRYPTED,
    NETWORKED,
    Candidate,
    Cause,
    attribute,
    barrier,
    network_fault,
    platform_of,
    runs_on,
)
from controller.decide.fit import Fits, Parts
from controller.decide.occupancy import Counts, Ports
from controller.records import Node

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int8]

#: The attribute over whose values a service spreads without being told to.
ZONE = "node.labels.zone"
#: Memory for the masks of fit nodes; the one that was longest not asked for goes first.
MASKS_BYTES_MAX = 64 << 20
#: So few rows are renewed one by one: in bulk that would take longer.
FEW_ROWS = 4
#: Attributes of which a column is kept.
ATTRIBUTES_MAX = 1_000
#: The causes by the number that stands for each in a column of causes; 0 is none.
CAUSES: tuple[Cause | None, ...] = (None, *Cause)
#: In place of a cause, of a row that is no node's.
VACANT = -1

_CODE = {cause: code for code, cause in enumerate(CAUSES)}
_SHORT = {"cpu_millis": Cause.CPU, "memory_bytes": Cause.MEMORY, "disk_bytes": Cause.DISK, "pids": Cause.PIDS}
_PLATFORM = "platform"


class Fleet:
    """The nodes by row. Columns are to be read by everybody and written by nobody else.

    `free` and `capacity`: by dimension, int64. `tasks`: how many each has. `barred`: why it takes no tasks at
    all (0: it does). `shaky`: it came and went lately. `suits`: how well each suits a task.
    """

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.nodes: list[Node] = []
        self.rows: dict[str, int] = {}
        self.free: dict[str, Ints] = {each: np.empty(0, np.int64) for each in DIMENSIONS}
        self.capacity: dict[str, Ints] = {each: np.empty(0, np.int64) for each in DIMENSIONS}
        self.tasks: Ints = np.empty(0, np.int64)
        self.barred: Codes = np.empty(0, np.int8)
        self.shaky: Codes = np.empty(0, np.int8)
        self.suits = Fits()
        self.ports = Ports()
        self.counts = Counts()
        self._vacant: list[int] = []
        self._attributes: dict[str, Attribute] = {}
        self._masks: dict[Kind, Bools] = {}
        self._branches: dict[tuple[str, ...], list[npt.NDArray[np.int32]]] = {}
        #: Copies share the three above, until a node changes in one of them.
        self._shared = False
        self._shaky_any = self._facts_changed = False

    @classmethod
    def of(cls, candidates: Iterable[Candidate]) -> Fleet:
        """A fleet of these nodes, in their order."""
        fleet = cls()
        fleet.write(candidates)
        return fleet

    @property
    def size(self) -> int:
        """Rows, vacant ones too."""
        return len(self.ids)

    def copy(self) -> Fleet:
        """Another one with the same on it, for trials."""
        other = Fleet()
        other.ids, other.nodes, other.rows = list(self.ids), list(self.nodes), dict(self.rows)
        other.free = {each: column.copy() for each, column in self.free.items()}
        other.capacity = {each: column.copy() for each, column in self.capacity.items()}
        other.tasks, other.barred, other.shaky = self.tasks.copy(), self.barred.copy(), self.shaky.copy()
        other.suits, other._vacant = self.suits.copy(), list(self._vacant)
        other.ports, other.counts = self.ports.copy(), self.counts.copy()
        other._shaky_any = self._shaky_any
        other._attributes, other._masks, other._branches = self._attributes, self._masks, self._branches
        self._shared = other._shared = True
        return other

    @property
    def in_order(self) -> Ints:
        """The rows of all nodes by size and name, which does not hang on when they came."""
        return self.suits.places.rows

    # What nodes are.

    def write(self, candidates: Iterable[Candidate]) -> None:
        """Nodes that are new or have changed, each with all that it is and all that stands on it."""
        written = list(candidates)
        known = [self.rows[each.node.id] for each in written if each.node.id in self.rows]
        if known:
            self.counts.clear_rows(np.array(known, np.int64))
        self._join([each.node for each in written if each.node.id not in self.rows])
        by_service: dict[str, list[tuple[int, int]]] = {}
        for each in written:
            row = self.rows[each.node.id]
            self._describe(row, each.node, each.status, silent=each.engine_silent, shaky=each.shaky)
            self._load(row, each)
            for service_id, number in each.counts.items():
                if number:
                    by_service.setdefault(service_id, []).append((row, number))
        for service_id, pairs in by_service.items():
            rows, numbers = np.array(pairs, np.int64).T
            self.counts.add(service_id, rows, numbers)
        self._renew([self.rows[each.node.id] for each in written])

    def describe(self, node: Node, status: NodeStatus, *, silent: bool = False, shaky: bool = False) -> None:
        """What a node is; what stands on it stays as it was noted."""
        if node.id not in self.rows:
            self._join([node])
        row = self.rows[node.id]
        before = {each: int(self.capacity[each][row]) for each in self.capacity}
        self._describe(row, node, status, silent=silent, shaky=shaky)
        for each, column in self.capacity.items():
            self.free[each][row] += int(column[row]) - before.get(each, 0)
        self._renew([row])

    def drop(self, node_id: str) -> None:
        """A node that is gone, with all that stood on it; its row may become another node's."""
        row = self.rows.pop(node_id)
        self.counts.clear_rows(np.array([row]))
        self.ports.write(row, frozenset(), self.size)
        for column in (*self.free.values(), *self.capacity.values(), self.tasks):
            column[row] = 0
        self.shaky[row], self.barred[row] = 0, VACANT
        self.ids[row] = ""
        self.suits.places.leave(row, self.nodes[row])
        self._vacant.append(row)
        self._facts_changed = True
        self._renew([row])

    def _join(self, nodes: list[Node]) -> None:
        """Rows for nodes that have none."""
        more = max(0, len(nodes) - len(self._vacant))
        if more:
            self._grow(nodes[-more:])
        rows = [self._vacant.pop() for _ in nodes]
        for row, node in zip(rows, nodes, strict=True):
            self.ids[row], self.nodes[row], self.rows[node.id] = node.id, node, row
            self.barred[row] = VACANT
        if rows:
            self.suits.places.join(rows, nodes)

    def _grow(self, nodes: list[Node]) -> None:
        """As many vacant rows more as there are nodes."""
        more, wide = len(nodes), np.zeros(len(nodes), np.int64)
        self.free = {each: np.concatenate([column, wide]) for each, column in self.free.items()}
        self.capacity = {each: np.concatenate([column, wide]) for each, column in self.capacity.items()}
        self.tasks = np.concatenate([self.tasks, wide])
        self.suits.grow(more)
        self.barred = np.concatenate([self.barred, wide.astype(np.int8)])
        self.shaky = np.concatenate([self.shaky, wide.astype(np.int8)])
        self._vacant += reversed(range(self.size, self.size + more))
        self.ids += [""] * more
        self.nodes += nodes
        self._attributes = {}

    def _describe(self, row: int, node: Node, status: NodeStatus, *, silent: bool, shaky: bool) -> None:
        before, barred = self.nodes[row], _CODE[barrier(node, status, silent=silent)]
        if before is node and (self.barred[row], bool(self.shaky[row])) == (barred, shaky):
            return
        self.nodes[row], self.barred[row], self.shaky[row] = node, barred, shaky
        self.suits.places.renew(row, before, node)
        self._facts_changed = True
        for each in DIMENSIONS:
            self.capacity[each][row] = getattr(node.inventory.capacity, each)
        for each in (each for each in self.capacity if each.startswith(GENERIC)):
            self.capacity[each][row] = 0
        for kind, number in node.inventory.generic.items():
            self._column(GENERIC + kind)
            self.capacity[GENERIC + kind][row] = number
        self.suits.resize(row, self.capacity)
        if self._shared:
            self._attributes = {name: values.copy() for name, values in self._attributes.items()}
            self._shared = False
        for name, values in self._attributes.items():
            values.write(row, _value(node, name))

    def _column(self, dimension: str) -> None:
        """Makes a dimension known that no node had before."""
        if dimension not in self.free:
            self.free[dimension] = np.zeros(self.size, np.int64)
            self.capacity[dimension] = np.zeros(self.size, np.int64)

    def _load(self, row: int, candidate: Candidate) -> None:
        for each in DIMENSIONS:
            self.free[each][row] = getattr(candidate.free, each)
        for each in (each for each in self.free if each.startswith(GENERIC)):
            self.free[each][row] = 0
        for kind, number in candidate.generic.items():
            self._column(GENERIC + kind)
            self.free[GENERIC + kind][row] = number
        self.tasks[row] = sum(candidate.counts.values())
        self.ports.write(row, candidate.ports, self.size)

    def _renew(self, rows: list[int]) -> None:
        """What hangs on these rows is worked out anew."""
        if self._facts_changed:
            self._masks, self._branches = {}, {}
            self._shaky_any, self._facts_changed = bool(self.shaky.any()), False
        some = self.suits.places.settled(self.size)
        self.suits.renew(np.array(rows if some else range(self.size), np.int64), self.free, self.tasks)

    # What stands on them.

    def take(self, service_id: str, demand: Demand, rows: Ints, numbers: Ints) -> None:
        """So many more tasks of a service on each of these rows, which are named once."""
        self.move(demand, rows, numbers)
        self.counts.add(service_id, rows, numbers)
        if demand.ports:
            self.ports.take(demand.ports, rows, self.size)

    def release(self, service_id: str, demand: Demand, rows: Ints, numbers: Ints) -> None:
        """So many tasks fewer."""
        self.move(demand, rows, -numbers)
        self.counts.remove(service_id, rows, numbers)
        if demand.ports:
            self.ports.release(demand.ports, rows, self.size)

    def take_one(self, service_id: str, demand: Demand, row: int) -> None:
        """One more task, as `take`."""
        for dimension, amount in demand.amounts:
            self.free[dimension][row] -= amount
        self.tasks[row] += 1
        self.suits.renew_one(row, self.free, self.tasks.item(row))
        self.counts.add_one(service_id, row)
        if demand.ports:
            self.ports.take(demand.ports, np.array([row]), self.size)

    def move(self, demand: Demand, rows: Ints, numbers: Ints) -> None:
        """So much less room on each of these rows, which are named once, or (negative) more; whose tasks and
        ports these are, the caller notes."""
        for dimension, amount in demand.amounts:
            self.free[dimension][rows] -= amount * numbers
        self.tasks[rows] += numbers
        if rows.size > FEW_ROWS:
            self.suits.renew(rows, self.free, self.tasks)
            return
        for row in rows.tolist():
            self.suits.renew_one(row, self.free, self.tasks.item(row))

    def emptiest_first(self, demand: Demand, rows: Ints) -> Ints:
        """A key of rows for a task that evens out the load: the emptiest with it has the smallest."""
        return self.suits.emptiest_first(demand, rows, self.free, self.tasks)

    def best_of(self, demand: Demand, fits: Bools) -> int | None:
        """Of a mask of rows the first by `best_first`; None without any."""
        return self.suits.best(demand, fits, self.free)

    def best_in(self, demand: Demand, rows: Ints) -> int:
        """Of some rows the first by `best_first`."""
        return self.suits.best_in(demand, rows, self.free)

    def best_first(self, demand: Demand, rows: Ints, ahead: Ints | None = None) -> Ints:
        """A key of rows for a task that is packed: the one that it suits best has the smallest. `ahead`: as
        if so many like it were on each already."""
        if ahead is None:
            return self.suits.keys(demand, rows, self.free)
        return self.suits.keys_ahead(demand, rows, ahead, self.free, self.tasks)

    def parts(self, demand: Demand, rows: Ints) -> Parts:
        """What stands behind `best_first`, where the task takes of several dimensions."""
        return self.suits.parts(demand, rows, self.free)

    # Who fits.

    def attribute(self, key: str) -> Attribute:
        """A column of an attribute, `node.labels.zone` or another that constraints can ask about."""
        found = self._attributes.get(key)
        if found is None:
            if len(self._attributes) >= ATTRIBUTES_MAX:
                del self._attributes[next(iter(self._attributes))]
            found = self._attributes[key] = Attribute(_value(node, key) for node in self.nodes)
        return found

    @property
    def doubtless(self) -> bool:
        """Whether no node came and went lately."""
        return not self._shaky_any

    @property
    def zones(self) -> npt.NDArray[np.int32]:
        """For each row a number of its zone."""
        return self.branches((ZONE,))[0]

    @property
    def zoned(self) -> bool:
        """Whether there are several zones."""
        return bool(self.zones.max(initial=0))

    def branches(self, preferences: tuple[str, ...]) -> list[npt.NDArray[np.int32]]:
        """For each preference a number of each row's branch: equal values of this attribute and of those
        before it. In the order of the values, which does not hang on when nodes came."""
        if not preferences:
            return []
        found = self._branches.get(preferences)
        if found is None:
            found, path = [], np.zeros(self.size, np.int64)
            for key in preferences:
                column = self.attribute(key)
                order = np.empty(len(column.values), np.int64)
                order[sorted(range(order.size), key=column.values.__getitem__)] = np.arange(order.size)
                path = np.unique(path * order.size + order[column.codes], return_inverse=True)[1]
                found.append(path.astype(np.int32))
            if len(self._branches) >= ATTRIBUTES_MAX:
                self._branches.clear()
            self._branches[preferences] = found
        return found

    def of_kind(self, kind: Kind) -> Bools:
        """The rows of nodes that take tasks and are what a kind asks; not to be written to."""
        mask = self._masks.pop(kind, None)
        if mask is None:
            mask = (self.barred == 0) & self._runs(kind)
            if kind.networked:
                mask &= self._networked(kind.networked)
            for text in kind.constraints:
                mask &= self._satisfies(text)
            if (len(self._masks) + 1) * self.size > MASKS_BYTES_MAX:
                del self._masks[next(iter(self._masks))]
        self._masks[kind] = mask
        return mask

    def _runs(self, kind: Kind) -> Bools:
        platform = kind.platform
        return self.attribute(_PLATFORM).where(platform, lambda value: runs_on(value, platform))

    def _networked(self, need: str) -> Bools:
        return self.attribute(need).where(need, operator.not_)

    def _satisfies(self, text: str) -> Bools:
        constraint = constraints.parse(text)
        return self.attribute(constraint.key).where(text, constraint.holds)

    def fits(self, demand: Demand, service_id: str) -> Bools:
        """The rows that can take one more task of a service now; the caller's to write to."""
        kind = self.of_kind(demand.kind)
        fits = None
        for dimension, amount in demand.amounts:
            column = self.free.get(dimension)
            if column is None:
                return np.zeros(self.size, np.bool_)
            enough = column >= amount
            fits = np.logical_and(kind if fits is None else fits, enough, out=enough)
        if fits is None:
            fits = kind.copy()
        if demand.ports:
            self.ports.exclude(demand.ports, fits)
        if demand.per_node_max:
            rows, numbers = self.counts.of(service_id)
            fits[rows[numbers >= demand.per_node_max]] = False
        if demand.affinities:
            fits &= affinity.admitted(self, demand.affinities, service_id)
        return fits

    def fit_times(self, demand: Demand, service_id: str, rows: Ints, wanted: int) -> Ints:
        """How many more tasks each of these rows can take, whose nodes are of the kind; at most `wanted`."""
        times = np.full(rows.size, min(wanted, 1) if demand.ports else wanted, np.int64)
        for dimension, amount in demand.amounts:
            np.minimum(times, self.free[dimension][rows] // amount, out=times)
        if demand.ports:
            fits = np.ones(self.size, np.bool_)
            self.ports.exclude(demand.ports, fits)
            times[~fits[rows]] = 0
        if demand.per_node_max:
            np.minimum(times, demand.per_node_max - self.tasks_of(service_id)[rows], out=times)
        return np.maximum(times, 0, out=times)

    def tasks_of(self, service_id: str) -> Ints:
        """How many tasks of a service each row has."""
        found = np.zeros(self.size, np.int64)
        rows, numbers = self.counts.of(service_id)
        found[rows] = numbers
        return found

    def causes(self, demand: Demand, service_id: str) -> Codes:
        """For each row the first cause against one more task, as its number in CAUSES (0: none)."""
        causes = self.barred.copy()
        _note(causes, self._runs(demand.kind), Cause.PLATFORM)
        if demand.kind.networked:
            _note(causes, self._networked(demand.kind.networked), Cause.NETWORK)
        for text in demand.kind.constraints:
            _note(causes, self._satisfies(text), Cause.CONSTRAINT)
        if demand.affinities:
            _note(causes, affinity.admitted(self, demand.affinities, service_id), Cause.AFFINITY)
        if demand.per_node_max:
            _note(causes, self.tasks_of(service_id) < demand.per_node_max, Cause.PER_NODE)
        if demand.ports:
            free = np.ones(self.size, np.bool_)
            self.ports.exclude(demand.ports, free)
            _note(causes, free, Cause.PORT)
        for dimension, amount in demand.amounts:
            column = self.free.get(dimension)
            enough = np.zeros(self.size, np.bool_) if column is None else column >= amount
            _note(causes, enough, _SHORT.get(dimension, Cause.GENERIC))
        return causes


def _note(causes: Codes, fine: Bools, cause: Cause) -> None:
    causes[(causes == 0) & ~fine] = _CODE[cause]


def _value(node: Node, key: str) -> str:
    if key in (NETWORKED, ENCRYPTED):
        return network_fault(node, key)
    return platform_of(node) if key == _PLATFORM else attribute(node, key)
