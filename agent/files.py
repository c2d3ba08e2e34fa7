"""Configs and secrets: asks for the contents that tasks lack, has them written, collects what is left.

A content passes through as a command and is never part of the memory or of the journal.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from agent import commands as do
from agent import events as ev
from agent.decide.files import file_fault, waits_message
from agent.decide.status import moved
from agent.observe import reject
from agent.state import Task, Turn
from bayplan.lifecycle import TaskState
from bayplan.limits import FILE_BYTES_MAX
from bayplan.model import FileMount
from bayplan.session import FilesWanted

#: A content that was asked for and has not come is asked for again after this time.
FILES_ASK_AGAIN_MS = 10_000
#: Contents that one node holds: at most 1 GiB of them.
FILES_HELD_MAX = 2_000


def listed(turn: Turn, event: ev.FilesListed) -> None:
    """The store was looked through. A file on its way in may not be in the list: it is asked for again."""
    files = turn.state.files
    files.held = set(event.files) - files.leaving
    files.refused, files.due = dict(event.refused), True


def ready(turn: Turn, task: Task) -> bool:
    """Whether all files of a task about to start are here. If not it waits for them, or is rejected."""
    files, spec = turn.state.files, task.spec
    if spec is None or not spec.files:
        return True
    if reason := file_fault(spec, files.refused):
        reject(turn, task, reason)
        return False
    missing = [mount for mount in spec.files if ev.StoredFile.of(mount) not in files.held]
    if not missing:
        files.waiting.discard(task.id)
        return True
    files.waiting.add(task.id)
    stage = TaskState.PREPARING if task.status.state is TaskState.ASSIGNED else task.status.state
    status = moved(task.status, stage, turn.now.wall_ms, waits_message(missing))
    if status != task.status:
        turn.state.put(replace(task, status=status))
    return False


def ask(turn: Turn) -> None:
    """Ask the controller for what is missing and neither on its way nor asked for a short while ago."""
    files, session = turn.state.files, turn.state.session
    if not session.welcomed or not (files.waiting or files.asked):
        return
    lacked = {ev.StoredFile.of(mount) for _, mount in _lacking(turn)}
    missing = {file.digest for file in lacked - files.writing - files.leaving}
    files.asked = {digest: at for digest, at in files.asked.items() if digest in missing}
    due = sorted(digest for digest in missing if files.asked.get(digest, 0) <= turn.now.mono_ms)
    if due:
        files.asked.update(dict.fromkeys(due, turn.now.mono_ms + FILES_ASK_AGAIN_MS))
        turn.commands.append(do.Say(link=session.link, message=FilesWanted(digests=tuple(due))))


def came(turn: Turn, contents: Mapping[str, bytes]) -> None:
    """Have contents written for each owner that a waiting task wants; what nobody waits for is dropped."""
    files = turn.state.files
    lacked = {ev.StoredFile.of(mount) for _, mount in _lacking(turn)}
    for file in sorted(lacked - files.writing - files.leaving):
        content = contents.get(file.digest)
        if content is None:
            continue
        if len(content) > FILE_BYTES_MAX:
            _refuse(turn, file, f"it has {len(content)} bytes, and at most {FILE_BYTES_MAX} are taken")
        elif len(files.held) + len(files.writing) >= FILES_HELD_MAX:
            _refuse(turn, file, f"this node holds {FILES_HELD_MAX} configs and secrets already")
        else:
            files.writing.add(file)
            turn.commands.append(do.WriteFile(file=file, content=content))


def written(turn: Turn, file: ev.StoredFile) -> None:
    """Those who waited for it go on."""
    files = turn.state.files
    turn.state.due.update(task.id for task, mount in _lacking(turn) if ev.StoredFile.of(mount) == file)
    files.writing.discard(file)
    files.held.add(file)
    files.due = True  # its tasks may have left meanwhile


def not_written(turn: Turn, event: ev.FileNotWritten) -> None:
    """Those who waited for it are rejected: another node may be able to."""
    turn.state.files.writing.discard(event.file)
    _refuse(turn, event.file, event.reason)


def removed(turn: Turn, file: ev.StoredFile) -> None:
    """It is gone; tasks may have come to want it meanwhile."""
    files = turn.state.files
    files.leaving.discard(file)


def collect(turn: Turn) -> None:
    """Remove what no task mounts; a set of tasks must have been confirmed first."""
    state, files = turn.state, turn.state.files
    if not state.confirmed or not files.due:
        return
    files.due = False
    used = {file for task in state.tasks.values() for file in task.files()}
    for file in sorted(files.held - used):
        files.held.discard(file)
        files.leaving.add(file)
        turn.commands.append(do.RemoveFile(file=file))


def _lacking(turn: Turn) -> list[tuple[Task, FileMount]]:
    """Each mount that a waiting task lacks the content of. Who shall not run any more waits for nothing."""
    state, files = turn.state, turn.state.files
    known = [task for task_id in sorted(files.waiting) if (task := state.tasks.get(task_id))]
    waiting = [task for task in known if task.wanted and not task.ended]
    files.waiting = {task.id for task in waiting}
    return [
        (task, mount)
        for task in waiting
        for mount in (task.spec.files if task.spec else ())
        if ev.StoredFile.of(mount) not in files.held
    ]


def _refuse(turn: Turn, file: ev.StoredFile, reason: str) -> None:
    for task, mount in _lacking(turn):
        if ev.StoredFile.of(mount) == file:
            reject(turn, task, f"{mount.kind} {mount.source} cannot be kept on this node: {reason}")
