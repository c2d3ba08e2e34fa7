"""Configs and secrets that are made, changed and removed by name, apart from any stack."""

from __future__ import annotations

from bayplan.errors import Problem, ProblemError, ProblemKind, refuse
from bayplan.model import FileKind
from controller import names
from controller.core import files, history, stacks
from controller.core.proposals import too_much
from controller.core.turn import Turn
from controller.decide import files as decide
from controller.events import FileChanged, FileCreateAsked, FileRemoveAsked, FileUpdateAsked
from controller.records import File, Service
from controller.state import State

FileRequest = FileCreateAsked | FileUpdateAsked | FileRemoveAsked


def asked(turn: Turn, event: FileRequest) -> None:
    """Does what is asked and answers, or answers why not."""
    try:
        match event:
            case FileCreateAsked():
                turn.reply(event.ticket, _create(turn, event))
            case FileUpdateAsked():
                turn.reply(event.ticket, _update(turn, event))
            case FileRemoveAsked():
                _remove(turn, event)
                turn.reply(event.ticket)
    except ProblemError as error:
        turn.refuse(event.ticket, error)


def find(state: State, kind: FileKind, name: str) -> File:
    """A file by its name. Raises ProblemError (NOT_FOUND)."""
    found = state.files.get(decide.key_of(kind, name))
    if found is None:
        known = [file.name for file in state.files.values() if file.kind is kind]
        raise names.missing(kind.value, name, known)
    return found


def _create(turn: Turn, event: FileCreateAsked) -> FileChanged:
    kind, name = event.kind, event.name
    _check(kind, name, event.content, event.labels)
    before = turn.state.files.get(decide.key_of(kind, name))
    if before is not None:
        whose = f"it comes from stack {before.stack}" if before.stack else _way_to_update(kind, name)
        raise refuse(ProblemKind.REFUSED, f"there is a {kind.value} {name} already", hint=whose)
    digest = _keepable(turn, kind, event.content, 1)
    file = files.put(turn, kind, name, event.content, digest, labels=event.labels)
    turn.note(kind.value, name, "created")
    return FileChanged(file=files.view(file, []))


def _update(turn: Turn, event: FileUpdateAsked) -> FileChanged:
    """New content: the services that mount it get a new version, and their stacks a new revision."""
    before = find(turn.state, event.kind, event.name)
    _check(event.kind, event.name, event.content, before.labels)
    if before.stack and turn.state.stack(before.stack):
        raise refuse(
            ProblemKind.REFUSED,
            f"the {event.kind.value} {event.name} comes from stack {before.stack}",
            hint="change it in that stack's files, and deploy again",
        )
    digest = _keepable(turn, event.kind, event.content, 0)
    mounted_by = files.users(turn.state).get(before.key, [])
    if digest == before.digest:
        return FileChanged(file=files.view(before, mounted_by))
    for stack in sorted({service.stack for service in mounted_by}):
        history.record_present(turn, stack)
    file = files.put(
        turn, event.kind, event.name, event.content, digest, stack=before.stack, labels=before.labels
    )
    for service in mounted_by:
        _roll(turn, service, file)
    for stack in sorted({service.stack for service in mounted_by}):
        history.record(turn, stack, f"update of {event.kind.value} {event.name}")
    turn.note(event.kind.value, event.name, f"updated (version {file.version})")
    return FileChanged(
        file=files.view(file, mounted_by), rolled=tuple(service.name for service in mounted_by)
    )


def _roll(turn: Turn, service: Service, file: File) -> None:
    spec = turn.state.spec_of(service)
    digests = {decide.key_of(mount.kind, mount.source): mount.digest for mount in spec.container.files}
    rolled = decide.resolve(spec, digests | {file.key: file.digest})
    known = turn.state.image_digests[service.id, service.version]
    stacks.put_version(turn, service, rolled, service.next_version, known)


def _remove(turn: Turn, event: FileRemoveAsked) -> None:
    file = find(turn.state, event.kind, event.name)
    mounted_by = files.users(turn.state).get(file.key, [])
    if mounted_by:
        raise refuse(
            ProblemKind.REFUSED,
            f"the {event.kind.value} {event.name} is used by {', '.join(each.name for each in mounted_by)}",
            hint="take it out of their stacks and deploy them, or remove them; then remove it",
        )
    if file.stack and turn.state.stack(file.stack):
        raise refuse(
            ProblemKind.REFUSED,
            f"the {event.kind.value} {event.name} comes from stack {file.stack}",
            hint="take it out of that stack's files, and deploy again",
        )
    turn.drop(file)
    turn.note(event.kind.value, event.name, "removed")


def _check(kind: FileKind, name: str, content: bytes, labels: dict[str, str]) -> None:
    found = tuple(decide.unfit(kind, name, content, labels))
    if found:
        raise ProblemError(*(Problem(kind=ProblemKind.INVALID, summary=text) for text in found))


def _keepable(turn: Turn, kind: FileKind, content: bytes, new_files: int) -> str:
    """The digest of a content for which there is room. Raises ProblemError."""
    digest = decide.digest(turn.settings.file_key, kind, content)
    new_bytes = 0 if digest in turn.state.contents else len(content)
    text = too_much(turn.state, new_files, new_bytes)
    if text:
        raise refuse(ProblemKind.REFUSED, text, hint=f"`bayplan {kind.value} rm` those that nobody uses")
    return digest


def _way_to_update(kind: FileKind, name: str) -> str:
    return f"`bayplan {kind.value} update {name} FILE` changes its content"
