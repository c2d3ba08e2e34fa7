"""What makes an item of a list the same as one of an earlier file: the keys of the merge rules.

Works on what is written, short or long form, before it is read; None for what has not the right form,
which is then kept, so that its reading gives the error.
"""

from __future__ import annotations

import posixpath

from bayplan.compose.nodes import List, Map, Node, Scalar, get

_ANY_ADDRESS = frozenset({"", "0.0.0.0"})


def text(node: Node) -> str | None:
    """A single value: its text."""
    return node.text if isinstance(node, Scalar) else None


def port(node: Node) -> tuple[str, ...] | None:
    """A published port: address, published, target and protocol."""
    if isinstance(node, Scalar):
        written, _, protocol = node.text.strip().partition("/")
        rest, _, target = written.rpartition(":")
        address, _, published = rest.rpartition(":")
    elif isinstance(node, Map):
        address, published, target, protocol = (
            _member(node, key) for key in ("host_ip", "published", "target", "protocol")
        )
    else:
        return None
    bare = address.removeprefix("[").removesuffix("]")
    return ("" if bare in _ANY_ADDRESS else bare, published, target, protocol.lower() or "tcp")


def exposed(node: Node) -> str | None:
    """An exposed port: the port and its protocol."""
    return node.text.strip().removesuffix("/tcp") if isinstance(node, Scalar) else None


def volume(node: Node) -> str | None:
    """A mount: its target."""
    if not isinstance(node, Scalar):
        return _path(_member(node, "target"))
    parts = node.text.split(":")
    return _path(parts[1] if len(parts) > 1 else parts[0])


def tmpfs(node: Node) -> str | None:
    """A tmpfs: its target."""
    return _path(node.text.partition(":")[0]) if isinstance(node, Scalar) else None


def device(node: Node) -> str | None:
    """A device: its path in the container."""
    if isinstance(node, Scalar):
        return volume(node)
    return _path(_member(node, "target") or _member(node, "source"))


def secret(node: Node) -> str | None:
    """A secret of a service: where it is mounted."""
    return _mounted(node, "/run/secrets")


def config(node: Node) -> str | None:
    """A config of a service: where it is mounted."""
    return _mounted(node, "/")


def file(node: Node) -> str | None:
    """A file, alone or as `path`."""
    return _path(node.text if isinstance(node, Scalar) else _member(node, "path"))


def subnet(node: Node) -> str | None:
    """An entry of a network's addresses."""
    return _member(node, "subnet") or None


def host(node: Node) -> tuple[str, str] | None:
    """A line of `extra_hosts`: name and address."""
    if not isinstance(node, Scalar):
        return None
    cut = min((at for sign in "=:" if (at := node.text.find(sign)) >= 0), default=len(node.text))
    return node.text[:cut], node.text[cut + 1 :].removeprefix("[").removesuffix("]")


def host_lines(node: Node) -> Node:
    """`extra_hosts` as a list of name=address, also when written as a mapping."""
    if not isinstance(node, Map):
        return node
    lines = (
        Scalar(value.path, value.line, f"{name}={value.text}") if isinstance(value, Scalar) else value
        for name, entry in node.entries.items()
        for value in (entry.value.items if isinstance(entry.value, List) else (entry.value,))
    )
    return List(node.path, node.line, tuple(lines))


def _mounted(node: Node, folder: str) -> str | None:
    written = node.text if isinstance(node, Scalar) else _member(node, "target") or _member(node, "source")
    return posixpath.join(folder, written) if written else None


def _member(node: Node, key: str) -> str:
    value = get(node, key)
    return value.text if isinstance(value, Scalar) else ""


def _path(written: str) -> str | None:
    return posixpath.normpath(written) if written else None
