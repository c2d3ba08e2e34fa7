"""The ways from a container to another one on another host that bench.network compares.

bayplan's own (its overlay, by the address and by the virtual one), a plain route between veth pairs without
any overlay, and Docker Swarm's overlay on the same engines. All end at a load server.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Self

from tests.real.boxes import Box, boxes
from tests.real.cluster import Cluster
from tests.real.host import Host
from tests.real.machine import wait_until

IMAGE = "bayplan/demo:1"
PORT = 7000
#: Where the containers of the plain way are: 10.250.n.2 on host n.
PLAIN = "10.250"
#: Swarm's own VXLAN port, so that neither overlay sees the other's packets.
SWARM_PORT = "4788"
#: Until a server answers, an overlay leads to its other end.
READY_TIMEOUT_S = 30.0

LOAD = (sys.executable, "-m", "bench.network_load")

#: A server and a client on different hosts; the server's port is published, too.
STACK = f"""\
services:
  server:
    image: {IMAGE}
    command: [sleep, infinity]
    init: true
    ports: ["{{published}}:{PORT}"]
    deploy: {{{{placement: {{{{constraints: [node.hostname == h2]}}}}}}}}
  client:
    image: {IMAGE}
    command: [sleep, infinity]
    init: true
    deploy: {{{{placement: {{{{constraints: [node.hostname == h1]}}}}}}}}
"""


@dataclass(frozen=True)
class Way:
    """From a box to an address behind which a load server is."""

    name: str
    seat: Box
    address: str

    def measure(self, client: str, seconds: float) -> float:
        return float(self.seat.run(*LOAD, client, self.address, str(PORT), str(seconds)))


def serve(box: Box) -> Box:
    box.spawn(*LOAD, "serve", str(PORT))
    return box


def wait_for(way: Way) -> Way:
    def answers() -> bool:
        word = f"exec 3<>/dev/tcp/{way.address}/{PORT}"
        return way.seat.run("bash", "-c", f"timeout 1 bash -c '{word}' && echo yes", check=False) == "yes\n"

    wait_until(f"{way.name} leads to the other end", answers, READY_TIMEOUT_S, every_s=0.2)
    return way


def start(host: Host, name: str, network: str) -> Box:
    """A container by the engine alone."""
    return Box(host, host.docker("run", "-d", "--init", "--name", name, "--network", network, IMAGE,
                                 "sleep", "1000000"))  # fmt: skip


def ours(cluster: Cluster, stack: str, published: int) -> tuple[Way, Way]:
    """Over bayplan's overlay, by the server's own address and by its service's virtual one."""
    cluster.deploy(stack, STACK.format(published=published))
    (server,), (client,) = boxes(cluster, stack, "server"), boxes(cluster, stack, "client")
    serve(server)
    (direct,), (virtual,) = client.addresses("tasks.server"), client.addresses("server")
    return (
        wait_for(Way("bayplan's overlay", client, direct)),
        wait_for(Way("its virtual address", client, virtual)),
    )


def plain(near: Host, far: Host) -> Way:
    """A veth pair to each host and a route between the hosts: no overlay, no bridge, no translation."""
    seats = {host: start(host, "plain", "none") for host in (near, far)}
    for host, box in seats.items():
        other = far if host is near else near
        pid = host.docker("inspect", "--format", "{{.State.Pid}}", box.container)
        net, others = f"{PLAIN}.{host.number}", f"{PLAIN}.{other.number}"
        host.run(
            "sh", "-ec",
            f"ip link add plain0 type veth peer name eth9 netns {pid}; ip addr add {net}.1/24 dev plain0;"
            f"ip link set plain0 up; ip route add {others}.0/24 via {other.address};"
            f"iptables -I DOCKER-USER -s {PLAIN}.0.0/16 -d {PLAIN}.0.0/16 -j ACCEPT",
        )  # fmt: skip
        box.run(
            "sh", "-ec",
            f"ip addr add {net}.2/24 dev eth9; ip link set eth9 up; ip route add default via {net}.1",
        )  # fmt: skip
    serve(seats[far])
    return wait_for(Way("a plain route", seats[near], f"{PLAIN}.{far.number}.2"))


class SwarmWay(AbstractContextManager["SwarmWay"]):
    """An attachable overlay network of Docker Swarm; its containers are started by the engines alone, so
    that IPVS is not needed."""

    def __init__(self, near: Host, far: Host) -> None:
        self._near, self._far = near, far

    def __enter__(self) -> Self:
        near, far = self._near, self._far
        near.docker("swarm", "init", "--advertise-addr", near.address, "--data-path-port", SWARM_PORT)
        token = near.docker("swarm", "join-token", "--quiet", "worker")
        far.docker("swarm", "join", "--token", token, "--advertise-addr", far.address, f"{near.address}:2377")
        near.docker("network", "create", "--driver", "overlay", "--attachable", "swarm-way")
        return self

    def way(self) -> Way:
        near, far = start(self._near, "swarm", "swarm-way"), start(self._far, "swarm", "swarm-way")
        serve(far)
        text = '{{(index .NetworkSettings.Networks "swarm-way").IPAddress}}'
        address = self._far.docker("inspect", "--format", text, far.container)
        return wait_for(Way("Docker Swarm's overlay", near, address))

    def __exit__(self, *_: object) -> None:
        for host in (self._far, self._near):
            host.docker("rm", "--force", "swarm", check=False)
            host.docker("swarm", "leave", "--force", check=False)
