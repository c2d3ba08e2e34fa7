"""What a request comes to: the changes to a stack's services and files, before anything is tried or done.

A proposal is made anew once the nodes have answered, since the world may have moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, assert_never

import msgspec

from bayplan.errors import Problem, ProblemError, ProblemKind, refuse
from bayplan.limits import REPLICAS_MAX
from bayplan.model import ServiceMode, StackSpec
from bayplan.units import format_bytes
from bayplan.views import ServiceAction
from controller import names
from controller.core import history, network_requests, publishing
from controller.core.turn import Turn
from controller.decide import allowance, check, deploy, files
from controller.events import (
    DeployAsked,
    PlanAsked,
    RollbackAsked,
    ScaleAsked,
)
from controller.records import Service
from controller.state import State

#: Configs and secrets of the whole cluster.
FILES_MAX = 5_000
#: Contents of all of them together, old ones that can be had back included, in bytes; they are in memory.
CONTENTS_BYTES_MAX = 256 * 1024 * 1024

StackRequest = DeployAsked | PlanAsked | RollbackAsked | ScaleAsked


class Proposal(NamedTuple):
    """Changes to one stack. `order` are its services' short names as they were written; `problems` are
    why it is refused, apart from tasks that fit nowhere."""

    stack: str
    changes: tuple[deploy.Change, ...]
    files: tuple[files.Change, ...]
    cause: str
    order: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether it changes nothing."""
        actions = {each.action for each in self.changes} | {each.action for each in self.files}
        return actions <= {ServiceAction.SAME}


def check_sound(event: StackRequest) -> None:
    """Raises ProblemError with all that is wrong with a stack as it stands, whatever the cluster is."""
    found = check.check(event.stack) if isinstance(event, DeployAsked | PlanAsked) else ()
    if found:
        raise ProblemError(*found)


def propose(turn: Turn, event: StackRequest, images: Mapping[str, str]) -> Proposal:
    """The proposal of a sound request; `images` are digests by image name, where nodes have told them.

    Raises ProblemError when the request makes no sense; what is only not allowed or not there now is
    among the proposal's problems.
    """
    match event:
        case PlanAsked():
            return _of_stack(turn, event.stack, event.prune, images)
        case DeployAsked():
            history.check_index(turn.state, event.stack.name, event.check_index)
            return _of_stack(turn, event.stack, event.prune, images)
        case RollbackAsked():
            return _of_rollback(turn, event, images)
        case ScaleAsked():
            return _of_scale(turn, event)
        case _:
            assert_never(event)


def _of_rollback(turn: Turn, event: RollbackAsked, images: Mapping[str, str]) -> Proposal:
    """A revision again, whole: services that came later go, and contents of files come back."""
    state = turn.state
    history.check_index(state, event.stack, event.check_index)
    revision = history.find(state, event.stack, event.revision) if event.revision else None
    revision = revision or history.before(state, event.stack)
    made = _of_stack(turn, history.wished(state, revision), True, images, history.pinned(revision))
    return made._replace(cause=f"rollback to {revision.revision}")


def _of_scale(turn: Turn, event: ScaleAsked) -> Proposal:
    service = names.find_service(turn.state, event.service)
    before = turn.state.spec_of(service)
    if not 0 <= event.replicas <= REPLICAS_MAX:
        raise refuse(ProblemKind.INVALID, f"{event.replicas} replicas: 0 to {REPLICAS_MAX} are possible")
    if before.mode in (ServiceMode.GLOBAL, ServiceMode.GLOBAL_JOB):
        raise refuse(
            ProblemKind.INVALID,
            f"{service.name} has one task on each fit node: it has no number of replicas",
            hint="`deploy.mode: replicated` in its compose file gives it one",
        )
    action = ServiceAction.SAME if event.replicas == service.replicas else ServiceAction.SCALE
    spec = msgspec.structs.replace(before, replicas=event.replicas)
    return Proposal(
        service.stack,
        (deploy.Change(action, service.name, service, spec),),
        (),
        f"scale {spec.name} to {event.replicas}",
        problems=(
            *allowance.faults((spec,), turn.settings.allowed),
            *network_requests.faults(turn, service.stack, (spec,)),
        ),
    )


def _of_stack(
    turn: Turn,
    stack: StackSpec,
    prune: bool,
    images: Mapping[str, str],
    pinned: Mapping[str, str] | None = None,
) -> Proposal:
    """The proposal of a stack; `pinned` digests count for files that are not its own."""
    state = turn.state
    file_changes = files.compare(
        stack, state.files, _used_elsewhere(state, stack, prune), turn.settings.file_key
    )
    known = {key: file.digest for key, file in state.files.items()} | dict(pinned or {})
    digests = known | {files.key_of(each.kind, each.name): each.digest for each in file_changes}
    resolved = msgspec.structs.replace(
        stack,
        services=tuple(
            network_requests.resolve(state, files.resolve(spec, digests)) for spec in stack.services
        ),
    )
    present = {each.name: present_of(state, each) for each in state.stack(stack.name)}
    problems = (
        *allowance.faults(stack.services, turn.settings.allowed),
        *files.faults(stack, state.files, known),
        *taken_names(state, resolved),
        *network_requests.faults(turn, stack.name, stack.services),
        *publishing.clashes(state, resolved, prune),
        *_too_much(state, file_changes),
    )
    return Proposal(
        stack.name,
        deploy.compare(resolved, present, prune, images),
        file_changes,
        "deploy",
        tuple(spec.name for spec in stack.services),
        problems,
    )


def _used_elsewhere(state: State, stack: StackSpec, prune: bool) -> frozenset[str]:
    """Keys of the files that services mount which the change leaves alone; only a stack with files of its own
    has to know."""
    if all(file.stack != stack.name for file in state.files.values()):
        return frozenset()
    wished = {f"{stack.name}_{spec.name}" for spec in stack.services}
    staying = (
        service
        for service in state.services.values()
        if not service.removed and (service.stack != stack.name or (not prune and service.name not in wished))
    )
    return frozenset(
        files.key_of(mount.kind, mount.source)
        for service in staying
        for mount in state.spec_of(service).container.files
    )


def present_of(state: State, service: Service) -> deploy.Present:
    """A service as a deploy finds it."""
    return deploy.Present(service, state.spec_of(service), state.image_digests[service.id, service.version])


def taken_names(state: State, stack: StackSpec) -> Iterator[Problem]:
    """Stack `a` with service `b_c` and stack `a_b` with service `c` would have one name between them."""
    for spec in stack.services:
        name = f"{stack.name}_{spec.name}"
        owner = state.service_named(name)
        if owner is not None and owner.stack != stack.name:
            yield Problem(
                kind=ProblemKind.REFUSED,
                summary=f"the name {name} is taken by a service of stack {owner.stack}",
                hint="give the stack or the service another name",
                place=spec.places.get("service", ""),
            )


def _too_much(state: State, changes: Iterable[files.Change]) -> Iterator[Problem]:
    made = [each for each in changes if each.action is ServiceAction.CREATE]
    fresh = {each.digest: each.stack_file for each in changes if each.digest not in state.contents}
    new_bytes = sum(len(file.content) for file in fresh.values() if file)
    text = too_much(state, len(made), new_bytes)
    if text:
        yield Problem(kind=ProblemKind.REFUSED, summary=text, hint="remove configs and secrets not used")


def too_much(state: State, new_files: int, new_bytes: int) -> str:
    """Why the cluster cannot keep so many more files and bytes; empty when it can."""
    if len(state.files) + new_files > FILES_MAX:
        return f"the cluster has {len(state.files)} configs and secrets; at most {FILES_MAX}"
    if state.contents.size_bytes + new_bytes > CONTENTS_BYTES_MAX:
        most = format_bytes(CONTENTS_BYTES_MAX)
        return f"configs and secrets of the cluster would have more than {most} together"
    return ""
