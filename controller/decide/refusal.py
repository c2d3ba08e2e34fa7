"""Why no node can take a task, in words: what it needs, the nodes by cause, and which one is nearest."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bayplan.units import format_bytes, format_cpus
from controller.decide.demand import GENERIC, Demand
from controller.decide.filters import Cause
from controller.decide.fleet import CAUSES, Codes, Fleet

NO_NODES = "the cluster has no nodes; `bayplan join-token` prints how one joins"

_SHORT = (Cause.CPU, Cause.MEMORY, Cause.DISK, Cause.PIDS)


class Refusal(NamedTuple):
    """Why no node can take a task: nodes by cause, and lines for people."""

    causes: dict[Cause, int]
    lines: tuple[str, ...]


def refusal(
    fleet: Fleet, demand: Demand, causes: Codes, rows: npt.NDArray[np.int64] | None = None
) -> Refusal:
    """Of tasks that found no place; `rows` are the only ones they may go to, `causes` those of all rows."""
    asked = np.flatnonzero(causes >= 0) if rows is None else rows
    if not asked.size:
        return Refusal({}, (NO_NODES,))
    numbers = np.bincount(causes[asked], minlength=len(CAUSES))
    counted = {cause: int(n) for cause, n in zip(CAUSES, numbers, strict=True) if cause is not None and n}
    total = "1 node" if asked.size == 1 else f"{asked.size} nodes"
    verdict = f"{total}: " + " · ".join(f"{count} {cause.value}" for cause, count in counted.items())
    if rows is not None and asked.size == 1 and counted:
        verdict = f"{fleet.nodes[asked[0]].name}: {next(iter(counted)).value}"
    return Refusal(counted, (*_needs(demand, counted), verdict, *_nearest(fleet, demand, causes, asked)))


def _needs(demand: Demand, counted: dict[Cause, int]) -> list[str]:
    lines, kind = [], demand.kind
    amounts = amounts_text({each: n for each, n in demand.amounts if not each.startswith(GENERIC)})
    if amounts:
        lines.append(f"needs {amounts}")
    if Cause.PLATFORM in counted:
        lines.append(f"needs platform {kind.platform}")
    if Cause.CONSTRAINT in counted:
        lines.append(f"needs {' and '.join(kind.constraints)}")
    if Cause.GENERIC in counted:
        goods = [(each.removeprefix(GENERIC), n) for each, n in demand.amounts if each.startswith(GENERIC)]
        lines.append("needs " + ", ".join(f"{count} {name}" for name, count in goods))
    if Cause.PORT in counted:
        ports = sorted(demand.ports)
        lines.append("needs " + ", ".join(f"port {number}/{protocol}" for number, protocol, _ in ports))
    return lines


def amounts_text(amounts: dict[str, int]) -> str:
    """Amounts by dimension, as in `2 CPU, 1 GiB, 5 GiB of disk, 100 pids`."""
    return ", ".join(_amount_text(each, amount) for each, amount in amounts.items() if amount)


def _amount_text(dimension: str, amount: int) -> str:
    match dimension:
        case "cpu_millis":
            return format_cpus(amount)
        case "memory_bytes":
            return format_bytes(amount)
        case "disk_bytes":
            return f"{format_bytes(amount)} of disk"
        case _:
            return f"{amount} {dimension}"


def _nearest(fleet: Fleet, demand: Demand, causes: Codes, asked: npt.NDArray[np.int64]) -> list[str]:
    """The node that is short by the smallest share of what is asked."""
    codes = [CAUSES.index(cause) for cause in _SHORT]
    short = asked[np.isin(causes[asked], codes)]
    if not short.size:
        return []
    lacks = np.zeros(short.size)
    for dimension, amount in demand.amounts:
        if dimension in fleet.free:
            lacks += np.maximum(amount - fleet.free[dimension][short], 0) / amount
    row = int(short[np.lexsort([fleet.name_order[short], lacks])[0]])
    return [f"nearest: {fleet.nodes[row].name} has {free_text(fleet, demand, row)}"]


def free_text(fleet: Fleet, demand: Demand, row: int) -> str:
    """What is free on a node of CPU, memory, and what else is asked, and how much is short."""
    parts, wanted = [], dict(demand.amounts)
    for dimension in dict.fromkeys(("cpu_millis", "memory_bytes", *(d for d in wanted if d in fleet.free))):
        if dimension.startswith(GENERIC):
            continue
        free, amount = max(0, fleet.free[dimension].item(row)), wanted.get(dimension, 0)
        text = f"{_amount_text(dimension, free)} free"
        parts.append(f"{text} ({_amount_text(dimension, amount - free)} short)" if free < amount else text)
    return ", ".join(parts)
