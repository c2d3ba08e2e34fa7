"""Bin packing: which node takes each waiting task, or why none can.

One array per dimension over the nodes (a two-dimensional one is several times slower for so few
columns). Order of preference: fewest tasks of the same service, then the fullest node that still
fits (best fit, https://en.wikipedia.org/wiki/Best-fit_bin_packing), then fewest tasks, then name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bayplan import constraints
from bayplan.model import Resources, ServiceSpec
from bayplan.units import format_bytes, format_cpus
from controller.decide.filters import Candidate, Cause, clash, eligible, port_keys

Ints = npt.NDArray[np.int64]


class Need(NamedTuple):
    """A task that waits for a node: its id, its service's id, and the spec it runs."""

    task_id: str
    service_id: str
    spec: ServiceSpec


class Refusal(NamedTuple):
    """Why no node can take a task: nodes by cause, and lines for people."""

    causes: dict[Cause, int]
    lines: tuple[str, ...]


class Plan(NamedTuple):
    """Where each task goes (task id -> node id), and why the others cannot."""

    placed: dict[str, str]
    refused: dict[str, Refusal]


def place(needs: Sequence[Need], candidates: Sequence[Candidate]) -> Plan:
    """Places tasks one after the other, largest first within the batch; same input, same plan."""
    table = _Table(sorted(candidates, key=lambda candidate: candidate.node.name))
    plan = Plan({}, {})
    for need in sorted(needs, key=_largest_first):
        causes = table.causes(need)
        chosen = table.choose(need, causes)
        if chosen is None:
            plan.refused[need.task_id] = table.explain(need, causes)
        else:
            table.take(need, chosen)
            plan.placed[need.task_id] = table.ids[chosen]
    return plan


def _largest_first(need: Need) -> tuple[int, int, int, str, str]:
    wanted = need.spec.reservations
    fixed_ports = len(port_keys(need.spec.container.ports))
    return (-wanted.memory_bytes, -wanted.cpu_millis, -fixed_ports, need.service_id, need.task_id)


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
        self.ports = [candidate.ports for candidate in candidates]
        self._counts: dict[str, Ints] = {}
        self._fixed: dict[str, list[Cause | None]] = {}

    def counts(self, service_id: str) -> Ints:
        """Tasks of a service on each node."""
        if service_id not in self._counts:
            column = [candidate.counts.get(service_id, 0) for candidate in self.candidates]
            self._counts[service_id] = np.array(column, np.int64)
        return self._counts[service_id]

    def causes(self, need: Need) -> list[Cause | None]:
        """For each node the first cause against it, or None."""
        causes = list(self._eligible(need))
        spec, counts = need.spec, self.counts(need.service_id)
        wanted_ports = port_keys(spec.container.ports)
        short_cpu = (self.cpu < spec.reservations.cpu_millis) & (spec.reservations.cpu_millis > 0)
        short_memory = (self.memory < spec.reservations.memory_bytes) & (spec.reservations.memory_bytes > 0)
        for index, cause in enumerate(causes):
            if cause is not None:
                continue
            if spec.max_replicas_per_node and counts[index] >= spec.max_replicas_per_node:
                causes[index] = Cause.PER_NODE
            elif wanted_ports and clash(wanted_ports, self.ports[index]):
                causes[index] = Cause.PORT
            elif short_cpu[index]:
                causes[index] = Cause.CPU
            elif short_memory[index]:
                causes[index] = Cause.MEMORY
        return causes

    def _eligible(self, need: Need) -> list[Cause | None]:
        key = f"{need.service_id}\0{need.spec.constraints}"
        if key not in self._fixed:
            wanted = [constraints.parse(text) for text in need.spec.constraints]
            self._fixed[key] = [eligible(candidate, wanted) for candidate in self.candidates]
        return self._fixed[key]

    def choose(self, need: Need, causes: list[Cause | None]) -> int | None:
        """The best node's row, or None."""
        fits = np.flatnonzero(np.array([cause is None for cause in causes], bool))
        if not fits.size:
            return None
        wanted = need.spec.reservations
        cpu_used = 1 - (self.cpu[fits] - wanted.cpu_millis) / self.cpu_all[fits]
        memory_used = 1 - (self.memory[fits] - wanted.memory_bytes) / self.memory_all[fits]
        order = np.lexsort(
            (fits, self.tasks[fits], -(cpu_used + memory_used), self.counts(need.service_id)[fits])
        )
        return int(fits[order[0]])

    def take(self, need: Need, row: int) -> None:
        """Note that a node takes a task."""
        self.cpu[row] -= need.spec.reservations.cpu_millis
        self.memory[row] -= need.spec.reservations.memory_bytes
        self.counts(need.service_id)[row] += 1
        self.tasks[row] += 1
        self.ports[row] |= port_keys(need.spec.container.ports)

    def explain(self, need: Need, causes: list[Cause | None]) -> Refusal:
        """Why no node can take it: what it needs, nodes by cause, and what is nearest."""
        counted = {cause: causes.count(cause) for cause in Cause if cause in causes}
        if not causes:
            return Refusal({}, ("the cluster has no nodes; `bayplan join-token` prints how one joins",))
        total = "1 node" if len(causes) == 1 else f"{len(causes)} nodes"
        verdicts = " · ".join(f"{count} {cause.value}" for cause, count in counted.items())
        lines = [*self._needs(need.spec, counted), f"{total}: {verdicts}", *self._nearest(need.spec, causes)]
        return Refusal(counted, tuple(lines))

    @staticmethod
    def _needs(spec: ServiceSpec, counted: dict[Cause, int]) -> list[str]:
        lines = []
        if spec.reservations != Resources():
            lines.append(f"needs {_amounts(spec.reservations)}")
        if Cause.CONSTRAINT in counted:
            lines.append(f"needs {' and '.join(spec.constraints)}")
        if Cause.PORT in counted:
            ports = sorted(port_keys(spec.container.ports))
            lines.append("needs " + ", ".join(f"port {number}/{protocol}" for number, protocol, _ in ports))
        return lines

    def _nearest(self, spec: ServiceSpec, causes: list[Cause | None]) -> list[str]:
        """The node that is short by the smallest share of what is asked."""
        short = [row for row, cause in enumerate(causes) if cause in (Cause.CPU, Cause.MEMORY)]
        if not short:
            return []
        wanted = spec.reservations

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
