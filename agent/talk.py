"""The conversation with the controller: greeting, obeying, reporting.

Only the current link's messages count, and only under the highest epoch that was ever obeyed.
"""

from __future__ import annotations

from typing import assert_never

from msgspec.structs import replace

from agent import commands as do
from agent import events as ev
from agent import files, lease, overlays
from agent.decide.speech import hello, next_report, report_at
from agent.state import Task, Turn, Work, taken_up
from bayplan.model import Assignment, Assignments, ContainerSpec
from bayplan.session import Dismissal, Files, LogPull, LogStop, Preflight, PreflightResult, Pulse, Welcome

#: Longest time that reports wait because the controller asks for it.
WINDOW_MS_MAX = 5_000


def link_opened(turn: Turn, link: int) -> None:
    """A new link is there."""
    turn.state.session.link = link
    greet(turn)


def greet(turn: Turn) -> None:
    """Hello goes once a link and the engine's first answer are there: before, it would lack tasks."""
    session = turn.state.session
    if not session.link or session.greeted or turn.state.inventory is None:
        return
    session.greeted = True
    turn.state.outbox.clear()
    turn.state.outbox.condition = turn.state.condition
    lease.greeted(turn)
    turn.commands.append(do.Say(link=session.link, message=hello(turn.state, turn.now)))


def link_closed(turn: Turn, link: int) -> None:
    """The session is over; the containers stay."""
    session = turn.state.session
    if link != session.link:
        return
    if session.welcomed:
        session.alone_since = turn.now.mono_ms
    session.link, session.greeted, session.welcomed = 0, False, False
    turn.state.outbox.in_flight = False
    turn.state.files.asked.clear()
    turn.state.due.update(turn.state.tasks)


def end_silence(turn: Turn) -> None:
    """A controller that has been silent for the lease is gone, whatever the link says: look for one anew."""
    link, at = turn.state.session.link, lease.silent_at(turn.state)
    if at is not None and turn.now.mono_ms >= at:
        reason = f"the controller was silent for {turn.state.lease.ms / 1000:g} s"
        turn.commands.append(do.CloseLink(link=link, reason=reason))
        link_closed(turn, link)


def heard(turn: Turn, event: ev.Heard) -> None:
    """Obey the current session; its first message must be the Welcome."""
    link, message = event.link, event.message
    if isinstance(message, Welcome) and link == turn.state.session.link:
        _welcomed(turn, message)
    if not _in_session(turn, link):
        return
    match message:
        case Assignments():
            _assigned(turn, message)
        case Files(contents=contents):
            files.came(turn, contents)
        case Preflight():
            turn.commands.append(do.CheckPreflight(link=link, preflight=message))
        case LogPull():
            turn.commands.append(do.PushLogs(pull=message))
        case LogStop(request_id=request_id):
            turn.commands.append(do.StopLogs(request_id=request_id))
        case Pulse(window_ms=window_ms):
            turn.state.outbox.window_ms = min(window_ms, WINDOW_MS_MAX)
            lease.pulsed(turn, message)
        case Welcome() | Dismissal():  # the door ends a dismissed link
            pass
        case _:
            assert_never(message)


def answer(turn: Turn, link: int, result: PreflightResult) -> None:
    """Pass a preflight's result on to who asked, if it is still there."""
    if _in_session(turn, link):
        turn.commands.append(do.Say(link=link, message=result))


def said(turn: Turn, link: int) -> None:
    """A report is out."""
    if link == turn.state.session.link:
        turn.state.outbox.in_flight = False


def report(turn: Turn) -> None:
    """Tell what has changed, if it is time."""
    state, outbox = turn.state, turn.state.outbox
    if not outbox.waiting:
        outbox.since = None
    elif outbox.since is None:
        outbox.since = turn.now.mono_ms
    due_at = report_at(state)
    if due_at is None or due_at > turn.now.mono_ms:
        return
    message = next_report(state)
    told = {status.task_id for status in message.tasks}
    outbox.changed -= told
    outbox.urgent -= told
    outbox.gone.difference_update(message.gone)
    outbox.ack_due, outbox.in_flight, outbox.last_sent_at = False, True, turn.now.mono_ms
    outbox.since = turn.now.mono_ms if outbox.waiting else None
    turn.commands.append(do.Say(link=state.session.link, message=message))


def tell_condition(turn: Turn) -> None:
    """Tell what is the matter with the node, if the controller was told otherwise."""
    state, outbox = turn.state, turn.state.outbox
    if state.session.welcomed and state.condition != outbox.condition:
        outbox.condition = state.condition
        turn.commands.append(do.Say(link=state.session.link, message=state.condition))


def _in_session(turn: Turn, link: int) -> bool:
    session = turn.state.session
    return session.welcomed and link == session.link


def _welcomed(turn: Turn, message: Welcome) -> None:
    state, session = turn.state, turn.state.session
    if message.epoch < state.epoch:
        reason = f"the controller's epoch {message.epoch} is older than {state.epoch}, which was obeyed"
        turn.commands.append(do.CloseLink(link=session.link, reason=reason))
        return
    session.welcomed, session.alone_since = True, None
    state.outbox.window_ms = min(message.window_ms, WINDOW_MS_MAX)
    lease.welcomed(turn, message)
    if message.epoch > state.epoch:
        state.epoch, state.confirmed = message.epoch, False
        _keep(turn, replace(state.assignments, revision=0))
    state.due.update(state.tasks)


def _assigned(turn: Turn, message: Assignments) -> None:
    """Take over the whole desired set; an older one than is held is a late echo."""
    state = turn.state
    if message.revision < state.assignments.revision:
        return
    if message != state.assignments:
        _keep(turn, message)
        overlays.told(turn)
    state.confirmed = state.outbox.ack_due = state.networks_due = True
    wanted = {assignment.task_id: assignment for assignment in message.tasks}
    for _, assignment in sorted(wanted.items()):
        _assign(turn, assignment, message.specs.get(assignment.spec_id))
    for task in state.sorted_tasks():
        if task.id not in wanted and task.assignment is not None:
            state.put(_without_pull(replace(task, assignment=None)))
    state.due.update(state.tasks)


def _assign(turn: Turn, assignment: Assignment, spec: ContainerSpec | None) -> None:
    task = turn.state.tasks.get(assignment.task_id)
    task = task or Task(status=taken_up(assignment.task_id, turn.now.wall_ms))
    turn.state.put(_without_pull(replace(task, assignment=assignment, spec=spec)))


def _without_pull(task: Task) -> Task:
    """A task that shall not run any more waits for no image."""
    return task if task.wanted or task.work is not Work.PULL else replace(task, work=Work.NONE)


def _keep(turn: Turn, assignments: Assignments) -> None:
    turn.state.assignments = assignments
    turn.changes.append(ev.KeepAssignments(epoch=turn.state.epoch, assignments=assignments))
