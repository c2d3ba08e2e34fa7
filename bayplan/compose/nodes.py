"""The positioned tree of a compose file: scalars keep their text, every node its file and line.

What a scalar means (a number, a time, `no`) is decided where it is read, by the field that reads it:
so `22:22` stays a port mapping and `012` an octal mode. Nothing here knows what a service is.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

#: Plain scalars that mean "nothing" in YAML 1.2.
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


class Source(NamedTuple):
    """A file's display path and its bytes."""

    path: str
    text: bytes


class Node(msgspec.Struct, frozen=True):
    """A part of a file; `line` counts from 1."""

    path: str
    line: int

    @property
    def place(self) -> str:
        """Where it was written, as file:line."""
        return f"{self.path}:{self.line}"


class Scalar(Node, frozen=True, gc=False):
    """Text; `plain` when it was written without quotes, so that `null` means nothing."""

    text: str
    plain: bool = False


class List(Node, frozen=True):
    """Nodes in order."""

    items: tuple[Node, ...]


class Entry(NamedTuple):
    """A key and its value."""

    key: Scalar
    value: Node


class Map(Node, frozen=True):
    """Entries by key, in the order of the file, merge keys (`<<`) already merged."""

    entries: dict[str, Entry]


class Reset(Node, frozen=True):
    """`!reset`: takes away what files before this one have there."""


class Override(Node, frozen=True):
    """`!override`: takes the place of what files before this one have there, instead of being merged."""

    value: Node


def without(node: Map, *names: str) -> Map:
    """The mapping without some keys."""
    kept = {name: entry for name, entry in node.entries.items() if name not in names}
    return Map(node.path, node.line, kept)


def get(node: Node, name: str) -> Node | None:
    """The value of a mapping's key; None when there is none or it says nothing."""
    entry = node.entries.get(name) if isinstance(node, Map) else None
    return None if entry is None or is_null(entry.value) else entry.value


def same(one: Node, other: Node) -> bool:
    """Whether two parts say the same, wherever they were written."""
    match one, other:
        case Scalar(), Scalar():
            return one.text == other.text and is_null(one) == is_null(other)
        case List(), List():
            pairs = zip(one.items, other.items, strict=False)
            return len(one.items) == len(other.items) and all(same(*pair) for pair in pairs)
        case Map(), Map():
            return one.entries.keys() == other.entries.keys() and all(
                same(entry.value, other.entries[name].value) for name, entry in one.entries.items()
            )
        case _:
            return False


def is_null(node: Node) -> bool:
    """Whether nothing was written there."""
    return isinstance(node, Scalar) and node.plain and node.text in _NULLS


def describe(node: Node) -> str:
    """What kind of thing a node is, in the words of an error."""
    match node:
        case List():
            return "a list"
        case Map():
            return "a mapping"
        case _:
            return "nothing" if is_null(node) else "a single value"
