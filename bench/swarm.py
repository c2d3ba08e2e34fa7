"""Docker Swarm, driven through its own API: a manager on a host of its own, the other hosts are workers.

Run as a program (`python -m bench.swarm SOCKET SERVICE`) it is the caller of a service of Swarm: the
addresses come from the manager's list of tasks, the nearest to a registry that Swarm has for host ports.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bench.engines import EngineError, call
from bench.fleets import COMMAND, IMAGE, SERVICE, Web
from tests.real.caller import Caller, Calling, call_until_told
from tests.real.host import Host
from tests.real.machine import wait_until
from tests.real.testbed import Testbed

#: Between two looks of the caller at the list of tasks, in seconds.
LIST_EVERY_S = 0.1
#: Until all nodes are in the cluster.
JOINED_TIMEOUT_S = 30.0


class Swarm:
    """Docker Swarm with its default dispatcher heartbeat of 5 s, or another."""

    def __init__(self, bed: Testbed, hosts: Sequence[Host], manager: Host, heartbeat: str = "") -> None:
        self.name = f"Swarm {heartbeat or '5s'} beats"
        self.hosts = hosts
        self._manager = manager
        self._heartbeat = heartbeat
        self._seat = bed.switch

    def _ask(self, method: str, path: str, body: object = None, **query: str) -> Any:
        return call(self._manager.docker_socket, method, path, body, **query)

    def start(self) -> None:
        self._manager.docker("swarm", "init", "--advertise-addr", self._manager.address)
        if self._heartbeat:
            self._manager.docker("swarm", "update", "--dispatcher-heartbeat", self._heartbeat)
        self._manager.docker("node", "update", "--availability", "drain", self._manager.name)
        token = self._manager.docker("swarm", "join-token", "--quiet", "worker")
        for host in self.hosts:
            host.docker("swarm", "join", "--token", token, "--advertise-addr", host.address, self._address)
        wait_until("all nodes are ready", self._all_ready, JOINED_TIMEOUT_S, every_s=0.1)

    @property
    def _address(self) -> str:
        return f"{self._manager.address}:2377"

    def _nodes(self) -> dict[str, Any]:
        return {node["Description"]["Hostname"]: node for node in self._ask("GET", "/nodes")}

    def _all_ready(self) -> bool:
        states = [node["Status"]["State"] for node in self._nodes().values()]
        return states == ["ready"] * (len(self.hosts) + 1)

    def stop(self) -> None:
        for host in (*self.hosts, self._manager):
            if not host.engine_alive:
                host.reboot()
            host.heal()
            host.docker("swarm", "leave", "--force", check=False)
            if found := host.containers():
                host.docker("rm", "--force", *found)

    def deploy(self, web: Web) -> None:
        try:
            found = self._ask("GET", f"/services/{SERVICE}")
        except EngineError:
            self._ask("POST", "/services/create", service_body(web))
        else:
            self._update(service_body(web), found)

    def scale(self, replicas: int) -> None:
        found = self._ask("GET", f"/services/{SERVICE}")
        self._update(found["Spec"] | {"Mode": {"Replicated": {"Replicas": replicas}}}, found)

    def _update(self, body: dict[str, Any], found: dict[str, Any]) -> None:
        version = str(found["Version"]["Index"])
        self._ask("POST", f"/services/{SERVICE}/update", body, version=version)

    def remove(self) -> None:
        self._ask("DELETE", f"/services/{SERVICE}")

    def drain(self, host: Host) -> None:
        node = self._nodes()[host.name]
        body = node["Spec"] | {"Availability": "drain"}
        self._ask("POST", f"/nodes/{node['ID']}/update", body, version=str(node["Version"]["Index"]))

    def is_down(self, host: Host) -> bool:
        down: bool = self._nodes()[host.name]["Status"]["State"] == "down"
        return down

    def revive(self, host: Host) -> None:
        """The engine joins again by itself."""

    def calling(self) -> Calling:
        return Calling(self._seat, "bench.swarm", str(self._manager.docker_socket), SERVICE)


def service_body(web: Web) -> dict[str, Any]:
    """The service as the API wants it. Swarm waits 5 s before a restart by default, bayplan does not."""
    return {
        "Name": SERVICE,
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": IMAGE,
                "Args": list(COMMAND),
                "Labels": {"version": web.version},
                "Init": True,
            },
            "RestartPolicy": {"Condition": "any", "Delay": 0},
        },
        "Mode": {"Replicated": {"Replicas": web.replicas}},
        "UpdateConfig": {
            "Parallelism": web.parallelism,
            "Order": "start-first" if web.start_first else "stop-first",
        },
        "EndpointSpec": {"Ports": [{"Protocol": "tcp", "TargetPort": 80, "PublishMode": "host"}]},
    }


def addresses(sock: Path, service: str, nodes: dict[str, str]) -> list[str]:
    """Where the tasks listen that run and shall run."""
    wanted = json.dumps({"service": [service], "desired-state": ["running"]})
    return [
        f"{nodes[task['NodeID']]}:{port['PublishedPort']}"
        for task in call(sock, "GET", "/tasks", filters=wanted)
        if task["Status"]["State"] == "running"
        for port in task["Status"].get("PortStatus", {}).get("Ports", [])
    ]


def follow_tasks(sock: Path, service: str, caller: Caller, loop: asyncio.AbstractEventLoop) -> None:
    """Feeds the caller from the manager's list; ends with the process."""
    nodes = {node["ID"]: node["Status"]["Addr"] for node in call(sock, "GET", "/nodes")}
    while True:
        with contextlib.suppress(EngineError):
            loop.call_soon_threadsafe(caller.use, addresses(sock, service, nodes))
        time.sleep(LIST_EVERY_S)


if __name__ == "__main__":
    asyncio.run(call_until_told(partial(follow_tasks, Path(sys.argv[1]), sys.argv[2])))
