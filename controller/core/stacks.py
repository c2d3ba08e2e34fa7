"""Carrying out what was decided on a stack: the one transaction of a deploy, and removal."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bayplan.model import ServiceSpec
from bayplan.views import Deployed, ServiceAction
from controller import names
from controller.core import files, history, networking
from controller.core.proposals import Proposal
from controller.core.turn import Turn
from controller.decide import deploy
from controller.events import RemoveAsked
from controller.records import Service, ServiceVersion


def commit(turn: Turn, proposal: Proposal, images: Mapping[str, str]) -> Deployed:
    """Make it so; `images` are the digests that nodes told. What changes nothing writes nothing."""
    if proposal.empty:
        revision = history.index(turn.state, proposal.stack)
    else:
        history.record_present(turn, proposal.stack)
        for file in proposal.files:
            files.carry_out(turn, proposal.stack, file)
        for change in proposal.changes:
            _carry_out(turn, proposal.stack, change, images)
        if not turn.state.stack(proposal.stack):
            files.drop_of_stack(turn, proposal.stack)
        revision = history.record(turn, proposal.stack, proposal.cause, proposal.order)
    return Deployed(changes=tuple(change.shown() for change in proposal.changes), revision=revision)


def _carry_out(turn: Turn, stack: str, change: deploy.Change, images: Mapping[str, str]) -> None:
    match change.action:
        case ServiceAction.CREATE if change.spec:
            new = Service(id=turn.new_id(), name=change.name, stack=stack, version=0, replicas=0)
            _put_service(turn, new, change, images.get(change.spec.container.image, ""))
        case ServiceAction.UPDATE if change.service and change.spec:
            _put_service(turn, change.service, change, images.get(change.spec.container.image, ""))
        case ServiceAction.SCALE if change.service:
            known = turn.state.image_digests[change.service.id, change.service.version]
            _put_service(turn, change.service, change, known)
        case ServiceAction.REMOVE if change.service:
            _remove(turn, change.service)
        case _:
            return
    turn.note("service", change.name, _told(change))


def _told(change: deploy.Change) -> str:
    if change.action is ServiceAction.SCALE and change.service and change.spec:
        return f"scaled from {change.service.replicas} to {change.spec.replicas}"
    return f"{change.action.value} (version {change.version})"


def _put_service(turn: Turn, service: Service, change: deploy.Change, image_digest: str) -> None:
    assert change.spec is not None
    put_version(turn, service, change.spec, change.version, image_digest)


def put_version(turn: Turn, service: Service, spec: ServiceSpec, version: int, image_digest: str) -> None:
    """Keep a service with its spec."""
    before = turn.state.specs.get((service.id, service.version))
    if spec.schedule != (before.schedule if before else None):
        service = msgspec.structs.replace(service, fired_ms=turn.now.wall_ms)  # what was due before, was not
    turn.put(ServiceVersion(service_id=service.id, version=version, spec=spec, image_digest=image_digest))
    service = msgspec.structs.replace(
        service, version=version, replicas=spec.replicas, updated_ms=turn.now.wall_ms
    )
    turn.put(service)
    networking.join(turn, service, spec)
    turn.services.add(service.id)


def remove_asked(turn: Turn, event: RemoveAsked) -> None:
    """Removes a stack's services, its own files and its history; their names are free at once."""
    services = turn.state.stack(event.stack)
    if not services:
        known = [service.stack for service in turn.state.services.values() if not service.removed]
        turn.reply(event.ticket, problem=names.missing("stack", event.stack, known).problem)
        return
    history.record_present(turn, event.stack)
    for service in services:
        _remove(turn, service)
    files.drop_of_stack(turn, event.stack)
    history.record(turn, event.stack, "removed")
    turn.note("stack", event.stack, "removed")
    turn.reply(event.ticket, tuple(service.name for service in services))


def retire(turn: Turn, service: Service, cause: str) -> None:
    """Take one service out of its stack, which goes with its last one."""
    history.record_present(turn, service.stack)
    _remove(turn, service)
    if not turn.state.stack(service.stack):
        files.drop_of_stack(turn, service.stack)
    history.record(turn, service.stack, cause)
    turn.note("service", service.name, f"removed: {cause}")


def _remove(turn: Turn, service: Service) -> None:
    turn.put(msgspec.structs.replace(service, removed=True, updated_ms=turn.now.wall_ms))
    turn.services.add(service.id)
