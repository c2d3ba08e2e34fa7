"""What happens to a host, and how long until its node is seen down and its tasks run elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.engines import Look, first_times
from bench.fleets import Fleet, Web
from tests.real.host import Host

#: Tasks of the service, a third of them on the host that fails.
REPLICAS = 9
#: Until all of this runs before anything is measured.
SETTLED_TIMEOUT_S = 60.0
#: Swarm at its defaults takes some 20 s; what takes three times as long counts as never.
FAULT_TIMEOUT_S = 60.0


class UnsettledError(Exception):
    """The service did not come up; there is nothing to measure."""


@dataclass(frozen=True)
class Fault:
    """A fault and how it ends. Where the host's containers lived on, the extra copies are waited for."""

    name: str
    strike: Callable[[Host], None]
    heal: Callable[[Host], None] | None = None

    def measure(self, fleet: Fleet) -> dict[str, float | None]:
        fleet.deploy(Web(REPLICAS))
        settle(fleet, REPLICAS)
        victim = fleet.hosts[1]
        began = time.monotonic()
        self.strike(victim)
        times = first_times(
            fleet.hosts,
            {
                f"{self.name}: node seen down": lambda _: fleet.is_down(victim),
                f"{self.name}: tasks run elsewhere": lambda seen: (
                    seen.running(without=victim.name) == REPLICAS
                ),
            },
            began,
            FAULT_TIMEOUT_S,
        )
        return times | self._heal(fleet, victim)

    def _heal(self, fleet: Fleet, victim: Host) -> dict[str, float | None]:
        if self.heal is None:
            return {}
        began = time.monotonic()
        self.heal(victim)
        row = f"{self.name}: extra copies gone after heal"
        return first_times(
            fleet.hosts, {row: lambda seen: seen.running() == REPLICAS}, began, FAULT_TIMEOUT_S
        )


def settle(fleet: Fleet, replicas: int, version: str = "") -> None:
    """Waits until so many run, and nothing else. Raises UnsettledError."""

    def settled(seen: Look) -> bool:
        return seen.running() == replicas == seen.running(version=version)

    if None in first_times(fleet.hosts, {"": settled}, time.monotonic(), SETTLED_TIMEOUT_S).values():
        raise UnsettledError(f"{fleet.name}: not {replicas} tasks within {SETTLED_TIMEOUT_S:g} s")


FAULTS = (
    Fault("power off", Host.power_off),
    Fault("cut both ways", Host.cut, Host.heal),
    Fault("cut towards the host", Host.cut_inbound, Host.heal),
    Fault("cut from the host", Host.cut_outbound, Host.heal),
    Fault("processes killed", Host.crash),
)
