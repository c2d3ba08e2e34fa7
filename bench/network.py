"""What bayplan's network costs: containers on two hosts talk over its overlay, over a plain route and over
Docker Swarm's overlay, by the virtual address and by their own; and how soon who is ready is found by name.

All ways stand side by side on the same two engines and are measured in turns, so that the ratios of a round
hang least on what else the machine does; a figure is the median of the rounds' ratios.
"""

from __future__ import annotations

import statistics
import threading
import time
from contextlib import ExitStack
from typing import NamedTuple

from bayplan.client import Client
from bench.measuring import Options, Report, Target, at_least, at_most, options
from bench.network_ways import LOAD, PORT, SwarmWay, Way, ours, plain
from tests.real.asker import Asker
from tests.real.boxes import boxes
from tests.real.cluster import Cluster
from tests.real.machine import TestbedError, wait_until
from tests.real.testbed import Testbed

STACK, PUBLISHED = "bench", 8000
#: Throughput beside Swarm's overlay; beside the plain route there is no aim: an overlay costs what it costs.
TO_SWARM = at_least(0.8, 0.9)
#: By the virtual address, beside the instance's own.
VIRTUAL = at_least(0.9, 0.95)
VIRTUAL_PING = at_most(1.1, 1.05)
REACHABLE_MS = at_most(500, 300)
#: Until an instance that is ready is found on another node.
FOUND_TIMEOUT_S = 20.0


class Sizes(NamedTuple):
    """Rounds of all ways, seconds of each measurement, instances that come to be found by name."""

    rounds: int = 9
    seconds: float = 3.0
    newcomers: int = 10


QUICK = Sizes(rounds=3, seconds=0.6, newcomers=3)
Figures = dict[str, list[float]]


def in_turns(ways: list[Way], client: str, sizes: Sizes) -> Figures:
    """Each way's figure in each round."""
    figures: Figures = {way.name: [] for way in ways}
    for number in range(sizes.rounds):
        for way in ways if number % 2 else reversed(ways):
            figures[way.name].append(way.measure(client, sizes.seconds))
    return figures


def ratio(figures: Figures, one: Way, other: Way) -> float:
    pairs = zip(figures[one.name], figures[other.name], strict=True)
    return statistics.median(mine / theirs for mine, theirs in pairs)


def compare(report: Report, sizes: Sizes, direct: Way, virtual: Way, route: Way, swarm: Way | None) -> None:
    ways = [direct, virtual, route, *([swarm] if swarm else [])]
    kinds: list[tuple[str, str, str, float, Target | None, Target]] = [
        ("stream", "throughput", "MB/s", 1e-6, TO_SWARM, VIRTUAL),
        ("ping", "round trip", "us", 1.0, None, VIRTUAL_PING),
        ("connect", "new connections", "/s", 1.0, None, VIRTUAL),
    ]
    for client, what, unit, scale, to_swarm, to_direct in kinds:
        figures = in_turns(ways, client, sizes)
        for way in ways:
            report.add(f"{what}: {way.name}", statistics.median(figures[way.name]) * scale, unit)
        report.add(f"{what}: virtual address to direct", ratio(figures, virtual, direct), "x", to_direct)
        report.add(f"{what}: overlay to a plain route", ratio(figures, direct, route), "x")
        if swarm:
            report.add(f"{what}: overlay to Swarm's", ratio(figures, direct, swarm), "x", to_swarm)


def ingress(report: Report, sizes: Sizes, cluster: Cluster) -> None:
    """New connections from outside: at a node without an instance, at the one that has it, and straight to
    the port that its engine chose for the instance."""
    (server,) = boxes(cluster, STACK, "server")
    others = next(host for host in cluster.hosts if host is not server.host)
    engines = server.host.docker("port", server.container, f"{PORT}/tcp").splitlines()[0].rsplit(":", 1)[1]
    doors = {
        "the engine's own port": (server.host.address, int(engines)),
        "ingress, an instance is here": (server.host.address, PUBLISHED),
        "ingress, on another node": (others.address, PUBLISHED),
    }
    figures: Figures = {name: [] for name in doors}
    for _ in range(sizes.rounds):
        for name, (address, port) in doors.items():
            command = (*LOAD, "connect", address, str(port), str(sizes.seconds))
            figures[name].append(float(cluster.bed.switch.run(*command)))
    straight, *rest = doors
    for name, found in figures.items():
        report.add(f"connections from outside: {name}", statistics.median(found), "/s")
    for name in rest:
        pairs = zip(figures[name], figures[straight], strict=True)
        report.add(f"connections: {name}, to the engine's", statistics.median(a / b for a, b in pairs), "x")


def reachable(report: Report, sizes: Sizes, cluster: Cluster) -> None:
    """From a new instance's being ready, as the controller's watch tells it, until another node names it."""
    (client,) = boxes(cluster, STACK, "client")
    asker = Asker(client, "tasks.server", client.resolver)
    took: list[float] = []
    told: list[tuple[int, float]] = []
    threading.Thread(target=follow, args=(cluster.client(), told), daemon=True).start()
    for number in range(2, sizes.newcomers + 2):
        cluster.cli("service", "scale", "--detach", f"{STACK}_server={number}")
        wait_until("it is ready", lambda: told and told[-1][0] == number, FOUND_TIMEOUT_S)  # noqa: B023
        wait_until("it is named", lambda: len(asker.found()) == number, FOUND_TIMEOUT_S)  # noqa: B023
        ready = next(at for count, at in told if count == number)
        named = next(line["at"] for line in asker.lines() if len(line["found"]) == number)
        took.append(max(0.0, named - ready) * 1_000)
    asker.tally()
    report.add("ready to named on another node, median", statistics.median(took), "ms", REACHABLE_MS)
    report.add("ready to named on another node, longest", max(took), "ms")


def follow(client: Client, told: list[tuple[int, float]]) -> None:
    """Notes how many instances the controller's watch tells, and when (monotonic); ends with the process."""
    watch = client.watch_instances(STACK, "server")
    told.extend((len(now.instances), time.monotonic()) for now in watch)


def main(wanted: Options) -> None:
    sizes = QUICK if wanted.quick else Sizes()
    with ExitStack() as stack:
        report = stack.enter_context(Report("network", wanted))
        bed = stack.enter_context(Testbed(hosts=2, live_restore=False))  # Swarm refuses engines with it
        near, far = bed.hosts
        swarm = None
        try:
            swarm = stack.enter_context(SwarmWay(near, far)).way()
        except TestbedError as error:
            report.add("throughput: Docker Swarm's overlay", None, "MB/s", note=str(error)[:200])
        cluster = Cluster(bed)
        stack.callback(cluster.stop)
        cluster.start()
        direct, virtual = ours(cluster, STACK, PUBLISHED)
        compare(report, sizes, direct, virtual, plain(near, far), swarm)
        ingress(report, sizes, cluster)
        reachable(report, sizes, cluster)


if __name__ == "__main__":
    main(options("What bayplan's network costs, beside a plain route and Docker Swarm's."))
