"""The two orchestrators behind one interface: the same service, on the same three hosts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bayplan.client import Client
from bayplan.model import (
    Availability,
    ContainerSpec,
    NodeStatus,
    PortSpec,
    ServiceSpec,
    StackSpec,
    UpdateOrder,
    UpdatePolicy,
)
from tests.real.caller import Calling
from tests.real.cluster import Cluster
from tests.real.host import Host
from tests.real.testbed import Testbed

IMAGE = "bayplan/demo:1"
#: A static web server, and nothing that takes its time to start or to end.
COMMAND = ("httpd", "-f", "-p", "80", "-h", "/")
STACK, SERVICE = "bench", "web"


@dataclass(frozen=True)
class Web:
    """The service that both run: a web server with a port of the engine's choice on its node."""

    replicas: int
    version: str = "1"
    parallelism: int = 1
    start_first: bool = False


class Fleet(Protocol):
    """An orchestrator at work. All calls return when the order is given, not when it is carried out."""

    name: str
    hosts: Sequence[Host]

    def start(self) -> None:
        """A new cluster of all hosts."""

    def stop(self) -> None:
        """Nothing of it is left, and all hosts are on again."""

    def deploy(self, web: Web) -> None:
        """Makes the service, or changes it."""

    def scale(self, replicas: int) -> None: ...

    def remove(self) -> None: ...

    def drain(self, host: Host) -> None: ...

    def is_down(self, host: Host) -> bool:
        """Whether it counts the node as down."""

    def revive(self, host: Host) -> None:
        """What has to be started on a host that was booted anew."""

    def calling(self) -> Calling:
        """Constant requests to the service's instances."""


class Bayplan:
    """bayplan: the controller on the switch, an agent on each host."""

    def __init__(self, bed: Testbed, hosts: Sequence[Host], heartbeat: str = "") -> None:
        self.name = f"bayplan {heartbeat or '2s'} beats"
        self.hosts = hosts
        self._cluster = Cluster(bed, hosts, heartbeat)
        self._client: Client | None = None

    @property
    def _controller(self) -> Client:
        assert self._client is not None
        return self._client

    def start(self) -> None:
        self._cluster.start()
        self._client = self._cluster.client()

    def stop(self) -> None:
        if self._client is not None:
            self._client.close()
        self._cluster.stop()

    def deploy(self, web: Web) -> None:
        self._controller.deploy(StackSpec(name=STACK, services=(service_spec(web),)), prune=False)

    def scale(self, replicas: int) -> None:
        self._controller.scale(f"{STACK}_{SERVICE}", replicas)

    def remove(self) -> None:
        self._controller.remove_stack(STACK)

    def drain(self, host: Host) -> None:
        self._controller.update_node(host.name, Availability.DRAIN)

    def is_down(self, host: Host) -> bool:
        return self._controller.node(host.name).status is NodeStatus.DOWN

    def revive(self, host: Host) -> None:
        self._cluster.start_agent(host)

    def calling(self) -> Calling:
        return self._cluster.calling(STACK, SERVICE)


def service_spec(web: Web) -> ServiceSpec:
    order = UpdateOrder.START_FIRST if web.start_first else UpdateOrder.STOP_FIRST
    return ServiceSpec(
        name=SERVICE,
        container=ContainerSpec(
            image=IMAGE,
            command=COMMAND,
            labels={"version": web.version},
            init=True,
            ports=(PortSpec(target=80),),
        ),
        replicas=web.replicas,
        update=UpdatePolicy(parallelism=web.parallelism, order=order),
    )
