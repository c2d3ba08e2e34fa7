"""What a change of the directory costs a node's data plane: `python -m bench.dataplane`, as root.

Services of five instances on three nodes, in a network namespace of its own: deciding and nftables' work for
all of them at once, and for one that changed. Beside it the same rules by the program `nft`, in turns.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

from agent.decide import rules
from agent.decide.dataplane import Place, Segment, front_of
from agent.decide.rules import Rules
from agent.doors.dataplane import DataPlane
from agent.runtime.nft import Nft
from bayplan.directory import Entry, Facade, Listing, Port, Published
from bench.measuring import Options, Report, Target, at_most, duel, options, timed
from tests.engine.net_world import Namespace

SERVICES, SERVICES_QUICK, INSTANCES, NODES = 500, 100, 5, 3
#: Runs of each, of which the median counts.
ROUNDS, ROUNDS_QUICK = 9, 3

#: What all services may cost at once, by whether they have ports, and one change; in ms of CPU time.
ALL_MS = {False: at_most(400, 200), True: at_most(2_000, 1_000)}
ONE_MS = at_most(60, 30)

_PLACE = Place("n0", {"net": Segment("net", "bp-1")})


def service(number: int, instances: int = INSTANCES, *, published: bool = False) -> Listing:
    """A service with a virtual address, and if it is `published` a port of every node."""
    entries = [
        Entry(
            id=f"t{number}-{slot}",
            slot=slot,
            node_id=f"n{slot % NODES}",
            address=f"10.9.0.{slot % NODES + 1}",
            networks={"net": f"10.64.{number // 50}.{number % 50 * INSTANCES + slot}"},
            ports=(Port(target=80, published=30_000 + number * INSTANCES + slot),),
        )
        for slot in range(instances)
    ]
    ports = (Published(target=80, published=10_000 + number),) if published else ()
    facade = Facade(vips={"net": f"10.64.{100 + number // 250}.{number % 250}"}, published=ports)
    return Listing.of("bench", f"s{number}", 1, entries, facade=facade)


def measure(report: Report, wanted: Options, *, published: bool) -> None:
    """A new plane takes all in, then one service loses an instance and gets it back, again and again."""
    count = SERVICES_QUICK if wanted.quick else SERVICES
    rounds = ROUNDS_QUICK if wanted.quick else ROUNDS
    listings = {each.key: each for each in (service(n, published=published) for n in range(count))}
    what = "with a published port" if published else "with a virtual address"
    _add(report, f"{count} services {what}", [lambda: _taken_in(listings)] * rounds, ALL_MS[published])
    plane, key = _taken_in(listings), service(0).key
    changes = [service(0, INSTANCES - n % 2, published=published) for n in range(1, 4 * rounds + 1)]
    ways = [lambda each=each: _change(plane, {key: each}) for each in changes]
    _add(report, f"one of them {what}", ways, ONE_MS)


def _add(report: Report, what: str, ways: Sequence[Callable[[], object]], limit: Target) -> None:
    """The median of the CPU times, which hangs on the machine's load less than what a clock shows."""
    runs = sorted((timed(way) for way in ways), key=lambda each: each.cpu_s)
    middle = runs[len(runs) // 2]
    report.add(what, middle.cpu_s * 1_000, "ms", limit, wall_s=middle.wall_s, cpu_s=middle.cpu_s)


def _taken_in(listings: Mapping[str, Listing]) -> DataPlane:
    plane = DataPlane()
    _change(plane, listings)
    return plane


def _change(plane: DataPlane, listings: Mapping[str, Listing]) -> None:
    plane.change(listings, _PLACE, look=False)


def beside_the_program(report: Report) -> None:
    """The same change by the library and by the program."""
    nft = Nft()
    states = [rules.rules_of(front_of(service(0, n), _PLACE)) for n in (INSTANCES, INSTANCES - 1)]
    nft.run(rules.whole(states[0]))
    # There and back: both ways lead from the same rules to the same.
    text = rules.difference(states[0], states[1]) + rules.difference(states[1], states[0])
    found = duel(lambda: nft.run(text), lambda: _by_program(text), rounds=15)
    report.add("a change by libnftables", found.a_s * 1_000, "ms")
    report.add("the same by the program nft, to it", found.ratio, "x")
    nft.run(rules.whole(Rules()))
    nft.close()


def _by_program(text: str) -> None:
    subprocess.run(["nft", "-f", "-"], input=text, text=True, check=True)


def run(wanted: Options) -> None:
    with Report("dataplane", wanted) as report:
        measure(report, wanted, published=False)
        measure(report, wanted, published=True)
        beside_the_program(report)


def main() -> None:
    wanted = options("What a change of the directory costs a node's data plane.")
    try:
        with Namespace() as namespace:
            namespace.run(lambda: run(wanted))
    except PermissionError:
        sys.exit("error: this bench makes a network namespace\nhint: run it as root")


if __name__ == "__main__":
    main()
