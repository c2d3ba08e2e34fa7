"""What happens to a shop on a real cluster while clients look on, and what each of them missed of it."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.real.clients.sights import HERE, Instance, Sight
from tests.real.cluster import BIN, Cluster
from tests.real.machine import wait_until
from tests.real.testbed import REPO

#: Until a client sees a change: some ask only once a second, and all of them start meanwhile. In seconds.
SEEN_S_MAX = 30.0
GRPC_PORT = 50051
#: What a container needs to run a Python program of ours: the demo image has busybox alone.
PYTHON_FOLDERS = {
    folder
    for folder in map(Path, ("/usr", "/lib", "/lib64", sys.base_prefix, BIN.parent.parent, REPO))
    if folder.exists()
}
SHOP = """\
services:
  web:
    image: bayplan/demo:1
    command: [serve, web]
    init: true
    ports: ["80"]
    deploy: {{replicas: {replicas}, placement: {{max_replicas_per_node: 1}}}}
    x-bayplan: {{probe: {{type: tcp, interval: 100ms, rise: 1}}}}
  rpc:
    image: bayplan/demo:1
    command: [{python}, {program}, "{port}"]
    init: true
    ports: ["{port}"]
    volumes: [{folders}]
    deploy: {{replicas: {replicas}, placement: {{max_replicas_per_node: 1}}}}
    x-bayplan: {{probe: {{type: tcp, interval: 100ms, rise: 1}}}}
"""
SERVICES = ("web", "rpc")


def shop(replicas: int) -> str:
    """A web service, and one that speaks gRPC."""
    outermost = sorted(each for each in PYTHON_FOLDERS if not PYTHON_FOLDERS.intersection(each.parents))
    folders = ", ".join(f'"{folder}:{folder}:ro"' for folder in outermost)
    where = {"python": sys.executable, "program": HERE / "who.py", "port": GRPC_PORT, "folders": folders}
    return SHOP.format(replicas=replicas, **where)


class Story:
    """The shop in its stages. `complaints` has, by client, what it did not see in time, and what failed."""

    def __init__(self, fleet: Cluster, sights: dict[str, Sight]) -> None:
        self._fleet, self._sights = fleet, sights
        self.complaints: dict[str, list[str]] = {name: [] for name in sights}

    def tell(self) -> None:
        """Two instances of each service; a third; one drains while it runs; all are gone."""
        self._all_see("two instances", self._instances())
        self._fleet.deploy("shop", shop(replicas=3))
        self._all_see("a third appears", self._instances())
        self._all_see("one drains", self._drain_one_each())
        self._nothing_failed()
        self._fleet.remove("shop")
        self._all_see("all vanish", dict.fromkeys(SERVICES, frozenset()))

    def _instances(self) -> dict[str, frozenset[Instance]]:
        return {service: given(self._fleet, service) for service in SERVICES}

    def _drain_one_each(self) -> dict[str, frozenset[Instance]]:
        left = {}
        before = len(self._fleet.containers())
        for service, instances in self._instances().items():
            drained, *others = sorted(instances, key=lambda each: each.id)
            self._fleet.cli("registry", "override", "--drain", f"shop/{service}", drained.id)
            left[service] = frozenset(others)
        assert len(self._fleet.containers()) == before
        return left

    def _all_see(self, stage: str, truth: dict[str, frozenset[Instance]]) -> None:
        def look(name: str, sight: Sight) -> None:
            expected = {getattr(each, sight.by) for each in truth[sight.service]}
            try:
                wait_until(stage, lambda: sight.seen() == expected, SEEN_S_MAX, every_s=0.2)
            except AssertionError as error:
                self.complaints[name].append(f"{error}: saw {sight.seen()}, not {expected}\n{sight.said()}")

        with ThreadPoolExecutor(len(self._sights)) as pool:
            for looks in [pool.submit(look, name, sight) for name, sight in self._sights.items()]:
                looks.result()

    def _nothing_failed(self) -> None:
        for name, sight in self._sights.items():
            count, why = sight.failed()
            if count:
                self.complaints[name].append(f"{count} requests failed, the last one because of {why}")


def given(fleet: Cluster, service: str) -> frozenset[Instance]:
    """The instances of the shop's service that are given."""
    hosts = {host.name: host for host in fleet.hosts}
    with fleet.client() as client:
        found = client.lookup("shop", service, False)
    return frozenset(
        Instance(
            id=each.id,
            address=f"{each.address}:{each.port}",
            machine=hosts[each.node].inspect(f"bp-{each.id}")["Config"]["Hostname"],
        )
        for each in found
    )
