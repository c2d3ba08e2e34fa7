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
