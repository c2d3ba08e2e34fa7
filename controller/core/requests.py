"""Requests that ask nodes first: deploys, plans, rollbacks, scaling, services one by one.

A request is tried on paper, asked of the nodes, then committed whole or not at all; a plan goes the same
way and ends before the commit. What is open lives in memory, since nothing was acknowledged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from bayplan.errors import Problem, ProblemError, ProblemKind
from bayplan.model import NodeStatus, ServiceSpec
from bayplan.session import Preflight, PreflightResult
from bayplan.views import ServiceAction
from controller.core import (
    affinities,
    placing,
    planning,
    preempting,
    proposals,
    quotas,
    services,
    stacks,
    trial,
)
from controller.core.ground import Ground
from controller.core.proposals import Proposal
from controller.core.trial import Trial
from controller.core.turn import Turn
from controller.decide import preflight
from controller.events import CallerLeft, PlanAsked, ScaleAsked, Scaled, TriedRequest

#: Requests that wait for nodes at the same time.
OPEN_MAX = 100


@dataclass
class Open:
    """A request that waits for the answers of nodes. `awaited` is by node id the session that was asked.

    `needed` are the nodes that would take new tasks, with the specs. `running` are images that nodes were
    only asked about for what they mean there: faults of these, and the silence of others, do not count.
    """

    event: TriedRequest
    awaited: dict[str, str]
    needed: dict[str, list[ServiceSpec]]
    running: dict[str, set[str]]
    deadline_ms: int
    images: dict[str, set[str]] = field(default_factory=dict)
    faults: list[Problem] = field(default_factory=list)

    def digests(self) -> dict[str, str]:
        """What each image's name means, where all nodes that told agree."""
        return {name: next(iter(told)) for name, told in self.images.items() if len(told) == 1}


class Requests:
    """The requests that are open."""

    def __init__(self, ground: Ground) -> None:
        self.open: dict[str, Open] = {}
        self._ground = ground

    def asked(self, turn: Turn, event: TriedRequest) -> None:
        """Tries a request, and asks the nodes that would take its tasks whether they can."""
        try:
            if not isinstance(event, services.ServiceRequest):
                proposals.check_sound(event)
            proposal, tried = _tried(turn, self._ground, event, {})
        except ProblemError as error:
            turn.refuse(event.ticket, error)
            return
        needed = tried.needed()
        running = _running_images(turn, proposal)
        questions = preflight.questions(
            event.ticket, needed, running, lambda node_id: placing.ports_on(turn.state, node_id)
        )
        if not questions:
            _finish(turn, self._ground, event, {}, ())
        elif len(self.open) >= OPEN_MAX:
            summary = f"{OPEN_MAX} requests are waiting for nodes; try again later"
            turn.reply(event.ticket, problem=Problem(kind=ProblemKind.REFUSED, summary=summary))
        else:
            self._ask(turn, Open(event, {}, needed, running, 0), questions)

    def _ask(self, turn: Turn, waiting: Open, questions: Mapping[str, Preflight]) -> None:
        for node_id, question in sorted(questions.items()):
            turn.send(node_id, question)
            waiting.awaited[node_id] = turn.state.lives[node_id].session_id
        waiting.deadline_ms = turn.now.mono_ms + turn.settings.preflight_ms
        self.open[waiting.event.ticket] = waiting

    def answered(self, turn: Turn, node_id: str, answer: PreflightResult) -> None:
        """A node's answer: a fault ends a deploy and is a problem of a plan, the last "yes" commits it."""
        waiting = self.open.get(answer.ticket)
        if waiting is None or node_id not in waiting.awaited:
            return
        del waiting.awaited[node_id]
        for name, digest in answer.images.items():
            waiting.images.setdefault(name, set()).add(digest)
        specs = waiting.needed.get(node_id, [])
        running = waiting.running.get(node_id, set())
        faults = tuple(each for each in answer.faults if preflight.concerns(each, specs, running))
        if faults:
            problem = preflight.problem(turn.state.nodes[node_id].name, faults, specs)
            waiting.faults.append(problem)
        self._go_on(turn, answer.ticket, waiting)

    def _go_on(self, turn: Turn, ticket: str, waiting: Open) -> None:
        """Ends a request that has all its answers, or a fault that ends it before."""
        fatal = bool(waiting.faults) and not isinstance(waiting.event, PlanAsked)
        if waiting.awaited and not fatal:
            return
        del self.open[ticket]
        if fatal:
            turn.reply(ticket, problem=waiting.faults[0])
        else:
            _finish(turn, self._ground, waiting.event, waiting.digests(), tuple(waiting.faults))

    def _silent(self, turn: Turn, ticket: str, waiting: Open, node_ids: list[str]) -> None:
        """Nodes from which no answer will come."""
        for node_id in node_ids:
            del waiting.awaited[node_id]
        needed = [node_id for node_id in node_ids if node_id in waiting.needed]
        if needed:
            waiting.faults.append(_no_answer(turn, needed))
        self._go_on(turn, ticket, waiting)

    def give_up(self, turn: Turn) -> None:
        """Asks no more of sessions that are over, however they ended."""
        for ticket, waiting in list(self.open.items()):
            gone = sorted(node for node, asked in waiting.awaited.items() if not _listens(turn, node, asked))
            if gone:
                self._silent(turn, ticket, waiting, gone)

    def caller_left(self, event: CallerLeft) -> None:
        """Nobody waits any more: what is not committed is forgotten."""
        self.open.pop(event.ticket, None)

    def wake(self, turn: Turn) -> int | None:
        """Ends requests whose nodes do not answer. Returns when to ask again (monotonic ms)."""
        for ticket, waiting in list(self.open.items()):
            if turn.now.mono_ms >= waiting.deadline_ms:
                self._silent(turn, ticket, waiting, sorted(waiting.awaited))
        return min((waiting.deadline_ms for waiting in self.open.values()), default=None)


def _tried(
    turn: Turn, ground: Ground, event: TriedRequest, images: Mapping[str, str]
) -> tuple[Proposal, Trial]:
    """The proposal and where its tasks would go. Raises ProblemError for all but a plan's problems."""
    if isinstance(event, services.ServiceRequest):
        proposal = services.propose(turn, event, images)
    else:
        proposal = proposals.propose(turn, event, images)
    faults = (*affinities.faults(turn.state, proposal.changes), *quotas.faults(turn, proposal))
    proposal = proposal._replace(problems=(*proposal.problems, *faults))
    told_max = planning.shown_max(len(proposal.changes)) if isinstance(event, PlanAsked) else 0
    tried = trial.place(turn, ground, proposal.changes, told_max)
    tried = tried._replace(relieved=preempting.relieved(turn, ground, tried))
    found = (*proposal.problems, *tried.problems())
    if found and not isinstance(event, PlanAsked):
        raise ProblemError(*found)
    return proposal, tried


def _finish(
    turn: Turn, ground: Ground, event: TriedRequest, images: Mapping[str, str], faults: tuple[Problem, ...]
) -> None:
    """Commits, or answers the plan; decided anew, since the world may have moved since the question."""
    try:
        proposal, tried = _tried(turn, ground, event, images)
    except ProblemError as error:
        turn.refuse(event.ticket, error)
        return
    warnings = (*tried.warnings(), *trial.warnings(turn, ground, proposal.changes))
    if isinstance(event, PlanAsked):
        turn.reply(event.ticket, planning.plan(turn, proposal, tried, warnings, faults))
        return
    deployed = msgspec.structs.replace(stacks.commit(turn, proposal, images), warnings=warnings)
    if isinstance(event, ScaleAsked):
        (change,) = proposal.changes
        assert change.service is not None
        turn.reply(
            event.ticket,
            Scaled(service=change.name, before=change.service.replicas, after=event.replicas),
        )
    else:
        turn.reply(event.ticket, deployed)


def _running_images(turn: Turn, proposal: Proposal) -> dict[str, set[str]]:
    """By node, the images of services that stay as they are: their names may mean others by now."""
    found: dict[str, set[str]] = {}
    for change in proposal.changes:
        service = change.service
        if service is None or change.spec is None or change.action is not ServiceAction.SAME:
            continue
        if not turn.state.image_digests[service.id, service.version]:
            continue
        for task in turn.state.tasks_of(service.id):
            life = turn.state.lives.get(task.node_id)
            if task.wanted and life is not None and life.connected and life.status is NodeStatus.READY:
                found.setdefault(task.node_id, set()).add(change.spec.container.image)
    return found


def _listens(turn: Turn, node_id: str, session_id: str) -> bool:
    """Whether that session of a node, which may have been removed, is still open."""
    life = turn.state.lives.get(node_id)
    return life is not None and life.session_id == session_id


def _no_answer(turn: Turn, node_ids: list[str]) -> Problem:
    known = turn.state.nodes
    names = ", ".join(known[each].name if each in known else f"removed node {each}" for each in node_ids)
    return Problem(
        kind=ProblemKind.REFUSED,
        summary=f"{names} did not say whether it can start the new tasks",
        hint="nothing was changed; `bayplan node ls` shows the node's state, then deploy again",
    )
