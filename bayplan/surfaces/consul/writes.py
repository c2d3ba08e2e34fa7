"""Consul's writing endpoints: they change what registered through this daemon, which tells the controller.

Tasks of stacks are nobody's to register or to drain here: their services' names belong to their stacks.
"""

from __future__ import annotations

import msgspec

from bayplan.directory import EXTERNAL, Source
from bayplan.directory.registrar import Registration
from bayplan.errors import ProblemError, ProblemKind, refuse
from bayplan.surfaces.asking import JSON, Answer, Asked, invalid
from bayplan.surfaces.consul import bodies, rows
from bayplan.surfaces.consul.bodies import CheckBody, EntityBody, LeavingBody, ServiceBody
from bayplan.surfaces.consul.held import CRITICAL_MS_MIN, CRITICAL_MS_USUAL, STATUSES, Check, Service
from bayplan.surfaces.consul.local import LocalServices
from bayplan.surfaces.selecting import meanings

#: What a check may be told by its own path, and what that means.
TOLD = {"pass": rows.PASSING, "warn": rows.WARNING, "fail": rows.CRITICAL}

_NOTHING, _TRUE = Answer(b""), Answer(b"true", 200, JSON)


class ConsulWrites:
    """Performs the 11 writing endpoints."""

    def __init__(self, source: Source, local: LocalServices) -> None:
        self._source = source
        self._local = local

    async def write(self, asked: Asked, body: bytes) -> Answer | None:
        """Do what a PUT asks for; None when it is no path of ours. Raises ProblemError."""
        match asked.path[1:]:
            case ("agent", "service", "register"):
                return await self._register(asked, bodies.decode(body, ServiceBody))
            case ("agent", "check", "register"):
                await self._add_check(bodies.decode(body, CheckBody))
            case ("agent", "service", verb, *own) if own:
                return await self._change_service(asked, verb, "/".join(own))
            case ("agent", "check", verb, *own) if own:
                return await self._change_check(asked, verb, "/".join(own), body)
            case ("catalog", "register"):
                return await self._register_entity(bodies.decode(body, EntityBody))
            case ("catalog", "deregister"):
                return await self._deregister_entity(bodies.decode(body, LeavingBody))
            case _:
                return None
        return _NOTHING

    # --- /agent ---

    async def _change_service(self, asked: Asked, verb: str, own: str) -> Answer | None:
        if verb == "deregister":
            await self._local.drop(self._service(own))
        elif verb == "maintenance":
            await self._maintain(asked, self._service(own))
        else:
            return None
        return _NOTHING

    async def _change_check(self, asked: Asked, verb: str, check_id: str, body: bytes) -> Answer | None:
        if verb in TOLD:
            await self._tell(check_id, TOLD[verb], asked.first("note"))
        elif verb == "update":
            said = bodies.decode(body, CheckBody)
            await self._tell(check_id, _status(said.status), said.output)
        elif verb == "deregister":
            await self._remove_check(self._with_check(check_id), check_id)
        else:
            return None
        return _NOTHING

    async def _register(self, asked: Asked, body: ServiceBody) -> Answer:
        if not body.name:
            raise invalid("Missing service name")
        service = self._made(body, body.name, self._local.node, body.address or self._local.address)
        if "replace-existing-checks" not in asked.query:
            service = _with_checks_of(service, self._local.get(service.id, self._local.node))
        await self._local.put(service)
        return _NOTHING

    def _made(self, body: ServiceBody, name: str, node: str, address: str) -> Service:
        """Raises ProblemError for what cannot be, and for the name of a stack's service."""
        bodies.check_service(body)
        own = bodies.identity(body.id or name, "ID")
        self._check_name(bodies.identity(name, "Name"))
        checks = self._checks(own, name, body.all_checks())
        registration = Registration(
            id=rows.entry_id(own, node),
            service=name,
            node=node,
            address=address,
            port=body.port,
            weight=body.weights.passing if body.weights else 1,
            tags=tuple(body.tags),
            meta=body.meta,
        )
        return Service(id=own, registration=registration, checks=checks)

    def _checks(self, own: str, name: str, found: list[CheckBody], named_by: str = "") -> tuple[Check, ...]:
        """Raises ProblemError (INVALID) for checks that are not run here."""
        if not self._local.asks and any(each.asks for each in found):
            raise invalid("checks are not run here", "register at the agent of its node, or use a TTL check")
        return _checks(own, name, found, named_by)

    def _check_name(self, name: str) -> None:
        for stack, service in meanings(name):
            if stack != EXTERNAL and self._source.directory.get(stack, service) is not None:
                raise refuse(
                    ProblemKind.REFUSED,
                    f"{name} is the name of stack {stack}'s service {service}",
                    hint="register under another name",
                )

    async def _maintain(self, asked: Asked, service: Service) -> None:
        if "enable" not in asked.query:
            raise invalid("Missing value for enable")
        why = asked.first("reason")[: bodies.OUTPUT_CHARS_MAX] if asked.flag("enable") else None
        await self._local.put(msgspec.structs.replace(service, maintenance=why))

    async def _add_check(self, body: CheckBody) -> None:
        if not body.name:
            raise invalid("Missing check name")
        if not body.serviceid:
            raise invalid("a node's own checks are bayplan's", "name a ServiceID")
        service = self._service(body.serviceid)
        (check,) = self._checks(service.id, service.registration.service, [body], named_by=body.name)
        await self._local.put(_with(service, check))

    async def _remove_check(self, service: Service, check_id: str) -> None:
        left = tuple([check for check in service.checks if check.id != check_id])
        await self._local.put(msgspec.structs.replace(service, checks=left))

    async def _tell(self, check_id: str, status: str, output: str) -> None:
        service = self._with_check(check_id)
        await self._local.told(service, check_id, status, output[: bodies.OUTPUT_CHARS_MAX])

    def _service(self, own: str) -> Service:
        """Raises ProblemError (NOT_FOUND)."""
        found = self._local.get(own, self._local.node)
        if found is None:
            raise _missing("service", own)
        return found

    def _with_check(self, check_id: str) -> Service:
        """Raises ProblemError (NOT_FOUND)."""
        found = self._local.with_check(check_id)
        if found is None:
            raise _missing("check", check_id)
        return found

    # --- /catalog ---

    async def _register_entity(self, body: EntityBody) -> Answer:
        """A service of a node that may run no agent; its checks are what they are told to be."""
        if not body.node or not body.address:
            raise invalid("Must provide node and address")
        node = bodies.identity(body.node, "Node")
        if body.service is not None:
            name = body.service.service or body.service.name
            if not name:
                raise invalid("Must provide service name with ID")
            made = self._made(body.service, name, node, body.service.address or body.address)
            service = _with_checks_of(made, self._local.get(made.id, node))
        else:
            own = next((check.serviceid for check in body.all_checks() if check.serviceid), "")
            known = self._local.get(own, node)
            if known is None:
                raise invalid("nodes and their own checks are bayplan's", "register a Service with it")
            service = known
        for check in self._checks(service.id, service.registration.service, body.all_checks()):
            service = _with(service, check)
        await self._local.put(service)
        return _TRUE

    async def _deregister_entity(self, body: LeavingBody) -> Answer:
        """A service of a node, one of its checks, or all of it: as far as they are known here."""
        if not body.node:
            raise invalid("Must provide node")
        for service in self._local.kept().services:
            if service.registration.node != body.node or (body.serviceid and service.id != body.serviceid):
                continue
            if not body.checkid:
                await self._local.drop(service)
            elif any(check.id == body.checkid for check in service.checks):
                await self._remove_check(service, body.checkid)
        return _TRUE


def _checks(own: str, name: str, found: list[CheckBody], named_by: str = "") -> tuple[Check, ...]:
    """Checks as they are kept. Those without an id are named after their service, as Consul's agent does."""
    made = []
    for number, body in enumerate(found, 1):
        if body.foreign:
            raise invalid(f"a check by {body.foreign} is not run here", "use HTTP, TCP, GRPC or TTL")
        usual = f"service:{own}" if len(found) == 1 else f"service:{own}:{number}"
        check_id = bodies.identity(body.checkid or body.id or named_by or usual, "CheckID")
        gone_ms = bodies.duration_ms(body.deregistercriticalserviceafter, "DeregisterCriticalServiceAfter")
        made.append(
            Check(
                id=check_id,
                name=body.name or f"Service '{name}' check",
                status=_status(body.status or rows.CRITICAL),
                output=body.output[: bodies.OUTPUT_CHARS_MAX],
                ttl_ms=bodies.duration_ms(body.ttl, "TTL"),
                asks=bodies.asking(body),
                deregister_ms=max(gone_ms, CRITICAL_MS_MIN) if gone_ms else CRITICAL_MS_USUAL,
            )
        )
    return tuple(made)


def _with(service: Service, check: Check) -> Service:
    """The service with a check, in the place of the one that had its id."""
    others = [each for each in service.checks if each.id != check.id]
    return msgspec.structs.replace(service, checks=(*others, check))


def _with_checks_of(service: Service, before: Service | None) -> Service:
    """The service with what its predecessor had: checks that it does not name go on, and those that it names
    keep their state; so does maintenance."""
    if before is None:
        return service
    known = {check.id: check for check in before.checks}
    named = [
        msgspec.structs.replace(check, status=known[check.id].status, output=known[check.id].output)
        if check.id in known
        else check
        for check in service.checks
    ]
    others = [check for check in before.checks if check.id not in {each.id for each in named}]
    return msgspec.structs.replace(service, checks=(*named, *others), maintenance=before.maintenance)


def _status(text: str) -> str:
    """Raises ProblemError (INVALID)."""
    if text not in STATUSES:
        raise invalid(f"Invalid check status: {text[:40]!r}", f"one of {', '.join(STATUSES)}")
    return text


def _missing(kind: str, own: str) -> ProblemError:
    return refuse(
        ProblemKind.NOT_FOUND,
        f'Unknown {kind} ID "{own[: bodies.ID_BYTES_MAX]}". '
        f"Ensure that the {kind} ID is passed, not the {kind} name.",
    )
