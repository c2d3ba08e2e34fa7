"""Published ports on three hosts: on every node, on loopback only, on the task's node only."""

from __future__ import annotations

from scipy.stats import chi2

from bayplan.model import Availability
from tests.real.boxes import WEB, Box, boxes, chi_square, failures, reachable, visits
from tests.real.caller import Calling
from tests.real.cluster import Cluster
from tests.real.host import SWITCH_ADDRESS, Host
from tests.real.machine import wait_until
from tests.real.test_networks import CONNECTIONS, FLAKE_ONCE_IN

#: Nothing here is about liveness: a busy machine shall not look like a lost one.
HEARTBEAT = "5s"
DRAINED_TIMEOUT_S = 60.0
#: Until all nodes have a port that is wanted no more taken down.
CLOSED_TIMEOUT_S = 10.0


def web(ports: str, replicas: int = 2, version: str = "1") -> str:
    return f"""\
services:
  web:
    {WEB}
    environment: {{VERSION: "{version}"}}
    ports: [{ports}]
    deploy:
      replicas: {replicas}
      update_config: {{order: start-first, parallelism: 1, monitor: 1s}}
"""


def everywhere(fleet: Cluster, port: int) -> Calling:
    """Constant requests from the operator's seat, to each node in turn."""
    nodes = (f"{host.address}:{port}" for host in fleet.hosts)
    return Calling(fleet.bed.switch, "tests.real.steady", *nodes)


def names(heard: dict[str, int]) -> set[str]:
    return {who.split()[0] for who in heard}


def nodes_with(found: list[Box]) -> set[str]:
    return {box.host.name for box in found}


def test_a_published_port_answers_on_every_node_and_spreads_over_all_instances(fleet: Cluster) -> None:
    fleet.deploy("shop", web('"8000:80"'))
    instances = boxes(fleet, "shop", "web")
    known = {box.hostname for box in instances}
    (lonely,) = (host for host in fleet.hosts if host.name not in nodes_with(instances))

    heard = visits(fleet.bed.switch, lonely.address, 8000, CONNECTIONS)

    assert not failures(heard)
    assert names(heard) == known
    assert chi_square(heard.values()) < chi2.isf(1 / FLAKE_ONCE_IN, len(heard) - 1), heard
    for host in fleet.hosts:
        assert not failures(visits(fleet.bed.switch, host.address, 8000, 20)), host.name
        assert not failures(visits(host, "127.0.0.1", 8000, 20)), host.name
        assert not failures(visits(host, "::1", 8000, 20)), host.name
    fleet.remove("shop")
    for host in fleet.hosts:
        wait_until(
            "the port is closed",
            lambda host=host: not reachable(fleet.bed.switch, host.address, 8000),
            CLOSED_TIMEOUT_S,
        )


def test_an_instance_on_the_node_that_was_asked_sees_the_callers_own_address(fleet: Cluster) -> None:
    fleet.deploy("shop", web('"8000:80"', replicas=3))
    for box in boxes(fleet, "shop", "web"):
        heard = visits(fleet.bed.switch, box.host.address, 8000, 30)
        seen = {who.split()[1] for who in heard if who.split()[0] == box.hostname}
        assert seen == {SWITCH_ADDRESS}, heard


def test_a_port_on_loopback_is_had_on_loopback_of_the_tasks_nodes_only(fleet: Cluster) -> None:
    fleet.deploy("shop", web('"127.0.0.1:8001:80"', replicas=3))
    there = nodes_with(boxes(fleet, "shop", "web"))
    for host in fleet.hosts:
        assert reachable(host, "127.0.0.1", 8001) is (host.name in there), host.name
        assert not reachable(fleet.bed.switch, host.address, 8001), host.name
        assert not reachable(host, host.address, 8001), host.name


def test_a_port_in_host_mode_is_had_on_the_tasks_node_only(fleet: Cluster) -> None:
    fleet.deploy("shop", web("{target: 80, published: 8002, mode: host}"))
    there = nodes_with(boxes(fleet, "shop", "web"))
    assert len(there) == 2
    for host in fleet.hosts:
        assert reachable(fleet.bed.switch, host.address, 8002) is (host.name in there), host.name


def test_no_request_fails_through_any_node_while_a_service_is_updated(fleet: Cluster) -> None:
    fleet.deploy("shop", web('"8000:80"'))
    before = {box.hostname for box in boxes(fleet, "shop", "web")}
    with everywhere(fleet, 8000) as calls:
        fleet.deploy("shop", web('"8000:80"', version="2"))
    after = {box.hostname for box in boxes(fleet, "shop", "web")}
    assert len(after) == 2 and not after & before
    assert calls.sent > 0
    assert not calls.failed, calls.reasons


def test_no_request_fails_through_any_node_while_a_node_is_drained(fleet: Cluster) -> None:
    fleet.deploy("shop", web('"8000:80"', replicas=1))
    (box,) = boxes(fleet, "shop", "web")
    with everywhere(fleet, 8000) as calls:
        _drain(fleet, box.host)
    assert not calls.failed, calls.reasons


def _drain(fleet: Cluster, host: Host) -> None:
    with fleet.client() as client:
        client.update_node(host.name, Availability.DRAIN)
    wait_until("it is empty", lambda: not host.containers(running=True), DRAINED_TIMEOUT_S, 0.1)
