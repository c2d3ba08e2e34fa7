"""The two sides of bench.lookup: servers on a core of their own, and dnsperf and h2load on another one.

Both kinds of server are asked by the same tool in the same way, as fast as they answer.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self

from bench.measuring import Report, Target, percentile
from bench.plane_world import cost

#: How long a server may take to answer for the first time.
START_S_MAX = 30.0
#: Questions on their way at once: of DNS in all, of HTTP one on each of so many connections, of gRPC.
DNS_OPEN, HTTP_CONNECTIONS, GRPC_CONNECTIONS, GRPC_STREAMS = 100, 32, 4, 16
#: DNS questions a second at which the latency is measured, which all servers can answer.
CALM_S = 2_000
#: A tool that does not end of itself is killed so long after its time.
OVERTIME_S = 30.0

PACKAGES = {
    "dnsperf": "dnsperf", "h2load": "nghttp2-client",
    "dnsmasq": "dnsmasq-base", "unbound": "unbound", "etcd": "etcd-server",
}  # fmt: skip


def missing(*programs: str) -> str:
    """The Debian packages of programs that are not here; empty when all are."""
    return " ".join(PACKAGES[each] for each in programs if shutil.which(each) is None)


class Cores(NamedTuple):
    """The core of the servers and that of their clients: two when there are two."""

    server: int
    client: int

    @classmethod
    def of_machine(cls) -> Cores:
        cores = sorted(os.sched_getaffinity(0))
        return cls(cores[0], cores[-1])

    @contextmanager
    def on_server(self) -> Iterator[None]:
        """What is started within has the servers' core, with all its threads."""
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {self.server})
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)

    @contextmanager
    def on_client(self) -> Iterator[None]:
        """What is started within has the clients' core."""
        with Cores(self.client, self.server).on_server():
            yield


class Server:
    """A server as a process."""

    def __init__(self, name: str, pid: int, process: subprocess.Popen[bytes] | None = None) -> None:
        self.name, self.pid, self._process = name, pid, process

    @classmethod
    def started(cls, name: str, command: Sequence[str], answers: Callable[[], bool], log: Path) -> Self:
        """Start it and wait until it answers. Raises RuntimeError with what it said."""
        with log.open("ab") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        end = time.monotonic() + START_S_MAX
        while not answers():
            if process.poll() is not None or time.monotonic() > end:
                process.kill()
                raise RuntimeError(f"{name} does not answer: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
        return cls(name, process.pid, process)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class Sample(NamedTuple):
    """What a server did in one run: answers, its CPU time for them, and how long they took (ms)."""

    answers: int
    cpu_s: float
    took_ms: Sequence[float]

    @property
    def a_cpu_s(self) -> float:
        return self.answers / self.cpu_s


class Samples(NamedTuple):
    """Those of several runs of one server."""

    runs: list[Sample]

    @property
    def a_cpu_s(self) -> float:
        """Answers a CPU second: the median."""
        return statistics.median(run.a_cpu_s for run in self.runs)

    @property
    def cpu_s(self) -> float:
        return sum(run.cpu_s for run in self.runs)

    def latency(self) -> str:
        took = [each for run in self.runs for each in run.took_ms]
        return f"p50 {percentile(took, 0.5):.3g} ms, p99 {percentile(took, 0.99):.3g} ms"

    def times(self, other: Samples) -> float:
        """How many times as many answers a CPU second as another's: the median of the rounds."""
        pairs = zip(self.runs, other.runs, strict=True)
        return statistics.median(mine.a_cpu_s / its.a_cpu_s for mine, its in pairs)


#: What asks each server once.
Loads = Mapping[str, Callable[[], Sample]]


def in_turns(loads: Loads, rounds: int) -> dict[str, Samples]:
    """Run all loads, round for round: neighbours in time share the machine's mood."""
    found = {name: Samples([]) for name in loads}
    for _ in range(rounds):
        for name, load in loads.items():
            found[name].runs.append(load())
    return found


class Load:
    """How a server is asked. Everything here runs on the clients' core."""

    def __init__(self, cores: Cores, folder: Path, seconds: float) -> None:
        self._cores, self._folder, self._seconds = cores, folder, seconds
        self._warmed: set[tuple[str, ...]] = set()

    def _run(self, *command: str) -> str:
        with self._cores.on_client():
            done = subprocess.run(
                command, capture_output=True, text=True, check=True, timeout=self._seconds + OVERTIME_S
            )
        return done.stdout

    def _warm(self, server: Server, *command: str) -> None:
        """Ask once before anything is measured, so that nothing is new."""
        key = (server.name, *command)
        if key not in self._warmed:
            self._warmed.add(key)
            self._run(*command)

    def dns(
        self,
        server: Server,
        port: int,
        questions: Path,
        host: str = "127.0.0.1",
        prefix: Sequence[str] = (),
    ) -> Sample:
        """As fast as it goes, and then calmly, for the latency. `prefix` is put before the command. Raises
        RuntimeError when there are no answers."""
        command = [*prefix, "dnsperf", "-s", host, "-p", str(port), "-d", str(questions), "-q", str(DNS_OPEN)]
        self._warm(server, *command, "-n", "1")
        before = cost(server.pid)
        said = self._run(*command, "-l", str(self._seconds))
        used = cost(server.pid).cpu_s - before.cpu_s
        calm = self._run(*command, "-l", str(self._seconds / 2), "-Q", str(CALM_S), "-v")
        took = re.findall(r"^> \w+ \S+ \w+ ([0-9.]+)$", calm, re.MULTILINE)
        return Sample(
            _number(said, r"Queries completed:\s+(\d+)"), used, [float(each) * 1e3 for each in took]
        )

    def http(self, server: Server, *arguments: str) -> Sample:
        """h2load for the whole time with these arguments; all answers are to be 200."""
        log = self._folder / "h2load.tsv"
        self._warm(server, "h2load", "-n", "2000", *arguments)
        before = cost(server.pid)
        said = self._run("h2load", "-D", f"{self._seconds * 1_000:.0f}ms", f"--log-file={log}", *arguments)
        used = cost(server.pid).cpu_s - before.cpu_s
        rows = [line.split("\t") for line in log.read_text().splitlines()]
        log.unlink()
        failed = sum(row[1] != "200" for row in rows)
        if failed or not rows:
            raise RuntimeError(f"{failed} of {len(rows)} answers of {server.name} failed: {said[-500:]}")
        return Sample(len(rows), used, [int(row[2]) / 1_000 for row in rows])


class Bench(NamedTuple):
    """What all parts of the bench have. `rounds`: so often each server has its turn."""

    report: Report
    cores: Cores
    folder: Path
    load: Load
    rounds: int
    changes: int
    seed: int

    def measure(self, what: str, loads: Loads, aims: dict[str, Target]) -> None:
        """A row for each server, of which the first is ours, and how it stands to those of others."""
        found = in_turns(loads, self.rounds)
        ours = next(iter(found))
        others = [name for name in found if not name.startswith("bayplan")]
        for name, samples in found.items():
            row = f"{what}: {name}"
            self.report.add(
                row, samples.a_cpu_s, "/CPU-s", aims.get(name), cpu_s=samples.cpu_s, note=samples.latency()
            )
        for name in others:
            times = found[ours].times(found[name])
            self.report.add(f"{what}: {ours} to {name}", times, "x", aims.get(f"to {name}"))


def _number(said: str, pattern: str) -> int:
    found = re.search(pattern, said)
    if found is None:
        raise RuntimeError(f"dnsperf says nothing of {pattern!r}: {said[-500:]}")
    return int(found[1])


def python(module: str, *arguments: object) -> list[str]:
    """The command of a module of ours."""
    return [sys.executable, "-m", module, *map(str, arguments)]
