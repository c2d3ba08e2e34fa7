"""Requests that ask nodes first: deploys, plans, rollbacks, scaling, services one by one.

A request is tried on paper, asked of the nodes, then committed whole or not at all; a plan goes the same
way and ends before the commit. A large one is tried in several turns, so that nobody waits for it. What is
open lives in memory, since nothing was acknowledged.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from bayplan.errors import Problem, ProblemError, ProblemKind
from bayplan.model import NodeStatus, ServiceSpec
from bayplan.session import Preflight, PreflightResult
from bayplan.views import ServiceAction
from controller.core import (
    affinities,
    ample,
    placing,
    planning,
    preempting,
    proposals,
    publishing,
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
from controller.events import (
    CallerLeft,
    DeployAsked,
    OneServiceRequest,
    PlanAsked,
    ScaleAsked,
    Scaled,
    TriedRequest,
)

#: Requests that wait for nodes at the same time, and questions to nodes that wait for answers with them.
OPEN_MAX, AWAITED_MAX = 1_000, 100_000
#: Services of a stack that are checked and tried in one turn.
CHECKED_AT_ONCE_MAX = 20
#: Nodes that did not answer and are named.
NAMED_MAX = 5


@dataclass
class Open:
    """A request that waits for the answers of nodes. `awaited` is by node id the session that was asked.

    `needed` are those asked that would take new tasks, with the specs. `running` are images that nodes were
    only asked about for what they mean there: faults of these, and the silence of others, do not count.
    `asked` nodes were, at `asked_ms`; `silent` are those of the needed ones from which no answer will come.
    """

    event: TriedRequest
    awaited: dict[str, str]
    needed: dict[str, list[ServiceSpec]]
    running: dict[str, set[str]]
    asked: int = 0
    asked_ms: int = 0
    deadline_ms: int = 0
    silent: set[str] = field(default_factory=set)
    images: dict[str, set[str]] = field(default_factory=dict)
    faults: list[Problem] = field(default_factory=list)

    def digests(self) -> dict[str, str]:
        """What each image's name means, where all nodes that told agree."""
        return {name: next(iter(told)) for name, told in self.images.items() if len(told) == 1}


Steps = Generator[None, None, tuple[Proposal, Trial]]
#: Counts that grow with whatever is changed but tasks that come up.
Changes = tuple[int, int]


class Kept(NamedTuple):
    """What the first trial of a large request came to, and the counts of changes when it began."""

    ticket: str
    proposal: Proposal
    trial: Trial
    began: Changes


@dataclass
class Attempt:
    """A request that is tried, a large one in several turns: before the nodes are asked, and a `last` time
    with the `images` and `faults` that they told, and the `warnings` that come of it. `steps` are None before
    it has begun."""

    event: TriedRequest
    images: Mapping[str, str] = field(default_factory=dict)
    faults: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()
    last: bool = False
    steps: Steps | None = None
    began: Changes = (0, 0)


class Requests:
    """The requests that are open."""

    def __init__(self, ground: Ground) -> None:
        self.open: dict[str, Open] = {}
        self._trying: dict[str, Attempt] = {}
        self._now_ms = 0
        self._sessions_ended = 0
        self._ground = ground
        #: Of the large requests that wait for nodes the one that was tried last.
        self._kept: Kept | None = None

    def asked(self, turn: Turn, event: TriedRequest) -> None:
        """Tries a request, and asks the nodes that would take its tasks whether they can. One for which there
        is no place among those that wait is refused before any work is done for it."""
        awaited = sum([len(each.awaited) for each in self.open.values()])
        if max(len(self._trying), len(self.open)) >= OPEN_MAX or awaited >= AWAITED_MAX:
            self._refuse_busy(turn, event.ticket)
        else:
            self._try(turn, Attempt(event))

    def _try(self, turn: Turn, attempt: Attempt, *, settled: bool = False) -> None:
        """Goes on with an attempt, and does what it is for once it is through. Where others were decided in
        this turn, which is not `settled` yet, only a change of one service is tried beside them, and nothing
        is refused: room may come of what they leave. The rest goes on at the next turn."""
        ticket, self._now_ms = attempt.event.ticket, turn.now.mono_ms
        self._trying[ticket] = attempt
        unsettled = bool(turn.services) and not settled
        if unsettled and not isinstance(attempt.event, OneServiceRequest):
            return
        self._ground.owing.note(turn.services)
        try:
            found = self._went_on(turn, attempt)
        except ProblemError as error:
            if unsettled:
                attempt.steps = None
                return
            del self._trying[ticket]
            turn.refuse(ticket, error)
            return
        if found is None:
            return
        del self._trying[ticket]
        if attempt.last:
            _finish(turn, self._ground, attempt, *found)
        else:
            self._question(turn, attempt.event, *found)

    def _went_on(self, turn: Turn, attempt: Attempt) -> tuple[Proposal, Trial] | None:
        """What an attempt comes to, None while it goes on. Raises ProblemError."""
        if attempt.last and (kept := self._still_true(turn, attempt)) is not None:
            return kept
        paused = attempt.steps is not None
        if attempt.steps is None:
            attempt.steps, attempt.began = _tried(turn, self._ground, attempt), self._changes(turn)
        steps = attempt.steps
        try:
            next(steps)
        except StopIteration as done:
            proposal, tried = done.value
        else:
            return None
        if paused and _stale(turn, attempt, proposal, tried):
            attempt.steps = None
            return None
        if paused and not attempt.last:
            self._kept = Kept(attempt.event.ticket, proposal, tried, attempt.began)
        return proposal, tried

    def _still_true(self, turn: Turn, attempt: Attempt) -> tuple[Proposal, Trial] | None:
        """What the first trial of a request came to, if nothing has changed since it began and the same is
        proposed with what the nodes have told. Raises ProblemError."""
        kept = self._kept
        if kept is None or kept.ticket != attempt.event.ticket:
            return None
        self._kept = None
        if kept.began != self._changes(turn):
            return None
        proposal = _proposed(turn, attempt.event, attempt.images)
        return (kept.proposal, kept.trial) if proposal == kept.proposal else None

    def _changes(self, turn: Turn) -> Changes:
        self._ground.fleet()  # with what was not written yet
        return turn.state.intents, self._ground.written

    def _question(self, turn: Turn, event: TriedRequest, proposal: Proposal, tried: Trial) -> None:
        needed = tried.needed()
        running = _running_images(turn, proposal)
        questions = preflight.questions(
            event.ticket,
            needed,
            running,
            lambda node_id: placing.ports_on(turn.state, node_id),
            publishing.everywhere(turn.state),
        )
        if not questions:
            _finish(turn, self._ground, Attempt(event), proposal, tried)
        elif len(self.open) >= OPEN_MAX:
            self._refuse_busy(turn, event.ticket)
        else:
            asked = {node_id: needed[node_id] for node_id in needed.keys() & questions.keys()}
            self._ask(turn, Open(event, {}, asked, running), questions)

    def _refuse_busy(self, turn: Turn, ticket: str) -> None:
        waiting = max(len(self._trying), len(self.open))
        summary = f"{waiting} requests are waiting for nodes; try again later"
        turn.reply(ticket, problem=Problem(kind=ProblemKind.REFUSED, summary=summary))

    def _ask(self, turn: Turn, waiting: Open, questions: Mapping[str, Preflight]) -> None:
        for node_id, question in sorted(questions.items()):
            turn.send(node_id, question)
            waiting.awaited[node_id] = turn.state.lives[node_id].session_id
            if not waiting.awaited[node_id]:
                self._sessions_ended = -1  # it is over already
        waiting.asked, waiting.asked_ms = len(questions), turn.now.mono_ms
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
        if preflight.nearly_all(len(waiting.awaited), waiting.asked):
            given_up_ms = preflight.stragglers_until(waiting.asked_ms, turn.now.mono_ms)
            waiting.deadline_ms = min(waiting.deadline_ms, given_up_ms)
        self._go_on(turn, answer.ticket, waiting)

    def _go_on(self, turn: Turn, ticket: str, waiting: Open) -> None:
        """Ends a request that has all its answers, or a fault that ends it before."""
        if not waiting.awaited and (unheard := preflight.unheard(waiting.needed, waiting.silent)):
            waiting.faults.append(_no_answer(turn, unheard))
        fatal = bool(waiting.faults) and not isinstance(waiting.event, PlanAsked)
        if waiting.awaited and not fatal:
            return
        del self.open[ticket]
        if fatal:
            turn.reply(ticket, problem=waiting.faults[0])
        else:
            faults, warnings = tuple(waiting.faults), _missing(turn, waiting)
            self._try(turn, Attempt(waiting.event, waiting.digests(), faults, warnings, last=True))

    def _silent(self, turn: Turn, ticket: str, waiting: Open, node_ids: list[str]) -> None:
        """Nodes from which no answer will come."""
        for node_id in node_ids:
            del waiting.awaited[node_id]
        waiting.silent |= waiting.needed.keys() & set(node_ids)
        self._go_on(turn, ticket, waiting)

    def give_up(self, turn: Turn) -> None:
        """Asks no more of sessions that are over, however they ended."""
        if self._sessions_ended == turn.state.sessions_ended:
            return
        self._sessions_ended = turn.state.sessions_ended
        for ticket, waiting in list(self.open.items()):
            gone = sorted(node for node, asked in waiting.awaited.items() if not _listens(turn, node, asked))
            if gone:
                self._silent(turn, ticket, waiting, gone)

    def caller_left(self, event: CallerLeft) -> None:
        """Nobody waits any more: what is not committed is forgotten."""
        self.open.pop(event.ticket, None)
        self._trying.pop(event.ticket, None)

    def wake_at(self) -> int | None:
        """When `wake` has something to do (monotonic ms): at once while a large request is tried."""
        if self._trying:
            return self._now_ms
        return min((each.deadline_ms for each in self.open.values()), default=None)

    def wake(self, turn: Turn) -> None:
        """Goes on with what is tried, and ends requests whose nodes do not answer."""
        for attempt in list(self._trying.values())[:1]:
            self._try(turn, attempt, settled=True)
        for ticket, waiting in list(self.open.items()):
            if turn.now.mono_ms >= waiting.deadline_ms:
                self._silent(turn, ticket, waiting, sorted(waiting.awaited))


def _proposed(turn: Turn, event: TriedRequest, images: Mapping[str, str], *, sound: bool = False) -> Proposal:
    """The proposal, with all that stands against it but want of room; `sound`: it was proposed before. Raises
    ProblemError."""
    if isinstance(event, services.ServiceRequest):
        proposal = services.propose(turn, event, images, sound=sound)
    else:
        proposal = proposals.propose(turn, event, images)
    faults = (*affinities.faults(turn.state, proposal.changes), *quotas.faults(turn, proposal))
    return proposal._replace(problems=(*proposal.problems, *faults))


def _tried(turn: Turn, ground: Ground, attempt: Attempt) -> Steps:
    """The proposal and where its tasks would go. Raises ProblemError for all but a plan's problems."""
    event = attempt.event
    if not (attempt.last or isinstance(event, services.ServiceRequest)):
        proposals.check_sound(event)
        if isinstance(event, DeployAsked | PlanAsked) and len(event.stack.services) > CHECKED_AT_ONCE_MAX:
            yield
    proposal = _proposed(turn, event, attempt.images, sound=attempt.last)
    sure = attempt.last and not isinstance(event, PlanAsked) and not proposal.problems
    if sure and ample.is_ample(turn, ground, proposal.changes):
        return proposal, Trial((), ground.fleet())  # tried before, and nothing can be without a place
    told_max = planning.shown_max(len(proposal.changes)) if isinstance(event, PlanAsked) else 0
    tried = yield from trial.place(turn, ground, proposal.changes, told_max)
    tried = tried._replace(relieved=preempting.relieved(turn, ground, tried, proposal.changes))
    found = (*proposal.problems, *tried.problems())
    if found and not isinstance(event, PlanAsked):
        raise ProblemError(*found)
    return proposal, tried


def _stale(turn: Turn, attempt: Attempt, proposal: Proposal, tried: Trial) -> bool:
    """Whether what was tried in several turns is not what would be proposed now, or needs a node that has
    gone meanwhile. Raises ProblemError."""
    now = _proposed(turn, attempt.event, attempt.images)
    return now != proposal or not tried.needed().keys() <= turn.state.nodes.keys()


def _finish(turn: Turn, ground: Ground, attempt: Attempt, proposal: Proposal, tried: Trial) -> None:
    """Commits, or answers the plan; decided anew, since the world may have moved since the question."""
    event = attempt.event
    wishes = affinities.warnings(turn.state, proposal.changes)
    warnings = (
        *attempt.warnings,
        *wishes,
        *tried.warnings(),
        *trial.warnings(turn, ground, proposal.changes),
    )
    if isinstance(event, PlanAsked):
        turn.reply(event.ticket, planning.plan(turn, proposal, tried, warnings, attempt.faults))
        return
    deployed = msgspec.structs.replace(stacks.commit(turn, proposal, attempt.images), warnings=warnings)
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


def _no_answer(turn: Turn, node_ids: Sequence[str]) -> Problem:
    """None of the nodes that would take a service's tasks has answered: nothing is known of it."""
    who = "it" if len(node_ids) == 1 else "they"
    return Problem(
        kind=ProblemKind.REFUSED,
        summary=f"{_names(turn, node_ids)} did not say whether {who} can start the new tasks",
        hint="nothing was changed; `bayplan node ls` shows the node's state, then deploy again",
    )


def _missing(turn: Turn, waiting: Open) -> tuple[str, ...]:
    """A warning of nodes without which it went on."""
    if not waiting.silent:
        return ()
    share = f"{len(waiting.silent):,} of {len(waiting.needed):,} nodes that were asked"
    names = _names(turn, sorted(waiting.silent))
    return (f"{share} did not say whether they can start the new tasks: {names}",)


def _names(turn: Turn, node_ids: Sequence[str]) -> str:
    """The nodes' names, of many the first ones and how many more there are."""
    known, shown = turn.state.nodes, node_ids[:NAMED_MAX]
    names = ", ".join(known[each].name if each in known else f"removed node {each}" for each in shown)
    more = len(node_ids) - len(shown)
    return f"{names} and {more:,} more" if more else names
