"""The revisions of stacks: what each change left behind, and how far back it can be had.

A stack's numbers never repeat: its removal is a revision too, without services, and what comes after
it goes on from there. So a number means one content for ever, and a deploy can be made conditional on it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bayplan.errors import ProblemKind, refuse
from bayplan.model import ServiceSpec, StackFile, StackSpec
from bayplan.views import RevisionView
from controller import names
from controller.core.turn import Turn
from controller.decide import files
from controller.records import StackRevision
from controller.state import State

#: Revisions kept of each stack, the current one included.
REVISIONS_KEPT_MAX = 10
#: Removed stacks whose last number is remembered; the oldest are forgotten.
REMOVED_KEPT_MAX = 1_000

_UNKNOWN_CAUSE = "before revisions were kept"


def newest(state: State, stack: str) -> StackRevision | None:
    """The newest revision, be it a removal. Services older than all revisions count as the first."""
    kept = state.history.get(stack)
    if kept:
        return kept[max(kept)]
    services = state.stack(stack)
    if not services:
        return None
    return StackRevision(
        stack=stack,
        revision=1,
        spec=StackSpec(name=stack, services=tuple(state.spec_of(each) for each in services)),
        cause=_UNKNOWN_CAUSE,
        time_ms=max(each.updated_ms for each in services),
    )


def index(state: State, stack: str) -> int:
    """The stack's revision; 0 when there is no such stack."""
    latest = newest(state, stack)
    return latest.revision if latest and latest.spec.services else 0


def check_index(state: State, stack: str, expected: int | None) -> None:
    """Raises ProblemError when the stack is no longer at the revision that its reader saw."""
    now = index(state, stack)
    if expected is None or expected == now:
        return
    is_now = f"is at revision {now} now" if now else "does not exist now"
    raise refuse(
        ProblemKind.REFUSED,
        f"stack {stack} {is_now}, not at {expected}: somebody changed it since that plan",
        hint=f"nothing was changed; read `bayplan plan` again, or see `bayplan stack history {stack}`",
    )


def revisions(state: State, stack: str) -> tuple[StackRevision, ...]:
    """What is kept of a living stack, newest first. Raises ProblemError (NOT_FOUND)."""
    if not index(state, stack):
        names.check_stack(state, stack)
    kept = state.history.get(stack, {})
    found = sorted(kept.values(), key=lambda each: -each.revision)
    latest = newest(state, stack)
    return tuple(found) if found else (latest,) if latest else ()


def find(state: State, stack: str, number: int) -> StackRevision:
    """A revision; 0 is the current. Raises ProblemError (NOT_FOUND)."""
    kept = revisions(state, stack)
    found = next((each for each in kept if number in (0, each.revision)), None)
    if found is None:
        numbers = ", ".join(str(each.revision) for each in kept)
        raise refuse(
            ProblemKind.NOT_FOUND,
            f"stack {stack} has no revision {number}",
            hint=f"the last {REVISIONS_KEPT_MAX} are kept; there are: {numbers}",
        )
    return found


def before(state: State, stack: str) -> StackRevision:
    """The revision before the current one. Raises ProblemError (NOT_FOUND)."""
    kept = revisions(state, stack)
    if len(kept) < 2:
        raise refuse(
            ProblemKind.NOT_FOUND,
            f"stack {stack} has only one revision",
            hint=f"there is nothing to go back to; `bayplan stack history {stack}` shows what is kept",
        )
    return kept[1]


def record(turn: Turn, stack: str, cause: str, order: Sequence[str] = ()) -> int:
    """Keep the stack as it is now as its next revision; returns the number.

    Called after the change that `cause` names; a stack that has no services any more is a removed one.
    `order` are the services' short names as the user wrote them.
    """
    state = turn.state
    kept = state.history.get(stack, {})
    number = max(kept, default=0) + 1
    services = _ordered(state, stack, order)
    turn.put(
        StackRevision(
            stack=stack,
            revision=number,
            spec=StackSpec(name=stack, services=services, files=_files(state, stack, services)),
            cause=cause,
            time_ms=turn.now.wall_ms,
            digests=_digests(state, stack) if services else {},
        )
    )
    _forget(turn, stack, number - REVISIONS_KEPT_MAX if services else number - 1, number)
    if not services:
        _forget_removed(turn)
    return number


def record_present(turn: Turn, stack: str) -> None:
    """Keep what is there before a change, if it is older than all revisions."""
    latest = newest(turn.state, stack)
    if latest is not None and stack not in turn.state.history:
        turn.put(latest)


def _ordered(state: State, stack: str, order: Sequence[str]) -> tuple[ServiceSpec, ...]:
    """The stack's specs in this order, else in that of the revision before; what is in neither comes last."""
    before = newest(state, stack)
    wanted = order or [spec.name for spec in before.spec.services] if before else order
    rank = {name: number for number, name in enumerate(wanted)}
    specs = [state.spec_of(each) for each in state.stack(stack)]
    return tuple(sorted(specs, key=lambda spec: (rank.get(spec.name, len(rank)), spec.name)))


def _digests(state: State, stack: str) -> dict[str, str]:
    return {key: file.digest for key, file in sorted(state.files.items()) if file.stack == stack}


def _files(state: State, stack: str, services: tuple[ServiceSpec, ...]) -> tuple[StackFile, ...]:
    """The stack's own files, and those of others that its services mount; without contents."""
    services = tuple(each for each in services if each.container.files)
    own = {key: file for key, file in state.files.items() if file.stack == stack}
    mounts = {files.key_of(mount.kind, mount.source): mount for s in services for mount in s.container.files}
    brought = [StackFile(kind=f.kind, name=f.name, labels=f.labels) for _, f in sorted(own.items())]
    others = [
        StackFile(kind=mount.kind, name=mount.source, external=True)
        for key, mount in sorted(mounts.items())
        if key not in own
    ]
    return (*brought, *others)


def _forget(turn: Turn, stack: str, last: int, current: int) -> None:
    """Revisions up to the `last`, and the removal after which the stack came again."""
    for number, revision in sorted(turn.state.history[stack].items()):
        if number <= last or (number < current and not revision.spec.services):
            turn.drop(revision)


def _forget_removed(turn: Turn) -> None:
    latest = [each[max(each)] for each in turn.state.history.values()]
    removed = sorted((each for each in latest if not each.spec.services), key=lambda each: each.time_ms)
    for revision in removed[: max(0, len(removed) - REMOVED_KEPT_MAX)]:
        turn.drop(revision)


def wished(state: State, revision: StackRevision) -> StackSpec:
    """A revision as a stack to be deployed, its own files with the contents they had."""
    brought = tuple(_with_content(state, file, revision) for file in revision.spec.files)
    return msgspec.structs.replace(revision.spec, files=brought)


def _with_content(state: State, file: StackFile, revision: StackRevision) -> StackFile:
    digest = revision.digests.get(files.key_of(file.kind, file.name))
    if digest is None:
        return file
    content = state.contents.get(digest)
    assert content is not None, f"{file.name}: a kept revision keeps its contents"
    return msgspec.structs.replace(file, content=content)


def pinned(revision: StackRevision) -> dict[str, str]:
    """The digests that the revision's services mount, by the files' keys."""
    return {
        files.key_of(mount.kind, mount.source): mount.digest
        for spec in revision.spec.services
        for mount in spec.container.files
    }


def views(state: State, stack: str) -> list[RevisionView]:
    """The history as people see it, newest first. Raises ProblemError (NOT_FOUND)."""
    current = index(state, stack)
    return [
        RevisionView(
            revision=each.revision,
            time_ms=each.time_ms,
            cause=each.cause,
            services=len(each.spec.services),
            current=each.revision == current,
        )
        for each in revisions(state, stack)
    ]
