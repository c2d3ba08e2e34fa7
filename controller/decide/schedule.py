"""Bin packing: which node takes each waiting task, or why none can.

One array per dimension over the nodes (a two-dimensional one is several times slower for so few
columns). Order of preference: the branch with the fewest tasks of the service for each spread
preference in turn (as Docker's, https://docs.docker.com/engine/swarm/services/#placement-preferences),
then fewest tasks of the service, then the fullest node that still fits (best fit,
https://en.wikipedia.org/wiki/Best-fit_bin_packing), then fewest tasks, then name. Before all that: nodes
that came and went lately, and those on which this version kept failing, are a last choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bayplan.model import Resources, ServiceSpec
from bayplan.units import format_bytes, format_cpus
from controller.decide.filters import Candidate, Cause, attribute, clash, eligible, parsed, port_keys

#: Why a node is a last choice.
SHAKY = "it came and went lately"
FAILED_HERE = "this version failed there again and again"

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Need(NamedTuple):
    """A task that waits for a node: its id, its service's id, the spec it runs, what it sets aside,
    the id of the node that it is bound to (empty: any), and those on which its version kept failing.

    Its slot and the wave in which its service starts tell the order, which must not hang on ids: a plan
    made before there are any shall come true. `level`: not the fullest node that fits but the emptiest, since
    the task moves to even out the load.
    """

    task_id: str
    service_id: str
    spec: ServiceSpec
    reserved: Resources
    pinned: str = ""
    slot: int = 0
    wave: int = 0
    avoided: frozenset[str] = frozenset()
    level: bool = False


class Refusal(NamedTuple):
    """Why no node can take a task: nodes by cause, and lines for people."""

    causes: dict[Cause, int]
    lines: tuple[str, ...]


class Plan(NamedTuple):
    """Where each task goes (task id -> node id), why the others cannot, and why there of all nodes."""

    placed: dict[str, str]
    refused: dict[str, Refusal]
    reasons: dict[str, tuple[str, ...]]


class Rated(NamedTuple):
    """What a node says to a task: the cause against it or why it is as good as it is, what is free on it, how
    many tasks of the service it has, and its rank among those that fit (from 1, else 0)."""

    node_id: str
    cause: Cause | None
    reason: str
    free: Resources
    tasks: int
    rank: int


def rank(need: Need, candidates: Sequence[Candidate]) -> list[Rated]:
    """Every node, the best first: to that one `place` would give the task. Those that do not fit are last."""
    table = _Table(sorted(candidates, key=lambda candidate: candidate.node.name))
    causes = table.causes(need)
    best = [int(row) for row in table.order(need, causes)]
    rest = [row for row in range(len(causes)) if causes[row] is not None]
    return [table.rated(need, row, causes, best) for row in (*best, *rest)]


def place(needs: Sequence[Need], candidates: Sequence[Candidate]) -> Plan:
    """Places tasks one after the other, largest first within the batch; same input, same plan."""
    table = _Table(sorted(candidates, key=lambda candidate: candidate.node.name))
    plan = Plan({}, {}, {})
    for need in sorted(needs, key=_largest_first):
        causes = table.causes(need)
        best = table.order(need, causes)
        if not best.size:
            plan.refused[need.task_id] = table.explain(need, causes)
        else:
            chosen = int(best[0])
            plan.reasons[need.task_id] = table.reasons(need, chosen, causes.count(None))
            table.take(need, chosen)
            plan.placed[need.task_id] = table.ids[chosen]
    return plan


def _largest_first(need: Need) -> tuple[int, int, int, int, str, int, str]:
    """Within a wave."""
    size, ports = need.reserved, len(port_keys(need.spec.container.ports))
    largest = (need.wave, -size.memory_bytes, -size.cpu_millis, -ports)
    return (*largest, need.spec.name, need.slot, need.task_id)


class _Table:
    """The nodes as columns; `take` keeps them true while a batch is placed."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self.candidates = candidates
        self.ids = [candidate.node.id for candidate in candidates]
        self.cpu = np.array([candidate.free.cpu_millis for candidate in candidates], np.int64)
        self.memory = np.array([candidate.free.memory_bytes for candidate in candidates], np.int64)
        capacity = [candidate.node.inventory.capacity for candidate in candidates]
        self.cpu_all = np.array([max(1, each.cpu_millis) for each in capacity], np.int64)
        self.memory_all = np.array([max(1, each.memory_bytes) for each in capacity], np.int64)
        self.tasks = np.array([sum(candidate.counts.values()) for candidate in candidates], np.int64)
        self.shaky = np.array([candidate.shaky for candidate in candidates], np.int64)
        self.ports = [candidate.ports for candidate in candidates]
        self.generic = [dict(candidate.generic) for candidate in candidates]
        self._counts: dict[str, Ints] = {}
        self._fixed: dict[tuple[str, str, tuple[str, ...]], list[Cause | None]] = {}

    def counts(self, service_id: str) -> Ints:
        """Tasks of a service on each node."""
        if service_id not in self._counts:
            column = [candidate.counts.get(service_id, 0) for candidate in self.candidates]
            self._counts[service_id] = np.array(column, np.int64)
        return self._counts[service_id]

    def causes(self, need: Need) -> list[Cause | None]:
        """For each node the first cause against it, or None."""
        causes = list(self._eligible(need.spec))
        spec, counts = need.spec, self.counts(need.service_id)
        wanted_ports = port_keys(spec.container.ports)
        short_cpu = (self.cpu < need.reserved.cpu_millis) & (need.reserved.cpu_millis > 0)
        short_memory = (self.memory < need.reserved.memory_bytes) & (need.reserved.memory_bytes > 0)
        for index, cause in enumerate(causes):
            if need.pinned not in ("", self.ids[index]):
                causes[index] = Cause.ELSEWHERE
            elif cause is not None:
                continue
            elif spec.max_replicas_per_node and counts[index] >= spec.max_replicas_per_node:
                causes[index] = Cause.PER_NODE
            elif wanted_ports and clash(wanted_ports, self.ports[index]):
                causes[index] = Cause.PORT
            elif any(self.generic[index].get(kind, 0) < count for kind, count in spec.generic.items()):
                causes[index] = Cause.GENERIC
            elif short_cpu[index]:
                causes[index] = Cause.CPU
            elif short_memory[index]:
                causes[index] = Cause.MEMORY
        return causes

    def _eligible(self, spec: ServiceSpec) -> list[Cause | None]:
        key = (spec.name, spec.container.platform, spec.constraints)
        if key not in self._fixed:
            wanted = parsed(spec)
            self._fixed[key] = [eligible(candidate, spec, wanted) for candidate in self.candidates]
        return self._fixed[key]

    def order(self, need: Need, causes: list[Cause | None]) -> npt.NDArray[np.intp]:
        """The rows of the nodes that fit, the best first."""
        fits = np.flatnonzero(np.array([cause is None for cause in causes], bool))
        if not fits.size:
            return fits
        cpu_used, memory_used = self._used(need)
        used = cpu_used + memory_used
        fullness = (used if need.level else -used)[fits]
        keys = [fits, self.tasks[fits], fullness, self.counts(need.service_id)[fits]]
        keys += [branch[fits] for branch in reversed(self._branches(need))]
        keys.append(self._doubts(need)[fits])
        return fits[np.lexsort(keys)]

    def _doubts(self, need: Need) -> Ints:
        """How much speaks against each node that could take the task."""
        failed = [int(node_id in need.avoided) for node_id in self.ids]
        return np.array(failed, np.int64) + self.shaky

    def _doubted(self, need: Need, row: int) -> tuple[str, ...]:
        """The same in words."""
        words = [SHAKY] if self.shaky[row] else []
        words += [FAILED_HERE] if self.ids[row] in need.avoided else []
        return (f"a last choice, since {' and '.join(words)}",) if words else ()

    def _used(self, need: Need) -> tuple[Floats, Floats]:
        """The share of CPU and of memory that would be reserved on each node."""
        cpu = 1 - (self.cpu - need.reserved.cpu_millis) / self.cpu_all
        return cpu, 1 - (self.memory - need.reserved.memory_bytes) / self.memory_all

    def _branches(self, need: Need) -> list[Ints]:
        """For each preference the tasks of the service on all nodes of the same branch: of the same
        values of this attribute and those before it."""
        counts, paths, found = self.counts(need.service_id), [""] * len(self.ids), []
        for key in need.spec.preferences:
            values = [attribute(candidate.node, key) for candidate in self.candidates]
            paths = [f"{path}\0{value}" for path, value in zip(paths, values, strict=True)]
            sums: dict[str, int] = {}
            for path, count in zip(paths, counts, strict=True):
                sums[path] = sums.get(path, 0) + int(count)
            found.append(np.array([sums[path] for path in paths], np.int64))
        return found

    def reasons(self, need: Need, row: int, fit: int) -> tuple[str, ...]:
        """Why this node of the `fit` ones that could take the task, before it takes it."""
        if need.pinned:
            return ("one task on each fit node",)
        node, spread = self.candidates[row].node, []
        for key, branch in zip(need.spec.preferences, self._branches(need), strict=True):
            value = attribute(node, key) or "none"
            spread.append(f"fewest tasks of the service in {key} {value} ({branch[row]})")
        cpu_used, memory_used = self._used(need)
        shares = f"CPU {_percent(cpu_used[row])}, memory {_percent(memory_used[row])} reserved"
        doubts = self._doubted(need, row)
        if fit == 1:
            return (*doubts, f"the only node that fits: {shares}")
        fewest = f"fewest tasks of the service ({self.counts(need.service_id)[row]})"
        return (*doubts, *spread, f"{fewest}, {'emptiest' if need.level else 'fullest'} that fits: {shares}")

    def rated(self, need: Need, row: int, causes: list[Cause | None], best: list[int]) -> Rated:
        """A node's row for people; `best` are those that fit."""
        cause = causes[row]
        if cause is None:
            reason = ", ".join(self.reasons(need, row, len(best)))
        elif cause in (Cause.CPU, Cause.MEMORY):
            reason = f"{cause.value}: {self._free(row, need.reserved)}"
        else:
            reason = cause.value
        return Rated(
            node_id=self.ids[row],
            cause=cause,
            reason=reason,
            free=Resources(cpu_millis=max(0, int(self.cpu[row])), memory_bytes=max(0, int(self.memory[row]))),
            tasks=int(self.counts(need.service_id)[row]),
            rank=best.index(row) + 1 if cause is None else 0,
        )

    def take(self, need: Need, row: int) -> None:
        """Note that a node takes a task."""
        self.cpu[row] -= need.reserved.cpu_millis
        self.memory[row] -= need.reserved.memory_bytes
        self.counts(need.service_id)[row] += 1
        self.tasks[row] += 1
        self.ports[row] |= port_keys(need.spec.container.ports)
        for kind, count in need.spec.generic.items():
            self.generic[row][kind] = self.generic[row].get(kind, 0) - count

    def explain(self, need: Need, causes: list[Cause | None]) -> Refusal:
        """Why no node can take it: what it needs, nodes by cause, and what is nearest."""
        asked: list[Cause | None] = [cause for cause in causes if cause is not Cause.ELSEWHERE]
        counted: dict[Cause, int] = {cause: asked.count(cause) for cause in Cause if cause in asked}
        if not asked:
            return Refusal({}, ("the cluster has no nodes; `bayplan join-token` prints how one joins",))
        total = "1 node" if len(asked) == 1 else f"{len(asked)} nodes"
        verdict = f"{total}: " + " · ".join(f"{count} {cause.value}" for cause, count in counted.items())
        if need.pinned:
            (cause,) = counted
            verdict = f"{self.candidates[self.ids.index(need.pinned)].node.name}: {cause.value}"
        lines = [*self._needs(need, counted), verdict, *self._nearest(need, causes)]
        return Refusal(counted, tuple(lines))

    @staticmethod
    def _needs(need: Need, counted: dict[Cause, int]) -> list[str]:
        lines, spec = [], need.spec
        if need.reserved != Resources():
            lines.append(f"needs {_amounts(need.reserved)}")
        if Cause.PLATFORM in counted:
            lines.append(f"needs platform {spec.container.platform}")
        if Cause.CONSTRAINT in counted:
            lines.append(f"needs {' and '.join(spec.constraints)}")
        if Cause.GENERIC in counted:
            goods = sorted(spec.generic.items())
            lines.append("needs " + ", ".join(f"{count} {kind}" for kind, count in goods))
        if Cause.PORT in counted:
            ports = sorted(port_keys(spec.container.ports))
            lines.append("needs " + ", ".join(f"port {number}/{protocol}" for number, protocol, _ in ports))
        return lines

    def _nearest(self, need: Need, causes: list[Cause | None]) -> list[str]:
        """The node that is short by the smallest share of what is asked."""
        short = [row for row, cause in enumerate(causes) if cause in (Cause.CPU, Cause.MEMORY)]
        if not short:
            return []
        wanted = need.reserved

        def shortage(row: int) -> float:
            cpu = max(0, wanted.cpu_millis - int(self.cpu[row])) / max(1, wanted.cpu_millis)
            memory = max(0, wanted.memory_bytes - int(self.memory[row])) / max(1, wanted.memory_bytes)
            return cpu + memory

        row = min(short, key=lambda row: (shortage(row), row))
        return [f"nearest: {self.candidates[row].node.name} has {self._free(row, wanted)}"]

    def _free(self, row: int, wanted: Resources) -> str:
        cpu, memory = max(0, int(self.cpu[row])), max(0, int(self.memory[row]))
        parts = [f"{format_cpus(cpu)} free", f"{format_bytes(memory)} free"]
        if cpu < wanted.cpu_millis:
            parts[0] += f" ({format_cpus(wanted.cpu_millis - cpu)} short)"
        if memory < wanted.memory_bytes:
            parts[1] += f" ({format_bytes(wanted.memory_bytes - memory)} short)"
        return ", ".join(parts)


def _amounts(wanted: Resources) -> str:
    parts = [format_cpus(wanted.cpu_millis)] if wanted.cpu_millis else []
    parts += [format_bytes(wanted.memory_bytes)] if wanted.memory_bytes else []
    return ", ".join(parts)


def _percent(share: float) -> str:
    return f"{max(0, round(100 * share))} %"
