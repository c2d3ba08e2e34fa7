"""Services one by one: made, changed, restarted and taken away without their stack's file.

Each goes the way of a deploy, whose only change it is: the same checks, the same trial and questions, and a
revision of the stack that tells of it. Others of the stack, and its files, stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

import msgspec

from bayplan.errors import ProblemError, ProblemKind, refuse
from bayplan.model import ServiceSpec, StackFile, StackSpec
from bayplan.views import ServiceAction
from controller import names
from controller.core import network_requests, publishing
from controller.core.proposals import Proposal, present_of, taken_names
from controller.core.turn import Turn
from controller.decide import allowance, check, deploy, files
from controller.events import (
    ServiceCreateAsked,
    ServiceRemoveAsked,
    ServiceRestartAsked,
    ServiceUpdateAsked,
)
from controller.records import Service
from controller.state import State

ServiceRequest = ServiceCreateAsked | ServiceUpdateAsked | ServiceRestartAsked | ServiceRemoveAsked


def propose(turn: Turn, event: ServiceRequest, images: Mapping[str, str], *, sound: bool = False) -> Proposal:
    """The proposal of a request; `images` are digests by image name, where nodes have told them. `sound`: by
    itself it was checked before; only whether it fits what is there may have changed.

    Raises ProblemError when it makes no sense; what is only not allowed is among the proposal's problems.
    """
    match event:
        case ServiceCreateAsked():
            return _of_creation(turn, event)
        case ServiceUpdateAsked():
            return _of_update(turn, event, images, sound=sound)
        case ServiceRestartAsked():
            return _of_restart(turn, event)
        case ServiceRemoveAsked():
            return _of_removal(turn, event)
        case _:
            assert_never(event)


def _of_creation(turn: Turn, event: ServiceCreateAsked) -> Proposal:
    name = f"{event.stack}_{event.spec.name}"
    found = turn.state.service_named(name)
    if found is not None and found.stack == event.stack:
        raise refuse(
            ProblemKind.REFUSED,
            f"there is a service {name} already",
            hint=f"change it with `bayplan service update {name}`, or give the new one another name",
        )
    spec = _checked(turn.state, event.stack, event.spec)
    return _proposal(turn, event.stack, deploy.compare_one(name, spec, None), f"creation of {spec.name}")


def _of_update(turn: Turn, event: ServiceUpdateAsked, images: Mapping[str, str], *, sound: bool) -> Proposal:
    service = names.find_service(turn.state, event.service)
    if event.check_version not in (0, service.version):
        raise refuse(
            ProblemKind.REFUSED,
            f"{service.name} is at version {service.version} now, not at {event.check_version}: "
            "somebody changed it meanwhile",
            hint=f"nothing was changed; look at `bayplan service inspect {service.name}`, then update again",
        )
    short = short_name(service)
    if event.spec.name != short:
        raise refuse(
            ProblemKind.INVALID,
            f"the new spec of {service.name} is of {check.quote(event.spec.name)}",
            hint=f"a service keeps its name, {short}: create another one, and remove this one",
        )
    present = present_of(turn.state, service)
    spec = _checked(turn.state, service.stack, event.spec, present.spec, sound=sound)
    change = deploy.compare_one(service.name, spec, present, images)
    return _proposal(turn, service.stack, change, f"update of {short}")


def _of_restart(turn: Turn, event: ServiceRestartAsked) -> Proposal:
    """A new version of the same spec: its generation makes the difference."""
    service = names.find_service(turn.state, event.service)
    present = present_of(turn.state, service)
    if present.spec.schedule is not None:
        raise refuse(
            ProblemKind.REFUSED,
            f"{service.name} is a job on a schedule, which begins anew at each of its runs",
            hint=f"`bayplan service ls` shows its next run; `bayplan run {present.spec.container.image}` "
            "runs a task by hand",
        )
    spec = msgspec.structs.replace(present.spec, generation=present.spec.generation + 1)
    change = deploy.Change(ServiceAction.UPDATE, service.name, service, spec)
    return _proposal(turn, service.stack, change, f"restart of {spec.name}")


def _of_removal(turn: Turn, event: ServiceRemoveAsked) -> Proposal:
    service = names.find_service(turn.state, event.service)
    needed_by = dependents(turn.state, service)
    if needed_by:
        depend = "depend" if needed_by[1:] else "depends"
        raise refuse(
            ProblemKind.REFUSED,
            f"{service.name} is needed: {', '.join(needed_by)} of its stack {depend} on it",
            hint=f"remove the dependency first, or the whole stack: `bayplan stack rm {service.stack}`",
        )
    change = deploy.Change(ServiceAction.REMOVE, service.name, service, None)
    return Proposal(service.stack, (change,), (), f"removal of {short_name(service)}")


def dependents(state: State, service: Service) -> list[str]:
    """The short names of the services that cannot do without this one."""
    return sorted(
        short_name(other)
        for other in (state.services[each] for each in state.dependents(service.name))
        if any(
            each.required and f"{other.stack}_{each.service}" == service.name
            for each in state.spec_of(other).depends_on
        )
    )


def short_name(service: Service) -> str:
    """Its name within its stack."""
    return service.name.removeprefix(f"{service.stack}_")


def _checked(
    state: State, stack: str, spec: ServiceSpec, before: ServiceSpec | None = None, *, sound: bool = False
) -> ServiceSpec:
    """The spec with the digests of its files: those that it mounts already, else today's. Raises
    ProblemError with all that is wrong, as for a deploy of the stack with it."""
    # In a large stack the others are by far the most work: a change of a service that neither depends on any
    # nor shares files with them has nothing to do with them.
    matter = before is None or spec.depends_on or spec.container.files
    others = tuple(state.spec_of(each) for each in state.stack(stack)) if matter else ()
    others = tuple(each for each in others if each.name != spec.name)
    brought = {
        files.key_of(mount.kind, mount.source): StackFile(kind=mount.kind, name=mount.source, external=True)
        for each in (*others, spec)
        for mount in each.container.files
    }
    wished = StackSpec(name=stack, services=(*others, spec), files=tuple(brought.values()))
    known = {key: file.digest for key, file in state.files.items()}
    for each in (*others, *([before] if before else [])):
        known |= {files.key_of(mount.kind, mount.source): mount.digest for mount in each.container.files}
    accepted = {each.name for each in others}
    found = (
        *(() if sound and not others else check.check(wished, accepted)),
        *files.faults(wished, state.files, known),
        *taken_names(state, wished),
        *publishing.clashes(state, StackSpec(name=stack, services=(spec,))),
    )
    if found:
        raise ProblemError(*found)
    return network_requests.resolve(state, files.resolve(spec, known))


def _proposal(turn: Turn, stack: str, change: deploy.Change, cause: str) -> Proposal:
    assert change.spec is not None
    problems = (
        *allowance.faults((change.spec,), turn.settings.allowed),
        *network_requests.faults(turn, stack, (change.spec,)),
    )
    return Proposal(stack, (change,), (), cause, problems=problems)
