"""What registered through this daemon over Consul's API: kept alive at the controller as Consul's agent does,
and judged by what its checks were last told.

The controller's leases are renewed from here; a lease that the controller has lost is taken anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator

import msgspec
import structlog

from bayplan.directory import Listing
from bayplan.directory.registrar import Registrar
from bayplan.errors import ProblemError, ProblemKind, refuse
from bayplan.pump import read_clock
from bayplan.surfaces.consul.held import Asking, Check, Kept, Service
from bayplan.surfaces.consul.rows import CRITICAL

#: Services that may register through one daemon, and checks of each.
SERVICES_MAX, CHECKS_MAX = 1_000, 16
#: How often leases and checks are looked at, in milliseconds.
TICK_MS = 500
#: After a renewal that did not get through the next is tried after this time, in milliseconds.
RETRY_MS = 1_000
#: The controller has answered within this time, in seconds, or is out of reach for now.
ANSWER_S_MAX = 5
#: Renewals, and checks that are asked, that are under way at the same time; further ones wait.
RENEWALS_MAX, ASKED_MAX = 32, 64

#: Asks for a check: its state, and why.
Ask = Callable[[Asking], Awaitable[tuple[str, str]]]

_log = structlog.get_logger()


def _monotonic_ms() -> int:
    return read_clock().mono_ms


class _Held:
    """A service with its moments, in monotonic milliseconds."""

    def __init__(self, service: Service, now_ms: int) -> None:
        self.service = service
        self.renew_ms = now_ms
        #: Whether the controller may know it; what is over is not renewed by who still waits for a turn.
        self.known, self.over = False, False
        self.turn = asyncio.Lock()
        #: When each check was last told something, and since when each is critical.
        self.told_ms = {check.id: now_ms for check in service.checks}
        self.critical_ms = {check.id: now_ms for check in service.checks if check.status == CRITICAL}
        #: When each check that is asked for is due, until it is under way.
        self.ask_ms = {check.id: now_ms for check in service.checks if check.asks}


class LocalServices:
    """The services by the node that they name and their id there. `save` makes them durable whenever a
    service or a check comes or goes."""

    def __init__(
        self,
        registrar: Registrar,
        *,
        node: str = "",
        address: str = "127.0.0.1",
        save: Callable[[Kept], Awaitable[None]] | None = None,
        now_ms: Callable[[], int] = _monotonic_ms,
        ask: Ask | None = None,
    ) -> None:
        self.node, self.address = node, address
        self._registrar = registrar
        self._save = save
        self._now_ms = now_ms
        self._held: dict[tuple[str, str], _Held] = {}
        self._any = asyncio.Event()
        self._ask = ask
        self._asked: set[asyncio.Task[None]] = set()

    @property
    def asks(self) -> bool:
        """Whether checks are asked for here."""
        return self._ask is not None

    def restore(self, kept: Kept) -> None:
        """Take back what was saved; each check has its whole time again."""
        for service in kept.services:
            self._held[service.key] = _Held(service, self._now_ms())
            self._any.set()

    def kept(self) -> Kept:
        """What to save."""
        return Kept(services=tuple([held.service for held in self._held.values()]))

    def listings(self) -> Iterator[Listing]:
        """Those of our own node, as the directory will have them."""
        for held in self._held.values():
            of = held.service.registration
            if of.node == self.node:
                yield Listing.of(of.stack, of.service, 1, [held.service.entry()])

    def get(self, own: str, node: str) -> Service | None:
        """The service of this id on a node."""
        held = self._held.get((node, own))
        return held.service if held else None

    def with_check(self, check_id: str) -> Service | None:
        """The service of our own node that has this check."""
        for held in self._held.values():
            if held.service.registration.node == self.node and _check(held.service, check_id):
                return held.service
        return None

    # --- what clients ask for ---

    async def put(self, service: Service) -> None:
        """A service is new, or something of it has. Raises ProblemError when the controller refuses it; one
        that cannot be reached is told later, as Consul's agent does."""
        if service.key not in self._held and len(self._held) >= SERVICES_MAX:
            raise refuse(ProblemKind.REFUSED, f"{SERVICES_MAX} services are registered here already")
        if len(service.checks) > CHECKS_MAX:
            raise refuse(ProblemKind.INVALID, f"a service has at most {CHECKS_MAX} checks")
        before = self._held.get(service.key)
        held = _Held(service, self._now_ms())
        await self._tell(held)
        if before is not None:
            before.over = True
            await self._leave_old_name(before.service, service)
        self._held[service.key] = held
        self._any.set()
        await self._saved()

    async def drop(self, service: Service) -> None:
        """A service is no more."""
        held = self._held.get(service.key)
        if held is None:
            return
        async with held.turn:
            held.over = True
            self._held.pop(service.key, None)
            await self._saved()
            of = service.registration
            await self._reach(self._registrar.deregister(of.stack, of.service, of.id))

    async def told(self, service: Service, check_id: str, status: str, output: str) -> None:
        """A check says how it is."""
        held = self._held[service.key]
        held.told_ms[check_id] = self._now_ms()
        if self._judge(held, [check_id], status, output):
            held.renew_ms = self._now_ms()
            await self._tell(held)

    # --- what time does ---

    async def run(self) -> None:
        """Keep leases alive, ask for checks and judge silent ones, until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._any.wait()
                self.ask_due(group)
                await self.look()
                await asyncio.sleep(TICK_MS / 1000)
                if not self._held:
                    self._any.clear()

    def ask_due(self, group: asyncio.TaskGroup) -> None:
        """Begin to ask for what is due now, as far as there is room; what is overdue longest comes first."""
        now_ms = self._now_ms()
        due = [
            (at_ms, held, check)
            for held in self._held.values()
            for check in held.service.checks
            if check.asks and (at_ms := held.ask_ms.get(check.id, now_ms + 1)) <= now_ms
        ]
        for _, held, check in sorted(due, key=lambda each: each[0])[: ASKED_MAX - len(self._asked)]:
            del held.ask_ms[check.id]
            task = group.create_task(self._asked_for(held, check))
            self._asked.add(task)
            task.add_done_callback(self._asked.discard)

    async def _asked_for(self, held: _Held, check: Check) -> None:
        assert self._ask is not None and check.asks is not None, "such a check is refused where nobody asks"
        begun_ms = self._now_ms()
        status, output = await self._ask(check.asks)
        held.ask_ms[check.id] = begun_ms + check.asks.interval_ms
        if self._held.get(held.service.key) is not held:
            return
        try:
            await self.told(held.service, check.id, status, output)
        except ProblemError as error:
            _log.warning("a registered service is refused", service=held.service.id, cause=str(error))

    async def look(self) -> None:
        """Do once what is due now."""
        turns = asyncio.Semaphore(RENEWALS_MAX)

        async def renew(held: _Held) -> None:
            async with turns:
                await self._kept_alive(held)

        await asyncio.gather(*[renew(held) for held in self._due()])

    def _due(self) -> list[_Held]:
        """Those of whom the controller is to hear now: their lease wants it, or a check has been silent."""
        now_ms = self._now_ms()
        due = []
        for held in self._held.values():
            silent = [
                check.id
                for check in held.service.checks
                if check.ttl_ms
                and now_ms - held.told_ms[check.id] > check.ttl_ms
                and check.status != CRITICAL
            ]
            news = bool(silent) and self._judge(held, silent, CRITICAL, "TTL expired")
            if news or held.renew_ms <= now_ms or self._given_up(held):
                due.append(held)
        return due

    def _given_up(self, held: _Held) -> bool:
        """Whether a check has been critical for so long that its service goes."""
        return any(
            check.deregister_ms < self._now_ms() - held.critical_ms[check.id]
            for check in held.service.checks
            if check.id in held.critical_ms
        )

    async def _kept_alive(self, held: _Held) -> None:
        try:
            if self._given_up(held):
                _log.info("a service was critical for too long and is deregistered", service=held.service.id)
                await self.drop(held.service)
            else:
                await self._tell(held)
        except ProblemError as error:
            _log.warning("a registered service is refused", service=held.service.id, cause=str(error))

    def _judge(self, held: _Held, check_ids: Iterable[str], status: str, output: str) -> bool:
        """Note what checks say; whether anybody else is to hear of it."""
        before = held.service.renewal()
        for check_id in check_ids:
            if status != CRITICAL:
                held.critical_ms.pop(check_id, None)
            else:
                held.critical_ms.setdefault(check_id, self._now_ms())
        checks = [
            msgspec.structs.replace(check, status=status, output=output) if check.id in check_ids else check
            for check in held.service.checks
        ]
        held.service = msgspec.structs.replace(held.service, checks=tuple(checks))
        return held.service.renewal() != before

    async def _saved(self) -> None:
        if self._save is not None:
            await self._save(self.kept())

    # --- the controller ---

    async def _tell(self, held: _Held) -> None:
        """Renew the lease, or take one. Raises ProblemError when it is refused."""
        async with held.turn:
            if held.over:
                return
            held.renew_ms = self._now_ms() + held.service.lease_ms // 3
            if held.known and await self._renewed(held):
                return
            held.known = await self._reach(self._registrar.register(held.service.full()))
            if not held.known:
                held.renew_ms = self._now_ms() + RETRY_MS

    async def _renewed(self, held: _Held) -> bool:
        """Whether the lease goes on, or may."""
        try:
            if not await self._reach(self._registrar.renew(held.service.renewal())):
                held.renew_ms = self._now_ms() + RETRY_MS
        except ProblemError as error:
            if error.problem.kind is not ProblemKind.NOT_FOUND:
                raise
            return False
        return True

    async def _reach(self, call: Awaitable[None]) -> bool:
        """Whether a call got through. Raises ProblemError for what the controller refuses."""
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                await call
        except TimeoutError:
            return False
        except ProblemError as error:
            if error.problem.kind in (ProblemKind.UNREACHABLE, ProblemKind.TIMEOUT):
                return False
            raise
        return True

    async def _leave_old_name(self, before: Service, after: Service) -> None:
        """An id that goes over to another name leaves the old one."""
        old, new = before.registration, after.registration
        if (old.stack, old.service) != (new.stack, new.service):
            await self._reach(self._registrar.deregister(old.stack, old.service, old.id))


def _check(service: Service, check_id: str) -> Check | None:
    return next((check for check in service.checks if check.id == check_id), None)
