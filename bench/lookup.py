"""What a lookup costs the server, beside what others take for the same: DNS beside dnsmasq, unbound and
Docker's own, HTTP and gRPC beside etcd; and how long the last of a thousand watchers waits for news.

One core for the servers, one for their clients. The figures are answers by CPU second of the server, so that
they hold on a machine that does other things as well. Parts can be chosen: `python -m bench.lookup dns`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.lookup_dns import dns
from bench.lookup_docker import docker
from bench.lookup_http import lookups
from bench.lookup_load import Bench, Cores, Load
from bench.lookup_watch import watch
from bench.measuring import Options, Report, options


class Sizes(NamedTuple):
    """Rounds in which each server has its turn, of so many seconds; changes that watchers hear of."""

    rounds: int = 5
    seconds: float = 5.0
    changes: int = 50


QUICK = Sizes(rounds=2, seconds=0.5, changes=10)

PARTS: dict[str, Callable[[Bench], None]] = {"dns": dns, "http": lookups, "watch": watch, "docker": docker}


def main(wanted: Options, chosen: list[str]) -> None:
    sizes, cores = QUICK if wanted.quick else Sizes(), Cores.of_machine()
    with tempfile.TemporaryDirectory(prefix="bayplan-lookup.") as name, Report("lookup", wanted) as report:
        folder = Path(name)
        load = Load(cores, folder, sizes.seconds)
        bench = Bench(report, cores, folder, load, sizes.rounds, sizes.changes, wanted.seed)
        for part in chosen or PARTS:
            PARTS[part](bench)


def flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="all of them by default")


if __name__ == "__main__":
    asked = options("What lookups cost, beside others.", flags)
    main(asked, asked.given.parts)
