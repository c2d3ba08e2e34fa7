"""How a bench measures, so that its figures can be believed and compared with those of another day.

A calibration of the machine before, between and after (NOISY when it drifts), wall and CPU time of each
piece of work, two ways of doing it in turns (A/B/A/B, the median of the ratios), then a table with floor
and aim beside each figure, and one line of JSON with seed and versions. Knows nothing of what is measured.
"""

from __future__ import annotations

import argparse
import gc
import importlib.metadata
import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, Self, TypeVar

import numpy as np
from rich.console import Console
from rich.table import Table

#: By how much the slowest calibration of a run may exceed the fastest one before the run counts as noisy.
DRIFT_MAX = 1.25
#: Passes of one calibration, of which the fastest counts: what disturbs a pass is not the machine.
PASSES = 5
#: Steps of the loop of Python and numbers that numpy sorts: some 10 ms each.
LOOP_STEPS, SORTED_NUMBERS = 200_000, 200_000
#: Packages whose versions stand in each line of JSON.
PACKAGES = ("bayplan", "numpy", "scipy", "grpcio", "msgspec", "uvloop")

T = TypeVar("T")


class Options(NamedTuple):
    """`quick`: a smaller run, of seconds. `seed`: of all that is drawn. `json`: a file for the line.
    `given`: all flags, those of `more` too."""

    quick: bool
    seed: int
    json: Path | None
    given: argparse.Namespace = argparse.Namespace()


def options(description: str, more: Callable[[argparse.ArgumentParser], object] | None = None) -> Options:
    """The flags that all these benches have; `more` adds to the parser what one has for itself."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a smaller run, of seconds")
    parser.add_argument("--seed", type=int, default=1, help="of everything that is drawn (1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the line of JSON to FILE, too")
    if more is not None:
        more(parser)
    given = parser.parse_args()
    return Options(given.quick, given.seed, given.json, given)


class Timed(NamedTuple, Generic[T]):
    """What a piece of work gave, its wall time, and the CPU time of this process and its ended children."""

    value: T
    wall_s: float
    cpu_s: float


def timed(work: Callable[[], T]) -> Timed[T]:
    """One run of a piece of work, with the garbage of what was before collected first."""
    gc.collect()
    cpu, begin = _cpu_s(), time.perf_counter()
    value = work()
    wall = time.perf_counter() - begin
    return Timed(value, wall, _cpu_s() - cpu)


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


class Duel(NamedTuple):
    """Two ways in turns: the median wall time of each, and the median of the rounds' ratios, b to a."""

    a_s: float
    b_s: float
    ratio: float


def duel(a: Callable[[], object], b: Callable[[], object], rounds: int = 3) -> Duel:
    """A/B/A/B: neighbours in time share the machine's mood, so that their ratio hangs least on it."""
    pairs = [(timed(a).wall_s, timed(b).wall_s) for _ in range(rounds)]
    ratio = statistics.median(of_b / of_a for of_a, of_b in pairs)
    return Duel(statistics.median(p[0] for p in pairs), statistics.median(p[1] for p in pairs), ratio)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0 to 1) of them do not exceed: one of them, the nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, int(np.ceil(share * len(ordered))) - 1))]


class Target(NamedTuple):
    """What a figure shall reach: under the `floor` is missed; `more` tells whether more is better."""

    floor: float
    aim: float
    more: bool

    def verdict(self, value: float) -> str:
        """`aim`, `floor` (reached, but not the aim) or `MISSED`."""
        sign = 1 if self.more else -1
        if sign * value >= sign * self.aim:
            return "aim"
        return "floor" if sign * value >= sign * self.floor else "MISSED"


def at_least(floor: float, aim: float) -> Target:
    return Target(floor, aim, more=True)


def at_most(floor: float, aim: float) -> Target:
    return Target(floor, aim, more=False)


class Calibration(NamedTuple):
    """How long this machine takes now for a loop of Python and for a sort of numpy, in ms."""

    python_ms: float
    numpy_ms: float


def calibrate() -> Calibration:
    numbers = np.random.default_rng(0).random(SORTED_NUMBERS)
    return Calibration(_fastest_ms(_loop), _fastest_ms(lambda: np.sort(numbers)))


def _loop() -> int:
    seen: dict[int, int] = {}
    for step in range(LOOP_STEPS):
        seen[step & 1023] = seen.get(step & 255, 0) + step
    return len(seen)


def _fastest_ms(work: Callable[[], object]) -> float:
    times = []
    for _ in range(PASSES):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times) * 1_000


class Report:
    """The rows of a run and its calibrations. Use: `with Report("schedule", options()) as report:`, then
    `add` as often as needed; what `__exit__` prints is the table and the line of JSON."""

    def __init__(self, name: str, wanted: Options) -> None:
        self.name, self.options = name, wanted
        self.rows: list[dict[str, Any]] = []
        self.calibrations: list[Calibration] = []
        self._begin = time.perf_counter()

    def __enter__(self) -> Self:
        self.calibrations.append(calibrate())
        return self

    def __exit__(self, failure: object, *_: object) -> None:
        if failure is None:
            self.calibrations.append(calibrate())
            self._print()

    def add(
        self,
        what: str,
        value: float | None,
        unit: str,
        target: Target | None = None,
        wall_s: float | None = None,
        cpu_s: float | None = None,
        note: str = "",
    ) -> None:
        """One figure; `value` None: it could not be measured here, and `note` says why."""
        verdict = target.verdict(value) if target and value is not None else ""
        row = {"what": what, "value": value, "unit": unit, "wall_s": wall_s, "cpu_s": cpu_s}
        row |= {"floor": target.floor if target else None, "aim": target.aim if target else None}
        self.rows.append(row | {"verdict": verdict, "note": note})
        self.calibrations.append(calibrate())
        print(f"{self.name}: {what}: {_shown(value)} {unit} {verdict}", file=sys.stderr, flush=True)

    @property
    def drift(self) -> float:
        """The slowest calibration to the fastest one, of Python or of numpy, whichever moved more."""
        columns: Iterable[tuple[float, ...]] = zip(*self.calibrations, strict=True)
        return max(max(column) / min(column) for column in columns)

    @property
    def noisy(self) -> bool:
        return self.drift > DRIFT_MAX

    def line(self) -> dict[str, Any]:
        """What the line of JSON says."""
        return {
            "bench": self.name,
            "seed": self.options.seed,
            "quick": self.options.quick,
            "noisy": self.noisy,
            "drift": round(self.drift, 3),
            "calibration": self.calibrations[0]._asdict(),
            "machine": machine(),
            "versions": versions(),
            "took_s": round(time.perf_counter() - self._begin, 1),
            "rows": self.rows,
        }

    def _print(self) -> None:
        state = f"NOISY, calibration drifts by {self.drift:.2f}x" if self.noisy else f"{self.drift:.2f}x"
        table = Table(title=f"bench.{self.name}, seed {self.options.seed} (calibration: {state})")
        table.add_column("what", justify="left")
        columns = ("value", "unit", "floor", "aim", "verdict", "wall_s", "cpu_s", "note")
        for column in columns:
            table.add_column(column, justify="left" if column in ("unit", "note") else "right")
        for row in self.rows:
            table.add_row(row["what"], *(_shown(row[column]) for column in columns))
        Console(width=140).print(table)
        line = json.dumps(self.line())
        print(line)
        if self.options.json is not None:
            self.options.json.write_text(line + "\n")


def _shown(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {"cores": os.cpu_count(), "kernel": platform.release(), "load": round(os.getloadavg()[0], 2)}


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
