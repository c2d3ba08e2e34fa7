"""Names that each node answers by itself: what dies is gone from all, and no controller is needed for it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.real.asker import Asker
from tests.real.cluster import Cluster
from tests.real.host import Host
from tests.real.machine import wait_until
from tests.real.stacks import SHOP

NAME = "web.shop.bayplan"
#: Until all nodes know what has changed, on a machine that does much else. Promised is 1 s.
KNOWN_TIMEOUT_S = 10.0
#: What was killed is named no more; measured from the kill, so Docker's own time counts, too.
GONE_S_MAX = 2.0
CONTROLLER_AWAY_S = 8.0


@contextmanager
def asked_everywhere(fleet: Cluster) -> Iterator[list[Asker]]:
    """The shop is deployed, and found on each host."""
    fleet.deploy("shop", SHOP)
    known = fleet.lookup("shop", "web")
    assert len(known) == 4
    wait_until("DNS is there", lambda: all(_answers(host) for host in fleet.hosts), KNOWN_TIMEOUT_S)
    askers = [Asker(host, NAME) for host in fleet.hosts]
    for asker in askers:
        wait_until("each node knows all", lambda asker=asker: asker.found() == known, KNOWN_TIMEOUT_S)
    yield askers


def _answers(host: Host) -> bool:
    program = f"import tests.real.asker as a; print(len(a.ask({NAME!r}) or ()))"
    return host.run(sys.executable, "-c", program).strip() == "4"


def test_a_killed_container_is_gone_from_all_nodes_names(fleet: Cluster) -> None:
    with asked_everywhere(fleet) as askers:
        address = min(askers[0].found())
        host, container = _container_at(fleet, address)
        killed = time.monotonic()
        host.kill_container(container)
        for asker in askers:
            wait_until("it is gone", lambda asker=asker: address not in asker.found(), KNOWN_TIMEOUT_S)
        assert max(asker.gone_at(address, killed) for asker in askers) - killed < GONE_S_MAX
        fleet.wait_running("shop", 8)
        known = fleet.lookup("shop", "web")
        for asker in askers:
            wait_until("the new one is known", lambda asker=asker: asker.found() == known, KNOWN_TIMEOUT_S)
            assert asker.tally()[1] == 0, "all questions were answered"


def _container_at(fleet: Cluster, address: str) -> tuple[Host, str]:
    """Whose port this is."""
    ip, _, port = address.rpartition(":")
    host = next(host for host in fleet.hosts if host.address == ip)
    for container in host.containers():
        ports = host.inspect(container)["NetworkSettings"]["Ports"] or {}
        if any(bound["HostPort"] == port for bounds in ports.values() for bound in bounds or ()):
            return host, container
    raise AssertionError(f"nobody has {address}")


def test_without_the_controller_each_node_answers_all_questions(fleet: Cluster) -> None:
    with asked_everywhere(fleet) as askers:
        known = askers[0].found()
        fleet.controller.kill()
        time.sleep(CONTROLLER_AWAY_S)
        for asker in askers:
            asked, failed = asker.tally()
            assert asked > 100 and failed == 0
            assert asker.found() == known
        host = fleet.hosts[0]
        fleet.agents[host.name].kill()
        fleet.start_agent(host)
        wait_until("the restarted agent answers", lambda: _answers(host), KNOWN_TIMEOUT_S)
        answer = host.run("curl", "--silent", "http://127.0.0.1:7481/v1/lookup/shop/web")
        assert json.loads(answer)["age_ms"] > CONTROLLER_AWAY_S * 500
        fleet.start_controller()
        fleet.wait_running("shop", 8)
        wait_until("it is heard again", lambda: _age_ms(host) == 0, KNOWN_TIMEOUT_S)


def _age_ms(host: Host) -> int:
    answer = host.run("curl", "--silent", "http://127.0.0.1:7481/v1/lookup/shop/web")
    return int(json.loads(answer)["age_ms"])
