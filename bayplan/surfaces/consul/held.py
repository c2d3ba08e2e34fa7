"""A service that registered over Consul's API, with its checks, and what it counts as. Pure."""

from __future__ import annotations

from bayplan.directory import Entry, Standing
from bayplan.directory.registrar import TTL_MS_MIN, Registration, Renewal
from bayplan.model import ProbeKind
from bayplan.model.base import Model
from bayplan.surfaces.consul.rows import CRITICAL, PASSING, WARNING

#: The usual lease at the controller and the shortest that is asked for, in milliseconds. It is renewed when a
#: third of it has passed.
LEASE_MS, LEASE_MS_MIN = 30_000, max(3_000, TTL_MS_MIN)
#: What has been critical for so long is deregistered, if it says nothing else, in milliseconds. Consul keeps
#: it for ever.
CRITICAL_MS_USUAL = 3_600_000
#: The least that may be said instead (https://developer.hashicorp.com/consul/api-docs/agent/check).
CRITICAL_MS_MIN = 60_000

STATUSES = (PASSING, WARNING, CRITICAL)


class Asking(Model, frozen=True, kw_only=True):
    """How the daemon finds out how a service is: `target` is a URL (with `method`, `headers`, `body`, and
    `verify`: its certificate must be good), `host:port` of TCP, or `host:port/service` of gRPC."""

    kind: ProbeKind
    target: str
    interval_ms: int
    timeout_ms: int
    method: str = "GET"
    headers: dict[str, str] = {}
    body: str = ""
    verify: bool = True


class Check(Model, frozen=True, kw_only=True):
    """A check whose state its service tells, or for which it is asked (`asks`); with `ttl_ms` it turns
    critical when it is silent that long."""

    id: str
    name: str = ""
    status: str = CRITICAL
    output: str = ""
    ttl_ms: int = 0
    deregister_ms: int = CRITICAL_MS_USUAL
    asks: Asking | None = None


class Service(Model, frozen=True, kw_only=True):
    """A registration by the id that it has on its node, with its checks; `maintenance` is why nobody new is
    sent to it, and None while it is not in maintenance."""

    id: str
    registration: Registration
    checks: tuple[Check, ...] = ()
    maintenance: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.registration.node, self.id

    @property
    def lease_ms(self) -> int:
        """As long as it may be silent, so that it goes as soon if the daemon that took it dies."""
        silent = [check.ttl_ms for check in self.checks if check.ttl_ms]
        return max(min([LEASE_MS, *silent]), LEASE_MS_MIN)

    def renewal(self) -> Renewal:
        """What its checks say now."""
        standing, reason, output = self._judged()
        of = self.registration
        return Renewal(
            stack=of.stack, service=of.service, id=of.id, standing=standing, reason=reason, output=output
        )

    def full(self) -> Registration:
        """All that is known of it."""
        said, of = self.renewal(), self.registration
        return Registration(
            id=of.id, service=of.service, stack=of.stack, node=of.node, address=of.address, port=of.port,
            weight=of.weight, tags=of.tags, meta=of.meta, ttl_ms=self.lease_ms,
            standing=said.standing, reason=said.reason, output=said.output,
        )  # fmt: skip

    def entry(self) -> Entry:
        """As the directory will have it."""
        of = self.full()
        return Entry(
            id=of.id, standing=of.standing, node=of.node, address=of.address, port=of.port,
            weight=of.weight, tags=of.tags, meta=of.meta, reason=of.reason, output=of.output,
        )  # fmt: skip

    def _judged(self) -> tuple[Standing, str, str]:
        """The worst of its checks; maintenance wins over them."""
        worst = max(self.checks, key=lambda check: STATUSES.index(check.status), default=None)
        output = worst.output if worst else ""
        if self.maintenance is not None:
            return Standing.DRAINING, self.maintenance or "in maintenance", output
        if worst is None or worst.status == PASSING:
            return Standing.READY, "", output
        reason = f"check {worst.id} is {worst.status}"
        return Standing.READY if worst.status == WARNING else Standing.UNHEALTHY, reason, output


class Kept(Model, frozen=True, kw_only=True):
    """All that registered through a daemon, for it to save and to load."""

    services: tuple[Service, ...] = ()
