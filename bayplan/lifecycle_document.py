"""Writes docs/lifecycle.md out of the table of states.

`python -m bayplan.lifecycle_document > docs/lifecycle.md`; a test holds the page equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bayplan.lifecycle import BY_CONTROLLER, ENDED, MEANING, NEXT, TaskState

_HEAD = """# The life of a task

A task is one container of one version of a service on one node, and it runs once: what has ended never comes
back, a replacement is a new task with a new id in the same slot. Its state only goes forward. Controller and
agents obey one table, `bayplan/lifecycle.py`, out of which this page is made: an agent takes no step that the
table does not have, and a report of such a step is ignored.
"""

_NOTES = """
A state may be skipped: a task whose container an agent finds running goes from `assigned` to `running`.
With a health check a task is `starting` until the check has passed once; without one it is `running` as
soon as its process runs and its post_start hooks are done. A task that is prepared ahead of its turn stays
`preparing`, with the id of its container.
"""


def document() -> str:
    """The page, as Markdown."""
    return "\n".join([_HEAD, "```mermaid", *_picture(), "```", _NOTES, *_table()]) + "\n"


def _picture() -> Iterator[str]:
    """The table as a state diagram; what may follow every state of a living task is drawn once for all."""
    living = [state for state in TaskState if state not in ENDED]
    common = frozenset.intersection(*(NEXT[state] for state in living))
    yield "stateDiagram-v2"
    yield "    [*] --> living"
    yield "    state living {"
    yield f"        [*] --> {living[0].value}"
    for state in living:
        for after in _ordered(NEXT[state] - common - ENDED):
            yield f"        {state.value} --> {after.value}"
    yield "    }"
    for after in _ordered(common):
        yield f"    living --> {after.value}"
    for state in living:
        for after in _ordered((NEXT[state] - common) & ENDED):
            yield f"    {state.value} --> {after.value}"
    for state in _ordered(ENDED):
        yield f"    {state.value} --> [*]"


def _table() -> Iterator[str]:
    yield "| state | what it says | reported by | may be followed by |"
    yield "|---|---|---|---|"
    for state in TaskState:
        writer = "controller" if state in BY_CONTROLLER else "agent"
        writer = "controller, then agent" if state is TaskState.ASSIGNED else writer
        after = ", ".join(f"`{each.value}`" for each in _ordered(NEXT[state])) or "nothing"
        yield f"| `{state.value}` | {MEANING[state]} | {writer} | {after} |"


def _ordered(states: Iterable[TaskState]) -> list[TaskState]:
    order = list(TaskState)
    return sorted(states, key=order.index)


if __name__ == "__main__":
    print(document(), end="")
