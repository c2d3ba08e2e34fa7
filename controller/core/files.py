"""Configs and secrets in the state: their records, who mounts them, and which nodes get their contents.

Contents leave the core in two ways only: to the store, and to a node with a task that mounts them.
"""

from __future__ import annotations

from collections.abc import Iterator

from bayplan.model import FileKind
from bayplan.session import Files
from bayplan.views import FileView, ServiceAction
from controller.core.turn import Turn
from controller.decide import files
from controller.records import File, FileContent, Service
from controller.state import State

_TOLD = {
    ServiceAction.CREATE: "created",
    ServiceAction.UPDATE: "updated",
    ServiceAction.REMOVE: "removed",
}

#: Contents of one message to an agent, in bytes; a single larger one goes alone.
MESSAGE_BYTES_MAX = 1024 * 1024


def carry_out(turn: Turn, stack: str, change: files.Change) -> None:
    """What a deploy does to one file of its stack."""
    before = turn.state.files.get(files.key_of(change.kind, change.name))
    if change.action is ServiceAction.REMOVE and before is not None:
        turn.drop(before)
    elif change.action in (ServiceAction.CREATE, ServiceAction.UPDATE) and change.stack_file is not None:
        file = change.stack_file
        put(turn, file.kind, file.name, file.content, change.digest, stack=stack, labels=file.labels)
    else:
        return
    turn.note(change.kind.value, change.name, _TOLD[change.action])


def put(
    turn: Turn,
    kind: FileKind,
    name: str,
    content: bytes,
    digest: str,
    *,
    stack: str = "",
    labels: dict[str, str],
) -> File:
    """Keep a file with this content; another digest is its next version."""
    before = turn.state.files.get(files.key_of(kind, name))
    now_ms = turn.now.wall_ms
    fresh = before is None or before.digest != digest
    file = File(
        kind=kind,
        name=name,
        digest=digest,
        version=(before.version if before else 0) + fresh,
        size_bytes=len(content),
        stack=stack,
        labels=labels,
        created_ms=before.created_ms if before else now_ms,
        updated_ms=now_ms if before is None or fresh else before.updated_ms,
    )
    if digest not in turn.state.contents:
        turn.put(FileContent(digest=digest, content=content))
    turn.put(file)
    return file


def drop_of_stack(turn: Turn, stack: str) -> None:
    """The stack's own files go, except those that services of another stack mount."""
    used = users(turn.state)
    for key, file in sorted(turn.state.files.items()):
        if file.stack == stack and not used.get(key):
            turn.drop(file)


def collect(turn: Turn) -> None:
    """Forget the contents to which no file, version or revision refers any more."""
    for content in turn.state.contents.unused():
        turn.drop(content)


def users(state: State) -> dict[str, list[Service]]:
    """The living services that mount each file, by the file's key, in the order of their names."""
    found: dict[str, list[Service]] = {}
    for service in sorted(state.services.values(), key=lambda each: each.name):
        if not service.removed:
            mounts = state.spec_of(service).container.files
            for key in {files.key_of(mount.kind, mount.source) for mount in mounts}:
                found.setdefault(key, []).append(service)
    return found


def view(file: File, mounted_by: list[Service]) -> FileView:
    """A file as lists show it, without content."""
    return FileView(
        kind=file.kind,
        name=file.name,
        digest=file.digest,
        version=file.version,
        size_bytes=file.size_bytes,
        created_ms=file.created_ms,
        updated_ms=file.updated_ms,
        stack=file.stack,
        labels=file.labels,
        used_by=tuple(service.name for service in mounted_by),
    )


def wanted(turn: Turn, node_id: str, digests: tuple[str, ...]) -> None:
    """Give a node the contents that it lacks, of those that its own tasks mount and of no others."""
    mounted = _mounted_on(turn.state, node_id)
    asked = sorted(set(digests))
    for message in _messages(turn.state, [digest for digest in asked if digest in mounted]):
        turn.send(node_id, message)
    refused = len(asked) - len(mounted.intersection(asked))
    if refused:
        name = turn.state.nodes[node_id].name
        turn.note("node", name, f"asked for {refused} contents that no task of it mounts: not given")


def _mounted_on(state: State, node_id: str) -> set[str]:
    return {
        mount.digest
        for task in state.tasks_on(node_id)
        if not task.removing
        for mount in state.specs[task.service_id, task.version].container.files
    }


def _messages(state: State, digests: list[str]) -> Iterator[Files]:
    batch: dict[str, bytes] = {}
    size_bytes = 0
    for digest in digests:
        content = state.contents.get(digest)
        if content is None:
            continue
        if batch and size_bytes + len(content) > MESSAGE_BYTES_MAX:
            yield Files(contents=batch)
            batch, size_bytes = {}, 0
        batch[digest] = content
        size_bytes += len(content)
    if batch:
        yield Files(contents=batch)
