"""Why a task goes to this node of all that could take it, and what each node says to a task, in words."""

from __future__ import annotations

from controller.decide.demand import Demand
from controller.decide.filling import Wish, fitted
from controller.decide.filters import Cause, network_fault
from controller.decide.fleet import ZONE, Fleet
from controller.decide.verdicts import SHORT, free_text

#: Why a node is a last choice.
SHAKY = "it came and went lately"
FAILED_HERE = "this version failed there again and again"


class Reasons:
    """The reasons for the tasks of one wish, told in the order in which they are placed. To be made before
    they are: it keeps what was there then."""

    def __init__(self, fleet: Fleet, wish: Wish, *, pinned: bool = False) -> None:
        self._fleet, self._wish, self._pinned = fleet, wish, pinned
        fits = fleet.fits(wish.demand, wish.service_id)
        self._fit = int(fits.sum())
        self._counts = fleet.tasks_of(wish.service_id)
        self._free = {each: fleet.free[each].copy() for each in ("cpu_millis", "memory_bytes")}

    def next(self, row: int) -> tuple[str, ...]:
        """Why the next task goes to this row."""
        lines = self._lines(row)
        self._counts[row] += 1
        for each, column in self._free.items():
            column[row] -= self._wish.demand.amount(each)
        return lines

    def _lines(self, row: int) -> tuple[str, ...]:
        if self._pinned:
            return ("one task on each fit node",)
        shares = (
            f"CPU {self._percent('cpu_millis', row)}, memory {self._percent('memory_bytes', row)} reserved"
        )
        if self._fit == 1:
            return (*self.doubts(row), f"the only node that fits: {shares}")
        size = "emptiest" if self._wish.level else "fullest"
        how = "best fit" if fitted(self._wish) else f"{size} that fits"
        last = f"{self._own(row)}, {how}: {shares}"
        return (*self.doubts(row), *self._branches(row), last)

    def doubts(self, row: int) -> tuple[str, ...]:
        """What speaks against a node that could take the task, if anything does."""
        words = [SHAKY] if self._fleet.shaky[row] else []
        words += [FAILED_HERE] if self._fleet.ids[row] in self._wish.avoided else []
        return (f"a last choice, since {' and '.join(words)}",) if words else ()

    def _own(self, row: int) -> str:
        count, wish = self._counts[row], self._wish
        if wish.demand.packs and not wish.level and count < wish.bound > 1:
            return f"{count} of at most {wish.bound} tasks of the service on one node"
        return f"fewest tasks of the service ({count})"

    def _branches(self, row: int) -> list[str]:
        keys = self._wish.demand.preferences
        if not keys and self._wish.demand.packs and self._fleet.zoned:
            keys = (ZONE,)
        codes = self._fleet.branches(keys)
        return [
            f"fewest tasks of the service in {key} {self._value(key, row) or 'none'} "
            f"({self._counts[of == of[row]].sum()})"
            for key, of in zip(keys, codes, strict=True)
        ]

    def _value(self, key: str, row: int) -> str:
        column = self._fleet.attribute(key)
        return column.values[int(column.codes[row])]

    def _percent(self, dimension: str, row: int) -> str:
        """What would be reserved of a dimension with the task."""
        whole = max(1, self._fleet.capacity[dimension].item(row))
        left = self._free[dimension].item(row) - self._wish.demand.amount(dimension)
        return f"{max(0, round(100 * (1 - left / whole)))} %"


def against(fleet: Fleet, demand: Demand, row: int, cause: Cause) -> str:
    """What a node that does not fit says."""
    if cause is Cause.NETWORK:
        return f"{cause.value}: {network_fault(fleet.nodes[row], demand.kind.networked)}"
    return f"{cause.value}: {free_text(fleet, demand, row)}" if cause in SHORT else cause.value
