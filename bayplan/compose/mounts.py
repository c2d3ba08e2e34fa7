"""The grammar of volumes and tmpfs, short and long form, to mounts as they are written.

A source is still the file's own: a relative path, `~`, the short name of a volume. Whoever builds the
stack resolves it and knows which volumes exist.
"""

from __future__ import annotations

import posixpath
import re

from bayplan.compose.decoders import untemplated
from bayplan.compose.fields import (
    Decoder,
    Field,
    Placed,
    Typed,
    choice,
    flag,
    one_or_each,
    placed,
    refused,
    struct,
    text,
    via,
    warned,
    yes,
)
from bayplan.compose.nodes import Map
from bayplan.compose.report import FormError, shown
from bayplan.model import Mount, MountKind
from bayplan.units import parse_bytes

#: Highest mode of a directory: sticky, set-user and set-group bits and three times rwx.
MODE_MAX = 0o7777

_GOOD = 'write "name:/path", "./folder:/path:ro", "/folder:/path" or "/path"'
_WINDOWS = re.compile(r"[A-Za-z]:[\\/]")
_NO_EFFECT = {
    "z": "an SELinux label, which is not set",
    "Z": "an SELinux label, which is not set",
    "cached": "only meant for Docker Desktop",
    "delegated": "only meant for Docker Desktop",
    "consistent": "only meant for Docker Desktop",
}
_UNSUPPORTED = ("nocopy", "shared", "rshared", "slave", "rslave", "private", "rprivate", "copy", "U", "O")


def parse_target(written: str) -> str:
    """An absolute path inside the container, normalised. Raises FormError."""
    if not written.startswith("/"):
        raise FormError(f"{shown(written)} is not an absolute path in the container", "begin it with /")
    path = "/" + posixpath.normpath(written).lstrip("/")
    if path == "/":
        raise FormError("nothing can be mounted over / in the container")
    return path


def parse_mode(written: str) -> int:
    """An octal mode, "0755" or "0o755". Raises FormError; without the leading 0 it would be ambiguous."""
    if re.fullmatch(r"0o?[0-7]{1,5}", written) is None:
        raise FormError(f"{shown(written)} is not an octal mode", 'write it with a leading 0, like "01777"')
    mode = int(written.removeprefix("0o"), 8)
    if mode > MODE_MAX:
        raise FormError(f"{shown(written)} is above the highest mode, 07777")
    return mode


def short_mount(field: Field) -> Mount:
    """The mount of `[source:]target[:options]`."""
    written = untemplated(field)
    if _WINDOWS.match(written):
        raise field.refuse("names a path of Windows, which no node has", hint=_GOOD)
    parts = written.split(":")
    if len(parts) > 3 or not all(parts):
        raise field.refuse(f"{shown(written)} is not a mount", hint=_GOOD)
    target = _target(field, parts[1] if len(parts) > 1 else parts[0])
    if len(parts) == 1:
        return Mount(kind=MountKind.VOLUME, target=target)
    source = parts[0]
    kind = MountKind.BIND if source[0] in "/.~" else MountKind.VOLUME
    if kind is MountKind.VOLUME and "/" in source:
        raise field.refuse(
            f"{shown(source)} is not a name of a volume", hint=f"for a folder write ./{source[:60]}"
        )
    return Mount(kind=kind, source=source, target=target, read_only=_read_only(field, parts[2:]))


def _read_only(field: Field, options: list[str]) -> bool:
    read_only = False
    for option in options[0].split(",") if options else ():
        if option in _NO_EFFECT:
            field.warn(f"has the option {option}, {_NO_EFFECT[option]}")
        elif option in _UNSUPPORTED:
            raise field.refuse(
                f"has the option {option}, which is not supported yet", hint="write ro, rw or none"
            )
        elif option not in ("ro", "rw"):
            raise field.refuse(f"has the unknown option {shown(option)}", hint="write ro, rw or none")
        else:
            read_only = option == "ro"
    return read_only


def _target(field: Field, written: str) -> str:
    try:
        return parse_target(written)
    except ValueError as error:
        raise field.refuse(f"is wrong: {error}", hint=_GOOD) from error


class _Bind(Typed, frozen=True, kw_only=True):
    create_host_path: bool = True


class _Volume(Typed, frozen=True, kw_only=True):
    nocopy: bool = False


class _Tmpfs(Typed, frozen=True, kw_only=True):
    size: int = 0
    mode: int = 0


class _Long(Typed, frozen=True, kw_only=True):
    type: MountKind | None = None
    source: str = ""
    target: str = ""
    read_only: bool = False
    consistency: str = ""
    bind: _Bind | None = None
    volume: _Volume | None = None
    tmpfs: _Tmpfs | None = None


def _only(decode: Decoder[bool], wanted: bool) -> Decoder[bool]:
    def read(field: Field) -> bool:
        if decode(field) is not wanted:
            raise field.refuse(f"{str(not wanted).lower()} is not supported yet", hint="remove the key")
        return wanted

    return read


_LONG = struct(
    _Long,
    {
        "type": yes(choice({kind.value: kind for kind in MountKind}, ("npipe", "cluster", "image"))),
        "source": yes(untemplated),
        "target": yes(via(parse_target)),
        "read_only": yes(flag),
        "consistency": warned(text, "has no effect on Linux"),
        "bind": yes(
            struct(
                _Bind,
                {
                    "create_host_path": yes(_only(flag, True)),
                    **refused("propagation", "selinux", "recursive"),
                },
                "a bind mount",
            )
        ),
        "volume": yes(
            struct(
                _Volume,
                {"nocopy": yes(_only(flag, False)), **refused("subpath", "labels")},
                "a volume's mount",
            )
        ),
        "tmpfs": yes(
            struct(_Tmpfs, {"size": yes(via(parse_bytes)), "mode": yes(via(parse_mode))}, "a tmpfs mount")
        ),
        **refused("image"),
    },
    "a mount",
)


def _long_mount(field: Field) -> Mount | None:
    mount = _LONG(field)
    for key, hint in (("type", "add `type: volume`, bind or tmpfs"), ("target", "add `target: /path`")):
        if key not in mount.places:
            raise field.refuse(f"has no {key}", hint=hint)
    if mount.type is None or not mount.target:
        return None
    if mount.type is MountKind.BIND and not mount.source:
        raise field.refuse("is a bind mount without a source", hint="add `source: /folder/of/the/node`")
    if mount.type is MountKind.TMPFS and mount.source:
        raise field.refuse("is a tmpfs with a source", hint="remove the source")
    for kind in MountKind:
        if kind.value in mount.places and kind is not mount.type:
            raise field.refuse(f"has options of {kind.value}, but is of type {mount.type.value}")
    tmpfs = mount.tmpfs or _Tmpfs()
    return Mount(
        kind=mount.type,
        source=mount.source,
        target=mount.target,
        read_only=mount.read_only,
        tmpfs_size_bytes=tmpfs.size,
        tmpfs_mode=tmpfs.mode,
    )


def volumes(field: Field) -> tuple[Placed[Mount], ...]:
    """A service's `volumes`, with their places."""
    mounts: list[Placed[Mount]] = []
    for item in field.items():
        with field.report.collect():
            mount = _long_mount(item) if isinstance(item.node, Map) else short_mount(item)
            if mount is not None:
                mounts.append(Placed(item.place, mount))
    return tuple(mounts)


def _tmpfs_mount(field: Field) -> Mount:
    target, _, options = text(field).partition(":")
    size = mode = 0
    for option in options.split(",") if options else ():
        name, _, value = option.partition("=")
        try:
            match name:
                case "size":
                    size = parse_bytes(value)
                case "mode":
                    mode = parse_mode("0" + value.removeprefix("0o"))
                case _:
                    raise FormError(f"the option {shown(option)} is not supported yet")
        except ValueError as error:
            raise field.refuse(
                f"is wrong: {error}", hint='write "/path" or "/path:size=64m,mode=1777"'
            ) from error
    return Mount(kind=MountKind.TMPFS, target=_target(field, target), tmpfs_size_bytes=size, tmpfs_mode=mode)


#: A service's `tmpfs`: one or several `path[:size=...,mode=...]`, with their places.
tmpfs: Decoder[tuple[Placed[Mount], ...]] = one_or_each(placed(_tmpfs_mount))
