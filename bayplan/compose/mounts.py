"""The grammar of volumes and tmpfs, short and long form, to mounts as they are written.

A source is still the file's own: a relative path, `~`, the short name of a volume. Whoever builds the
stack resolves it and knows which volumes exist.
"""

from __future__ import annotations

import posixpath
import re

import msgspec

from bayplan.compose import typed
from bayplan.compose.decoders import few, templated
from bayplan.compose.fields import (
    Decoder,
    Field,
    Keys,
    Placed,
    Typed,
    choice,
    flag,
    labels,
    one_or_each,
    placed,
    refused,
    struct,
    text,
    via,
    warned,
    yes,
)
from bayplan.compose.names import parse_name
from bayplan.compose.nodes import Map, Scalar
from bayplan.compose.report import FormError, shown
from bayplan.model import Mount, MountKind, VolumeSpec
from bayplan.nearest import did_you_mean
from bayplan.units import parse_bytes

#: Highest mode of a directory: sticky, set-user and set-group bits and three times rwx.
MODE_MAX = 0o7777

_GOOD = 'write "name:/path", "./folder:/path:ro", "/folder:/path" or "/path"'
_WINDOWS = re.compile(r"[A-Za-z]:(?:\\|/[^:]*:/)")
_SELINUX = "an SELinux label, which is not set: label the path on the nodes with chcon"
_NO_EFFECT = {
    "z": _SELINUX,
    "Z": _SELINUX,
    "cached": "only meant for Docker Desktop",
    "delegated": "only meant for Docker Desktop",
    "consistent": "only meant for Docker Desktop",
    "U": "only meant for Podman: chown the path on the nodes",
}
_PROPAGATIONS = ("private", "rprivate", "rshared", "rslave", "shared", "slave")
# What the engine knows of a tmpfs besides size, mode and ro (moby's pkg/mount, flags of tmpfs).
_TMPFS_OPTION = re.compile(
    r"(?:uid|gid|nr_inodes|nr_blocks)=\d{1,10}k?|mpol=[a-z0-9:-]{1,60}"
    r"|(?:no)?(?:exec|suid|dev|mand|atime|diratime|relatime|strictatime)|a?sync|dirsync"
)
_OPTIONS = ("ro", "rw", "nocopy", *_NO_EFFECT, *_PROPAGATIONS)


def parse_target(written: str) -> str:
    """An absolute path inside the container, normalised. Raises FormError."""
    if not written.startswith("/"):
        raise FormError(f"{shown(written)} is not an absolute path in the container", "begin it with /")
    path = "/" + posixpath.normpath(written).lstrip("/")
    if path == "/":
        raise FormError("nothing can be mounted over / in the container")
    return path


def parse_mode(written: str) -> int:
    """An octal mode: "0755", "0o755" or "755". Raises FormError."""
    if re.fullmatch(r"(?:0o?)?[0-7]{1,5}", written) is None:
        raise FormError(f"{shown(written)} is not an octal mode", 'write it like "01777"')
    mode = int(written.removeprefix("0o"), 8)
    if mode > MODE_MAX:
        raise FormError(f"{shown(written)} is above the highest mode, 07777")
    return mode


def file_mode(field: Field) -> int:
    """A mode: octal with a leading 0 or in quotes. A bare 288 is decimal, as YAML and Docker have it."""
    written = text(field)
    bare = isinstance(field.node, Scalar) and field.node.plain and not written.startswith("0")
    if not (bare and written.isascii() and written.isdigit() and len(written) <= 5):
        return via(parse_mode)(field)
    mode = int(written)
    if mode > MODE_MAX:
        raise field.refuse(f"is above the highest mode, 07777: {written}", hint='write it like "01777"')
    field.warn(f"is decimal: {written} is the mode {mode:04o}; an octal mode begins with 0")
    return mode


def short_mount(field: Field) -> Mount:
    """The mount of `[source:]target[:options]`."""
    written = templated(field)
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
    mount = Mount(kind=kind, source=source, target=target, create_source=kind is MountKind.BIND)
    return _with_options(field, mount, parts[2].split(",") if len(parts) > 2 else [])


def _with_options(field: Field, mount: Mount, options: list[str]) -> Mount:
    """The mount with the options of its short form; those without effect are warned of."""
    changes: dict[str, object] = {}
    for option in filter(None, options):
        if option in _NO_EFFECT:
            field.warn(f"has the option {option}, {_NO_EFFECT[option]}")
        elif option in _PROPAGATIONS and mount.kind is MountKind.BIND:
            changes["propagation"] = option
        elif option == "nocopy" and mount.kind is MountKind.VOLUME:
            changes["no_copy"] = True
        elif option in ("ro", "rw"):
            changes["read_only"] = option == "ro"
        elif option in _OPTIONS:
            raise field.refuse(f"has the option {option}, which is not one of a {mount.kind} mount")
        else:
            hint = did_you_mean(option, _OPTIONS, "write ro, rw or none")
            raise field.refuse(f"has the unknown option {shown(option)}", hint=hint)
    return msgspec.structs.replace(mount, **changes)


def _target(field: Field, written: str) -> str:
    try:
        return parse_target(written)
    except ValueError as error:
        raise field.refuse(f"is wrong: {error}", hint=_GOOD) from error


class _Bind(Typed, frozen=True, kw_only=True):
    create_host_path: bool = True
    propagation: str = ""
    recursive: str = ""


class _Volume(Typed, frozen=True, kw_only=True):
    nocopy: bool = False
    subpath: str = ""
    labels: dict[str, str] = {}


class _Tmpfs(Typed, frozen=True, kw_only=True):
    size: int = 0
    mode: int = 0


class _Long(Typed, frozen=True, kw_only=True):
    type: MountKind | None = None
    source: str = ""
    target: str = ""
    read_only: bool = False
    bind: _Bind = _Bind()
    volume: _Volume = _Volume()
    tmpfs: _Tmpfs = _Tmpfs()


BIND: Keys = {
    "create_host_path": yes(flag, "true where it is not written"),
    "propagation": yes(choice({word: word for word in _PROPAGATIONS})),
    "recursive": yes(
        choice(
            {"enabled": "enabled"},
            dict.fromkeys(
                ("disabled", "readonly", "writable"), "mounts below the source are seen too: remove the key"
            ),
        ),
        "`enabled` only",
    ),
    "selinux": warned(text, _SELINUX),
}
VOLUME_MOUNT: Keys = {
    "nocopy": yes(flag),
    "subpath": yes(text),
    "labels": yes(labels, "of the volume, when it is made"),
}
TMPFS: Keys = {"size": yes(via(parse_bytes)), "mode": yes(file_mode)}
_NO_TYPE = {
    "npipe": "named pipes are of Windows, and nodes run Linux: mount a socket with `type: bind`",
    "cluster": "there are no CSI volumes: write `type: volume`, with a volume driver that the nodes have",
    "image": "write `type: volume`, and copy the content in with a service that runs once",
}
MOUNT: Keys = {
    "type": yes(choice({kind.value: kind for kind in MountKind}, _NO_TYPE), "`volume`, `bind` or `tmpfs`"),
    "source": yes(templated),
    "target": yes(via(parse_target)),
    "read_only": yes(flag),
    "consistency": warned(text, "has no effect on Linux"),
    "bind": yes(struct(_Bind, BIND, "a bind mount")),
    "volume": yes(struct(_Volume, VOLUME_MOUNT, "a volume's mount")),
    "tmpfs": yes(struct(_Tmpfs, TMPFS, "a tmpfs mount")),
    "image": refused("images are not mounted", _NO_TYPE["image"]),
}
_LONG = struct(_Long, MOUNT, "a mount")


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
            field.warn(f"is of type {mount.type.value}: its options of {kind.value} have no effect")
    return _of_type(mount, mount.type)


def _of_type(long: _Long, kind: MountKind) -> Mount:
    mount = Mount(kind=kind, source=long.source, target=long.target, read_only=long.read_only)
    match kind:
        case MountKind.BIND:
            bind = long.bind
            return msgspec.structs.replace(
                mount, create_source=bind.create_host_path, propagation=bind.propagation
            )
        case MountKind.VOLUME:
            volume = long.volume
            spec = VolumeSpec(labels=volume.labels) if volume.labels else None
            return msgspec.structs.replace(mount, no_copy=volume.nocopy, subpath=volume.subpath, volume=spec)
        case MountKind.TMPFS:
            tmpfs = long.tmpfs
            return msgspec.structs.replace(mount, tmpfs_size_bytes=tmpfs.size, tmpfs_mode=tmpfs.mode)


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
    mount = Mount(kind=MountKind.TMPFS, target=_target(field, target))
    for option in filter(None, options.split(",")):
        name, _, value = option.partition("=")
        try:
            match name:
                case "size":
                    mount = msgspec.structs.replace(mount, tmpfs_size_bytes=parse_bytes(value))
                case "mode":
                    mount = msgspec.structs.replace(mount, tmpfs_mode=parse_mode(value))
                case "ro" | "rw":
                    mount = msgspec.structs.replace(mount, read_only=name == "ro")
                case _ if _TMPFS_OPTION.fullmatch(option):
                    mount = msgspec.structs.replace(mount, tmpfs_options=(*mount.tmpfs_options, option))
                case _:
                    raise FormError(f"the option {shown(option)} is not known")
        except ValueError as error:
            raise field.refuse(
                f"is wrong: {error}", hint='write "/path" or "/path:size=64m,mode=1777"'
            ) from error
    return mount


#: A service's `tmpfs`: one or several `path[:size=...,mode=...]`, with their places.
tmpfs: Decoder[tuple[Placed[Mount], ...]] = one_or_each(placed(_tmpfs_mount))


def _volumes_from(field: Field) -> typed.Link:
    service, colon, mode = text(field).partition(":")
    if colon and service == "container":
        hint = "name a service of this file, or share a named volume"
        raise field.refuse("container:... is not supported", hint=hint)
    if mode not in ("", "ro", "rw"):
        raise field.refuse(f"has the unknown option {shown(mode)}", hint='write "service" or "service:ro"')
    return typed.Link(
        service=via(parse_name)(field._replace(node=Scalar("", 0, service))), read_only=mode == "ro"
    )


#: A service's `volumes_from`: services, with their places.
volumes_from: Decoder[tuple[Placed[typed.Link], ...]] = few(one_or_each(placed(_volumes_from)))
