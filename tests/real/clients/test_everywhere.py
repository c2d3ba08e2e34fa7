"""All surfaces of all nodes, asked all the time: what dies is gone from each, and no controller is needed."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.real.clients.sights import HERE, Instance, running
from tests.real.clients.story import SEEN_S_MAX, given, shop
from tests.real.cluster import Cluster
from tests.real.host import Host
from tests.real.machine import Machine, Process, wait_until

pytestmark = pytest.mark.timeout(300)  # one test takes the controller away for a minute

#: What each node answers by.
NODE_SURFACES = {"http", "short", "consul", "prometheus", "eureka", "dns", "xds"}
CONTROLLER_SURFACES = NODE_SURFACES - {"dns", "xds"} | {"grpc"}
#: The promise: from the engine's event until no surface anywhere names the dead one.
GONE_S_MAX = 1.0
#: The promise: from a power cut until its node is seen down, and until all others know.
LOST_S_MAX = 7.0 + GONE_S_MAX
#: The controller is frozen for the first half of it, and dead for the second.
AWAY_S = 60.0
KNOWN_TIMEOUT_S = 20.0


class Onlooker:
    """Who asks all surfaces of a machine."""

    def __init__(self, machine: Machine, seat: str = "node") -> None:
        self.expected = NODE_SURFACES if seat == "node" else CONTROLLER_SURFACES
        self.tag = f"{machine.name} {time.monotonic()}"
        program = str(HERE / "everywhere.py")
        repo = {"PYTHONPATH": str(HERE.parents[2])}
        self._process: Process = machine.spawn(
            sys.executable, program, self.tag, seat, "shop", "web", env=repo
        )

    def lines(self) -> list[dict[str, Any]]:
        log = self._process.log.read_text().splitlines()
        return [json.loads(line) for line in log if line.startswith(f'{{"tag": "{self.tag}"')]

    def found(self) -> dict[str, list[set[str]]]:
        """Whom each surface named, one after the other."""
        found: dict[str, list[set[str]]] = {}
        for line in self.lines():
            if "found" in line:
                found.setdefault(line["surface"], []).append(set(line["found"]))
        return found

    def names(self, addresses: set[str]) -> bool:
        """Whether all surfaces name these now."""
        found = self.found()
        return found.keys() == self.expected and all(views[-1] == addresses for views in found.values())

    def without(self, address: str, after: float) -> dict[str, float]:
        """By surface: when it did not name an address for the first time, after a moment."""
        gone: dict[str, float] = {}
        for line in self.lines():
            if "found" in line and line["at"] > after and address not in line["found"]:
                gone.setdefault(line["surface"], line["at"])
        return gone

    def stop(self) -> None:
        self._process.stop()

    def counts(self) -> dict[str, dict[str, Any]]:
        """By surface what became of its questions, once it has ended."""
        (counts,) = [line["counts"] for line in self.lines() if "counts" in line]
        return dict(counts)


@contextmanager
def looked_at(fleet: Cluster, onlookers: list[Onlooker]) -> Iterator[set[str]]:
    """All surfaces name the shop's instances, and are asked on; whatever is asked is answered."""
    known = {each.address for each in given(fleet, "web")}
    try:
        for onlooker in onlookers:
            wait_until("all surfaces know", lambda each=onlooker: each.names(known), KNOWN_TIMEOUT_S)
        yield known
    finally:
        for onlooker in onlookers:
            onlooker.stop()
    for onlooker in onlookers:
        for surface, count in onlooker.counts().items():
            assert count["asked"] > 1 and count["failed"] == 0, (surface, count)


def died_at(host: Host, container: str, since: float) -> float:
    """The engine's time of a container's death."""
    about = "--filter", f"container={container}", "--filter", "event=die", "--format", "{{.TimeNano}}"
    said = host.docker("events", "--since", f"{since:.3f}", "--until", f"{time.time():.3f}", *about)
    return int(said.split()[0]) / 1e9


def wait_gone(onlookers: list[Onlooker], address: str, begun: float) -> None:
    for onlooker in onlookers:
        wait_until(
            "it is gone everywhere",
            lambda each=onlooker: each.without(address, begun).keys() == each.expected,
            KNOWN_TIMEOUT_S,
        )


def lateness(
    onlookers: list[Onlooker], address: str, begun: float, died: float
) -> dict[tuple[str, str], float]:
    """By onlooker and surface: so many seconds after its death it was not named any more."""
    return {
        (onlooker.tag, surface): round(at - died, 3)
        for onlooker in onlookers
        for surface, at in onlooker.without(address, begun).items()
    }


def wait_all_known(fleet: Cluster, onlookers: list[Onlooker]) -> None:
    """All of both services run, and are named everywhere."""
    fleet.wait_running("shop", 6)
    known = {each.address for each in given(fleet, "web")}
    for onlooker in onlookers:
        wait_until("the new one is known", lambda each=onlooker: each.names(known), KNOWN_TIMEOUT_S)


def host_of(fleet: Cluster, instance: Instance) -> Host:
    ip, _, _ = instance.address.rpartition(":")
    return next(host for host in fleet.hosts if host.address == ip)


def test_a_killed_container_is_gone_from_every_surface_within_a_second_of_the_engines_event(
    fleet: Cluster,
) -> None:
    fleet.deploy("shop", shop(replicas=3))
    nodes = [Onlooker(host) for host in fleet.hosts]
    onlookers = [*nodes, Onlooker(fleet.bed.switch, str(fleet.socket))]
    with looked_at(fleet, onlookers):
        victim = min(given(fleet, "web"), key=lambda each: each.id)
        host, begun = host_of(fleet, victim), time.time()
        host.kill_container(f"bp-{victim.id}")
        wait_gone(onlookers, victim.address, begun)
        died = died_at(host, f"bp-{victim.id}", begun - 1)
        late = lateness(onlookers, victim.address, begun, died)
        assert max(late.values()) < GONE_S_MAX, late
        wait_all_known(fleet, onlookers)


def test_the_instances_of_a_dead_host_are_gone_from_every_surface_of_all_others_in_time(
    fleet: Cluster,
) -> None:
    fleet.deploy("shop", shop(replicas=3))
    *others, lost = fleet.hosts
    onlookers = [*map(Onlooker, others), Onlooker(fleet.bed.switch, str(fleet.socket))]
    with looked_at(fleet, onlookers):
        (victim,) = [each for each in given(fleet, "web") if host_of(fleet, each) is lost]
        begun = time.time()
        lost.power_off()
        wait_gone(onlookers, victim.address, begun)
        late = lateness(onlookers, victim.address, begun, begun)
        assert max(late.values()) < LOST_S_MAX, late
        lost.reboot()
        fleet.start_agent(lost)
        wait_all_known(fleet, onlookers)


def test_without_the_controller_for_a_minute_no_question_fails_on_any_node(fleet: Cluster) -> None:
    fleet.deploy("shop", shop(replicas=3))
    nodes = [Onlooker(host) for host in fleet.hosts]
    with (
        looked_at(fleet, nodes) as known,
        running(fleet.hosts[0], ["haproxy", "envoy", "grpc-xds"]) as proxies,
    ):
        for name, proxy in proxies.items():
            wait_until(f"{name} is answered by all", lambda each=proxy: len(each.seen()) == 3, SEEN_S_MAX)
        fleet.controller.signal(signal.SIGSTOP)
        time.sleep(AWAY_S / 2)
        fleet.controller.signal(signal.SIGKILL)
        fleet.controller.resume()
        fleet.controller.wait()
        time.sleep(AWAY_S / 2)
        for name, proxy in proxies.items():
            failures, why = proxy.failed()
            assert not failures, (name, why)
        fleet.start_controller()
        fleet.wait_nodes(len(fleet.hosts))
        wait_until("it is heard", lambda: all(age_ms(host) == 0 for host in fleet.hosts), KNOWN_TIMEOUT_S)
        for node in nodes:
            assert node.found() == {surface: [known] for surface in NODE_SURFACES}, (
                "nobody was ever forgotten"
            )
    for node in nodes:
        ages = {surface: count["age_ms"] for surface, count in node.counts().items()}
        assert all(ages[surface] > 900 * (AWAY_S - 5) for surface in ("http", "short", "dns")), ages


def age_ms(host: Host) -> int:
    answer = host.run("curl", "--silent", "http://127.0.0.1:7481/v1/lookup/shop/web")
    return int(json.loads(answer)["age_ms"])
