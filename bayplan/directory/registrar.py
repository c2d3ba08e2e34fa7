"""Who is no task and wants to be found all the same: registered with a lease, kept by renewing it."""

from __future__ import annotations

from typing import Protocol

from bayplan.directory.entries import EXTERNAL, Port, Standing
from bayplan.model.base import Model

#: Leases, in milliseconds; what is asked for beyond is refused.
TTL_MS_MIN, TTL_MS_MAX, TTL_MS_USUAL = 1_000, 86_400_000, 30_000


class Registration(Model, frozen=True, kw_only=True):
    """An instance from outside. `id` is its own choice, unique in its service; registering it again
    replaces it. `stack` may be none that is deployed. It is gone when `ttl_ms` pass without a renewal."""

    id: str
    service: str
    stack: str = EXTERNAL
    node: str = ""
    address: str
    port: int = 0
    ports: tuple[Port, ...] = ()
    weight: int = 1
    tags: tuple[str, ...] = ()
    meta: dict[str, str] = {}
    ttl_ms: int = TTL_MS_USUAL
    standing: Standing = Standing.READY
    reason: str = ""
    output: str = ""


class Renewal(Model, frozen=True, kw_only=True):
    """A lease is to go on, with what the instance's own checks say now."""

    stack: str = EXTERNAL
    service: str
    id: str
    standing: Standing = Standing.READY
    reason: str = ""
    output: str = ""


class Registrar(Protocol):
    """The way to the controller, for those who register. All raise ProblemError: INVALID or REFUSED for
    what cannot be (a name that a stack owns, too many, an address that is none), NOT_FOUND for a lease that
    is over (register again), UNREACHABLE when the controller does not answer."""

    async def register(self, registration: Registration) -> None: ...

    async def renew(self, renewal: Renewal) -> None: ...

    async def deregister(self, stack: str, service: str, entry_id: str) -> None: ...
