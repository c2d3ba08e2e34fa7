"""A container of a fleet as a seat to act from: commands in it, this machine's programs in its network.

Knows the engine and the demo image only, nothing of how its network is made.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

from tests.real.caller import Calling
from tests.real.cluster import Cluster
from tests.real.host import Host
from tests.real.machine import Machine, Process
from tests.real.visits import FAILED

#: The demo image's own file that says who answered, and whom it saw.
WHO_PATH = "/cgi-bin/who"
#: Lines of a web service that says by WHO_PATH its container's name and the caller's address.
WEB = """\
image: bayplan/demo:1
    init: true
    command:
      - sh
      - -c
      - |
        mkdir -p /cgi-bin
        printf '#!/bin/sh\\necho\\na=$${REMOTE_ADDR##*:}\\necho "$$(hostname) $${a%%]}"\\n' >/cgi-bin/who
        chmod +x /cgi-bin/who
        exec httpd -f -p 80 -h /
    x-bayplan: {probe: {type: tcp, port: 80, interval: 200ms, rise: 1}}"""


class Box:
    """A running container. `run` and `spawn` start programs of this machine, with its network only."""

    def __init__(self, host: Host, container: str) -> None:
        self.name = f"{container[:12]} on {host.name}"
        self.host = host
        self.container = container

    @cached_property
    def _inside(self) -> tuple[str, ...]:
        pid = self.host.docker("inspect", "--format", "{{.State.Pid}}", self.container)
        return "nsenter", "-t", pid, "-n", "--"

    @cached_property
    def hostname(self) -> str:
        return self.host.docker("inspect", "--format", "{{.Config.Hostname}}", self.container)

    def run(self, *command: str, check: bool = True) -> str:
        return self.host.run(*self._inside, *command, check=check)

    def spawn(self, *command: str, env: dict[str, str] | None = None) -> Process:
        return self.host.spawn(*self._inside, *command, env=env)

    def exec(self, *command: str, check: bool = True) -> str:
        """A command in the container itself, with its files and its resolver."""
        return self.host.docker("exec", self.container, *command, check=check)

    @cached_property
    def resolver(self) -> str:
        """The first name server of its resolv.conf."""
        lines = self.exec("cat", "/etc/resolv.conf").splitlines()
        return next(line.split()[1] for line in lines if line.startswith("nameserver"))

    def resolve(self, *names: str) -> dict[str, set[str] | str]:
        """The IPv4 addresses of each name, or what was said instead (NXDOMAIN), as its resolver answers."""
        told = self.run(sys.executable, "-m", "tests.real.resolve", self.resolver, *names)
        return {n: set(found) if isinstance(found, list) else found for n, found in json.loads(told).items()}

    def addresses(self, name: str) -> set[str]:
        """Those of one name; none when it has none."""
        found = self.resolve(name)[name]
        return found if isinstance(found, set) else set()

    def own_addresses(self) -> dict[str, str]:
        """Its IPv4 address on each device but loopback."""
        listed = json.loads(self.run("ip", "-json", "-4", "address"))
        return {d["ifname"]: d["addr_info"][0]["local"] for d in listed if d["ifname"] != "lo"}

    def calling(self, *addresses: str) -> Calling:
        """Constant requests to `address:port`s from here."""
        return Calling(self, "tests.real.steady", *addresses)


def boxes(cluster: Cluster, stack: str, service: str) -> list[Box]:
    """The containers of a service that run, by host."""
    label = f"label=bayplan.service={stack}_{service}"
    return [
        Box(host, container)
        for host in cluster.hosts
        if host.on
        for container in host.docker("ps", "--quiet", "--no-trunc", "--filter", label).split()
    ]


def visits(seat: Box | Machine, address: str, port: int, count: int) -> Counter[str]:
    """Who answered new connections, one after the other; FAILED and why for those nobody answered."""
    told = seat.run(sys.executable, "-m", "tests.real.visits", address, str(port), str(count), WHO_PATH)
    return Counter({who: int(times) for who, times in json.loads(told).items()})


def failures(heard: Mapping[str, int]) -> dict[str, int]:
    return {who: times for who, times in heard.items() if who.startswith(FAILED)}


def reachable(seat: Box | Machine, address: str, port: int = 80) -> bool:
    """Whether anybody answers there within seconds, be it that he has no such page."""
    (heard,) = visits(seat, address, port, 1)
    return not heard.startswith(FAILED)


def reached(seat: Box | Machine, addresses: Iterable[str], port: int = 80) -> set[str]:
    """Those at which somebody answers; all are tried at once, for silence takes its time."""
    wanted = list(addresses)
    with ThreadPoolExecutor() as pool:
        answered = pool.map(lambda address: reachable(seat, address, port), wanted)
        return {address for address, yes in zip(wanted, answered, strict=True) if yes}


def chi_square(times: Iterable[int]) -> float:
    """How far counts are from even ones (Pearson's statistic)."""
    counts = list(times)
    even = sum(counts) / len(counts)
    return sum((each - even) ** 2 for each in counts) / even
