"""Updates, bad updates and drains under constant requests, on three hosts: none of them fails."""

from __future__ import annotations

import pytest

from bayplan.model import Availability
from tests.real.cluster import Cluster
from tests.real.machine import wait_until

#: Nothing here is about liveness: a busy machine shall not look like a lost one.
HEARTBEAT = "5s"
REPLICAS = 4
DRAINED_TIMEOUT_S = 60.0


def web(version: str, order: str, check: str = "true") -> str:
    return f"""\
services:
  web:
    image: bayplan/demo:1
    command: [httpd, -f, -p, "80", -h, /]
    init: true
    environment: {{VERSION: "{version}"}}
    ports: ["80"]
    healthcheck: {{test: "{check}", interval: 500ms, retries: 2}}
    deploy:
      replicas: {REPLICAS}
      update_config: {{order: {order}, parallelism: 2, monitor: 1s}}
"""


def versions(fleet: Cluster) -> list[str]:
    """What the containers of the fleet say they are."""
    found = []
    for container, host in fleet.containers().items():
        environment = host.inspect(container)["Config"]["Env"]
        found += [line.partition("=")[2] for line in environment if line.startswith("VERSION=")]
    return sorted(found)


@pytest.mark.parametrize("order", ["start-first", "stop-first"])
def test_no_request_fails_while_a_service_is_updated(fleet: Cluster, order: str) -> None:
    fleet.deploy("shop", web("1", order))

    with fleet.calling("shop", "web") as calls:
        fleet.deploy("shop", web("2", order))

    assert versions(fleet) == ["2"] * REPLICAS
    assert calls.sent > 0
    assert not calls.failed, calls.reasons


def test_an_update_that_never_gets_healthy_is_taken_back_and_no_request_fails(fleet: Cluster) -> None:
    fleet.deploy("shop", web("1", "start-first"))
    before = fleet.lives()

    with fleet.calling("shop", "web") as calls:
        answer = fleet.try_deploy("shop", web("2", "start-first", "echo no database; exit 1"))

    assert answer.code == 1
    assert "no database" in answer.out + answer.err
    assert versions(fleet) == ["1"] * REPLICAS
    assert before == fleet.lives()
    assert calls.sent > 0
    assert not calls.failed, calls.reasons


def test_no_request_fails_while_a_node_is_drained_and_a_single_task_never_goes_to_zero(
    fleet: Cluster,
) -> None:
    fleet.deploy("shop", web("1", "start-first").replace(f"replicas: {REPLICAS}", "replicas: 1"))
    ((_, host),) = fleet.containers().items()

    with fleet.calling("shop", "web") as calls, fleet.client() as client:
        client.update_node(host.name, Availability.DRAIN)
        wait_until("it is empty", lambda: not host.containers(running=True), DRAINED_TIMEOUT_S, 0.1)

    assert versions(fleet) == ["1"]
    assert calls.sent > 0
    assert not calls.failed, calls.reasons
