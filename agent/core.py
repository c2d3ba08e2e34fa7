"""The agent's pure core: an event in, what to keep and what to do out.

It holds the desired set against what the engine shows: `observe` takes in, `decide` judges, `work`
issues commands, `talk` speaks with the controller. It knows no engine, no wire and no clock.
"""

from __future__ import annotations

from typing import assert_never

from agent import events as ev
from agent import files, lease, observe, overlays, probing, talk, work
from agent.decide.speech import report_at
from agent.state import State, Task, Turn, taken_up
from bayplan.model import Now
from bayplan.step import Step


class AgentCore:
    """See bayplan.pump.Core. `cores` of the machine bound the starts in flight."""

    def __init__(self, *, identity: ev.NodeRef, remembered: ev.Remembered, boot_id: str, cores: int) -> None:
        self.state = State(identity=identity, boot_id=boot_id, cores=cores)
        self._now_mono_ms = 0
        self._recall(remembered)

    def step(self, event: ev.Event, now: Now) -> Step:
        """Apply one event."""
        turn = self._begin(now)
        _apply(turn, event)
        return self._settle(turn)

    def wake(self, now: Now) -> Step:
        """Do what has fallen due."""
        turn = self._begin(now)
        talk.end_silence(turn)  # not in a step: a pulse that waits counts first
        return self._settle(turn)

    def wake_at(self) -> int | None:
        """The next moment that matters, monotonic ms."""
        state = self.state
        moments = lease.moments(state)
        if state.engine_up:
            moments += state.timers.values()
            moments += [pull.retry_at for pull in state.pulls.values()]
            moments += state.networks.values()
            moments.append(state.overlays.look_at)
        if state.session.welcomed:
            moments += state.files.asked.values()
        future = [at for at in moments if at > self._now_mono_ms]
        report_moment = report_at(state)
        return min(future + ([] if report_moment is None else [report_moment]), default=None)

    def _recall(self, remembered: ev.Remembered) -> None:
        self.state.epoch, self.state.assignments = remembered.epoch, remembered.assignments
        overlays.recall(self.state)
        ends = {status.task_id: status for status in remembered.ends}
        for assignment in remembered.assignments.tasks:
            status = ends.get(assignment.task_id) or taken_up(assignment.task_id, 0)
            spec = remembered.assignments.specs.get(assignment.spec_id)
            hooked_ms = remembered.hooked.get(assignment.task_id, -1)
            self.state.put(Task(status=status, assignment=assignment, spec=spec, hooked_ms=hooked_ms))
        self.state.ends_changed = False

    def _begin(self, now: Now) -> Turn:
        state = self.state
        self._now_mono_ms = now.mono_ms
        if not state.session.welcomed and state.session.alone_since is None:
            state.session.alone_since = now.mono_ms
        due = [task_id for task_id, at in state.timers.items() if at <= now.mono_ms]
        for task_id in due:
            del state.timers[task_id]
        state.due.update(due)
        return Turn(state, now, [], [])

    def _settle(self, turn: Turn) -> Step:
        state = turn.state
        lease.fence(turn)
        overlays.count(turn)
        if state.engine_up:
            work.converge(turn)
        overlays.follow(turn)
        probing.follow(turn)
        files.collect(turn)
        files.ask(turn)
        talk.report(turn)
        talk.tell_condition(turn)
        if state.ends_changed:
            state.ends_changed = False
            turn.changes.append(ev.KeepEnds(ends=state.ends()))
        if state.hooked_changed:
            state.hooked_changed = False
            turn.changes.append(ev.KeepHooked(hooked=state.hooked()))
        return Step(turn.changes, turn.commands)


def _apply(turn: Turn, event: ev.Event) -> None:
    match event:
        case ev.LinkOpened() | ev.Heard() | ev.Said() | ev.LinkClosed() | ev.PreflightChecked():
            _apply_session(turn, event)
        case ev.EngineListed():
            probing.presume(turn, event.containers)
            observe.engine_listed(turn, event)
            talk.greet(turn)
        case ev.EngineLost():
            observe.engine_lost(turn, event)
        case ev.ContainerObserved(container=container):
            observe.observed(turn, container)
        case ev.ContainerExited():
            observe.exited(turn, event)
        case ev.ContainerDestroyed():
            observe.destroyed(turn, event)
        case ev.Probed():
            probing.probed(turn, event)
        case ev.ConditionSeen(condition=condition):
            turn.state.condition = condition
        case ev.FilesListed() | ev.FileWritten() | ev.FileNotWritten() | ev.FileRemoved() | ev.JournalKept():
            _apply_disk(turn, event)
        case _:
            _apply_outcome(turn, event)


def _apply_disk(turn: Turn, event: ev.DiskEvent) -> None:
    match event:
        case ev.FilesListed():
            files.listed(turn, event)
        case ev.FileWritten(file=file):
            files.written(turn, file)
        case ev.FileNotWritten():
            files.not_written(turn, event)
        case ev.FileRemoved(file=file):
            files.removed(turn, file)
        case ev.JournalKept():
            turn.state.outbox.ack_due = True
        case _:
            assert_never(event)


def _apply_outcome(turn: Turn, event: ev.Outcome) -> None:
    match event:
        case ev.ContainerCreated(container=container):
            observe.done(turn, container)
        case ev.ContainerStopped():
            observe.stopped(turn, event)
        case ev.ContainerStarted(container=container):
            observe.started(turn, container)
        case ev.ContainerRemoved(task_id=task_id):
            observe.removed(turn, task_id)
        case ev.CommandFailed(task_id=task_id, fault=fault):
            observe.failed(turn, task_id, fault)
        case ev.HooksDone():
            observe.hooks_done(turn, event)
        case ev.HooksFailed():
            observe.hooks_failed(turn, event)
        case ev.ImagePulled():
            observe.pulled(turn, event)
        case ev.PullFailed():
            observe.pull_failed(turn, event)
        case ev.NetworkRemoved() | ev.NetworkKept():
            observe.network_settled(turn, event)
        case ev.OverlaysKept():
            overlays.kept(turn, event)
        case _:
            assert_never(event)


def _apply_session(turn: Turn, event: ev.SessionEvent) -> None:
    match event:
        case ev.LinkOpened(link=link):
            talk.link_opened(turn, link)
        case ev.Heard():
            talk.heard(turn, event)
        case ev.Said(link=link):
            talk.said(turn, link)
        case ev.LinkClosed(link=link):
            talk.link_closed(turn, link)
        case ev.PreflightChecked(link=link, result=result):
            talk.answer(turn, link, result)
        case _:
            assert_never(event)
