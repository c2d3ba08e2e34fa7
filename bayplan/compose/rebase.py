"""Relative paths of a file from another folder, written anew so that they start in the project folder.

What `include` and `extends` bring in is relative to the folder of its own file. After this nobody needs
to know where a value came from: one project folder counts for all.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping

from bayplan.compose.nodes import Entry, List, Map, Node, Override, Scalar, get

#: What becomes of a node when relative paths are prefixed with a way to another folder.
_Shift = Callable[[Node, str], Node]

_REMOTE = ("git@", "github.com/", "docker-image:", "service:", "oci-layout:")


def rebased(tree: Map, way: str) -> Map:
    """The file with its relative paths prefixed by the way from the project folder to its own folder."""
    shifted = _FILE(tree, way) if way not in ("", ".") else tree
    assert isinstance(shifted, Map)
    return shifted


def _map(shifts: Mapping[str, _Shift]) -> _Shift:
    """A mapping, by its keys; `*` stands for all."""

    def shift(node: Node, way: str) -> Node:
        if not isinstance(node, Map):
            return node
        entries = {
            name: Entry(entry.key, _value(entry.value, shifts.get(name) or shifts.get("*"), way))
            for name, entry in node.entries.items()
        }
        return Map(node.path, node.line, entries)

    return shift


def _value(node: Node, shift: _Shift | None, way: str) -> Node:
    if shift is None:
        return node
    if isinstance(node, Override):
        return Override(node.path, node.line, shift(node.value, way))
    return shift(node, way)


def _each(inner: _Shift) -> _Shift:
    """A value, or a list of such."""

    def shift(node: Node, way: str) -> Node:
        if isinstance(node, List):
            return List(node.path, node.line, tuple(inner(item, way) for item in node.items))
        return inner(node, way)

    return shift


def _path(node: Node, way: str) -> Node:
    if not isinstance(node, Scalar) or not node.text or node.text[0] in "/~":
        return node
    return Scalar(node.path, node.line, posixpath.normpath(posixpath.join(way, node.text)))


def _context(node: Node, way: str) -> Node:
    """A folder, or the address of something that is elsewhere."""
    remote = isinstance(node, Scalar) and ("://" in node.text or node.text.startswith(_REMOTE))
    return node if remote else _path(node, way)


def _contexts(node: Node, way: str) -> Node:
    """`additional_contexts`: a mapping, or a list of name=context."""
    if isinstance(node, Map):
        return _map({"*": _context})(node, way)
    return _each(_named_context)(node, way)


def _named_context(node: Node, way: str) -> Node:
    if not isinstance(node, Scalar):
        return node
    name, equals, context = node.text.partition("=")
    moved = _context(Scalar(node.path, node.line, context), way)
    assert isinstance(moved, Scalar)
    return Scalar(node.path, node.line, name + equals + moved.text)


def _file(node: Node, way: str) -> Node:
    """A path alone, or as `path` with more about it."""
    return _map({"path": _path})(node, way) if isinstance(node, Map) else _path(node, way)


def _build(node: Node, way: str) -> Node:
    return _LONG_BUILD(node, way) if isinstance(node, Map) else _context(node, way)


def _mount(node: Node, way: str) -> Node:
    """A bind mount in its short form, `./folder:/path`, or its long form."""
    if isinstance(node, Scalar) and node.text.startswith("."):
        source, colon, rest = node.text.partition(":")
        return Scalar(node.path, node.line, _dotted(posixpath.join(way, source)) + colon + rest)
    kind = get(node, "type")
    if isinstance(kind, Scalar) and kind.text == "bind":
        return _map({"source": _path})(node, way)
    return node


def _dotted(path: str) -> str:
    """The path with a dot before it, so that it stays a path and not the name of a volume."""
    normal = posixpath.normpath(path)
    return normal if normal.startswith(("./", "../")) or normal in (".", "..") else f"./{normal}"


def _volume_options(node: Node, way: str) -> Node:
    """The options of a volume that is a bind mount in disguise."""
    how = get(node, "o")
    bind = isinstance(how, Scalar) and "bind" in how.text.split(",")
    return _map({"device": _path})(node, way) if bind else node


_LONG_BUILD = _map({"context": _context, "additional_contexts": _contexts})
_SERVICE = _map(
    {
        "env_file": _each(_file),
        "label_file": _each(_path),
        "build": _build,
        "volumes": _each(_mount),
        "develop": _map({"watch": _each(_map({"path": _path}))}),
    }
)
_WITH_FILE = _map({"*": _map({"file": _path})})
_FILE = _map(
    {
        "services": _map({"*": _SERVICE}),
        "configs": _WITH_FILE,
        "secrets": _WITH_FILE,
        "volumes": _map({"*": _map({"driver_opts": _volume_options})}),
    }
)
