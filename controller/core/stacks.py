"""What users ask for: deploys, scaling, removal.

A request is tried on paper, asked of the nodes, then committed whole or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from bayplan.errors import Problem, ProblemError, ProblemKind, refuse
from bayplan.limits import REPLICAS_MAX
from bayplan.model import PreflightFault, ServiceSpec
from bayplan.views import ServiceAction, ServiceChange
from controller import names
from controller.core import placing
from controller.core.turn import Turn
from controller.decide import deploy, preflight, schedule
from controller.events import CallerLeft, DeployAsked, RemoveAsked, ScaleAsked, Scaled
from controller.records import Service, ServiceVersion, Task

#: Deploys that wait for nodes at the same time.
DEPLOYS_OPEN_MAX = 100


Request = DeployAsked | ScaleAsked


@dataclass
class Open:
    """A request that waits for the answers of nodes. `awaited` is by node id the session that was asked."""

    event: Request
    awaited: dict[str, str]
    specs: list[ServiceSpec]
    deadline_ms: int


@dataclass
class Deploys:
    """Requests that are not yet committed; they live in memory, since nothing was acknowledged."""

    open: dict[str, Open] = field(default_factory=dict)

    def asked(self, turn: Turn, event: Request) -> None:
        """Tries a request, and asks the nodes that would take its tasks whether they can."""
        try:
            changes = _proposed(turn, event)
            trial = _try(turn, changes)
        except ProblemError as error:
            turn.reply(event.ticket, problem=error.problem)
            return
        if isinstance(event, DeployAsked) and event.dry_run:
            turn.reply(event.ticket, tuple(change.shown() for change in changes))
        elif not trial:
            _commit(turn, event, changes)
        elif len(self.open) >= DEPLOYS_OPEN_MAX:
            summary = f"{DEPLOYS_OPEN_MAX} requests are waiting for nodes; try again later"
            turn.reply(event.ticket, problem=Problem(kind=ProblemKind.REFUSED, summary=summary))
        else:
            self._ask_nodes(turn, event, trial)

    def _ask_nodes(self, turn: Turn, event: Request, trial: list[tuple[str, ServiceSpec]]) -> None:
        asked = preflight.questions(event.ticket, trial, placing.ports_by_node(turn.state))
        for node_id, question in sorted(asked.items()):
            turn.send(node_id, question)
        deadline_ms = turn.now.mono_ms + turn.settings.preflight_ms
        awaited = {node_id: turn.state.lives[node_id].session_id for node_id in asked}
        self.open[event.ticket] = Open(event, awaited, [spec for _, spec in trial], deadline_ms)

    def answered(self, turn: Turn, node_id: str, ticket: str, faults: tuple[PreflightFault, ...]) -> None:
        """A node's answer: a fault ends the request, the last "yes" commits it."""
        waiting = self.open.get(ticket)
        if waiting is None or node_id not in waiting.awaited:
            return
        if faults:
            problem = preflight.problem(turn.state.nodes[node_id].name, faults, waiting.specs)
            self._refuse(turn, ticket, problem)
            return
        del waiting.awaited[node_id]
        if waiting.awaited:
            return
        del self.open[ticket]
        try:
            changes = _proposed(turn, waiting.event)  # the world may have moved since the question
            _try(turn, changes)
        except ProblemError as error:
            turn.reply(ticket, problem=error.problem)
            return
        _commit(turn, waiting.event, changes)

    def give_up(self, turn: Turn) -> None:
        """Refuses deploys that ask in a session that is over, however it ended: no answer will come."""
        for ticket, waiting in list(self.open.items()):
            lives = turn.state.lives
            gone = sorted(node for node, asked in waiting.awaited.items() if lives[node].session_id != asked)
            if gone:
                self._refuse(turn, ticket, _no_answer(turn, gone))

    def caller_left(self, turn: Turn, event: CallerLeft) -> None:
        """Nobody waits any more: an uncommitted deploy is forgotten."""
        self.open.pop(event.ticket, None)

    def wake(self, turn: Turn) -> int | None:
        """Ends deploys whose nodes do not answer. Returns when to ask again (monotonic ms)."""
        for ticket, waiting in list(self.open.items()):
            if turn.now.mono_ms >= waiting.deadline_ms:
                self._refuse(turn, ticket, _no_answer(turn, sorted(waiting.awaited)))
        return min((waiting.deadline_ms for waiting in self.open.values()), default=None)

    def _refuse(self, turn: Turn, ticket: str, problem: Problem) -> None:
        del self.open[ticket]
        turn.reply(ticket, problem=problem)


def remove_asked(turn: Turn, event: RemoveAsked) -> None:
    """Removes a stack's services; their names are free at once."""
    services = turn.state.stack(event.stack)
    if not services:
        known = [service.stack for service in turn.state.services.values() if not service.removed]
        turn.reply(event.ticket, problem=names.missing("stack", event.stack, known).problem)
        return
    for service in services:
        _remove(turn, service)
    turn.note("stack", event.stack, "removed")
    turn.reply(event.ticket, tuple(service.name for service in services))


def _no_answer(turn: Turn, node_ids: list[str]) -> Problem:
    names = ", ".join(turn.state.nodes[node_id].name for node_id in node_ids)
    return Problem(
        kind=ProblemKind.REFUSED,
        summary=f"{names} did not say whether it can start the new tasks",
        hint="nothing was changed; `bayplan node ls` shows the node's state, then deploy again",
    )


def _proposed(turn: Turn, event: Request) -> tuple[deploy.Change, ...]:
    """The changes that a request comes to. Raises ProblemError."""
    if isinstance(event, ScaleAsked):
        return (_scaled(turn, event),)
    problems = deploy.check(event.stack)
    if problems:
        others = tuple(each.summary for each in problems[1:])
        raise ProblemError(msgspec.structs.replace(problems[0], details=others))
    present = {each.name: (each, turn.state.spec_of(each)) for each in turn.state.stack(event.stack.name)}
    return deploy.compare(event.stack, present, event.prune)


def _scaled(turn: Turn, event: ScaleAsked) -> deploy.Change:
    service = names.find_service(turn.state, event.service)
    if not 0 <= event.replicas <= REPLICAS_MAX:
        raise refuse(ProblemKind.INVALID, f"{event.replicas} replicas: 0 to {REPLICAS_MAX} are possible")
    action = ServiceAction.SAME if event.replicas == service.replicas else ServiceAction.SCALE
    spec = msgspec.structs.replace(turn.state.spec_of(service), replicas=event.replicas)
    return deploy.Change(action, service.name, service, spec)


def _try(turn: Turn, changes: tuple[deploy.Change, ...]) -> list[tuple[str, ServiceSpec]]:
    """Places all new tasks on paper: (node id, spec) of each. Raises ProblemError when one has no place."""
    needs: list[schedule.Need] = []
    # What is on its way out already will have made room: the new tasks wait for it, as pending ones.
    leaving = {task.id for task in turn.state.tasks.values() if not task.wanted}
    for change in changes:
        before = change.service
        slots = range(1, (change.spec.replicas if change.spec else 0) + 1)
        staying = {} if before is None else _staying(turn, change, before, len(slots))
        if before is not None:
            leaving |= {task.id for task in turn.state.tasks_of(before.id)} - {t.id for t in staying.values()}
        if change.spec is not None and change.action is not ServiceAction.SAME:
            key = before.id if before else change.name
            needs += [
                placing.need(turn.settings, f"{change.name}.{slot}", key, change.spec)
                for slot in slots
                if slot not in staying
            ]
    plan = schedule.place(needs, placing.candidates(turn.state, without=frozenset(leaving)))
    specs = {need.task_id: need.spec for need in needs}
    for task, refusal in sorted(plan.refused.items()):
        raise ProblemError(_unplaceable(task, refusal, specs[task]))
    return [(node_id, specs[task]) for task, node_id in sorted(plan.placed.items())]


def _staying(turn: Turn, change: deploy.Change, service: Service, replicas: int) -> dict[int, Task]:
    """The tasks of a service that a change leaves alone, by slot."""
    if change.action not in (ServiceAction.SAME, ServiceAction.SCALE):
        return {}
    tasks = turn.state.tasks_of(service.id)
    return {task.slot: task for task in tasks if task.wanted and task.slot <= replicas}


def _unplaceable(task: str, refusal: schedule.Refusal, spec: ServiceSpec) -> Problem:
    return Problem(
        kind=ProblemKind.UNPLACEABLE,
        summary=f"{task} cannot be placed",
        details=refusal.lines,
        hint="nothing was changed; ask for less, or add a node (`bayplan join-token`)",
        why="bayplan node ls",
        place=spec.places.get("resources", spec.places.get("service", "")),
    )


def _commit(turn: Turn, event: Request, changes: tuple[deploy.Change, ...]) -> None:
    for change in changes:
        match change.action:
            case ServiceAction.CREATE if change.spec:
                stack = change.name.removesuffix(f"_{change.spec.name}")
                new = Service(id=turn.new_id(), name=change.name, stack=stack, version=1, replicas=0)
                _put_service(turn, new, change.spec, 1)
            case ServiceAction.UPDATE | ServiceAction.SCALE if change.service and change.spec:
                _put_service(turn, change.service, change.spec, change.version)
            case ServiceAction.REMOVE if change.service:
                _remove(turn, change.service)
            case _:
                continue
        turn.note("service", change.name, _told(change))
    turn.reply(event.ticket, _answer(event, changes))


def _told(change: deploy.Change) -> str:
    if change.action is ServiceAction.SCALE and change.service and change.spec:
        return f"scaled from {change.service.replicas} to {change.spec.replicas}"
    return f"{change.action.value} (version {change.version})"


def _answer(event: Request, changes: tuple[deploy.Change, ...]) -> tuple[ServiceChange, ...] | Scaled:
    (first, *_) = changes
    if isinstance(event, ScaleAsked) and first.service:
        return Scaled(service=first.name, before=first.service.replicas, after=event.replicas)
    return tuple(change.shown() for change in changes)


def _put_service(turn: Turn, service: Service, spec: ServiceSpec, version: int) -> None:
    """Keeps a service with its spec; a new version starts with a clean slate of failures."""
    if version != service.version:
        turn.state.forget_failures(service.id)
    turn.put(ServiceVersion(service_id=service.id, version=version, spec=spec))
    turn.put(
        msgspec.structs.replace(service, version=version, replicas=spec.replicas, updated_ms=turn.now.wall_ms)
    )
    turn.services.add(service.id)


def _remove(turn: Turn, service: Service) -> None:
    turn.put(msgspec.structs.replace(service, removed=True, updated_ms=turn.now.wall_ms))
    turn.services.add(service.id)
