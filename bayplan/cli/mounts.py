"""`--mount`, `-v`, `--secret` and `--config` as Docker writes them, to mounts. Pure; raises ValueError.

A source is a name of the cluster or an absolute path of the node: nothing here is relative to this machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from bayplan.compose.mounts import parse_mode, parse_target
from bayplan.compose.names import parse_name
from bayplan.model import FileKind, FileMount, Mount, MountKind, VolumeSpec
from bayplan.nearest import did_you_mean
from bayplan.units import parse_bytes

#: Docker's words for the keys of --mount, by what they mean here.
_ALIASES = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}
_MOUNT_KEYS = (
    "type", "source", "target", "readonly", "bind-propagation", "bind-create-src", "volume-nocopy",
    "volume-driver", "volume-opt", "volume-label", "volume-subpath", "tmpfs-size", "tmpfs-mode",
)  # fmt: skip
_FILE_KEYS = ("source", "target", "uid", "gid", "mode")
#: Where files are mounted whose target is a name.
_FOLDERS = {FileKind.SECRET: "/run/secrets/", FileKind.CONFIG: "/"}
_TRUE, _FALSE = ("", "true", "1"), ("false", "0")


def parse_mount(text: str) -> Mount:
    """The mount of `type=volume,source=data,target=/data`."""
    given = pairs(text, _MOUNT_KEYS)
    kind = MountKind(_one_of(given.pop("type", ["volume"])[-1], tuple(MountKind)))
    target = given.pop("target", [""])[-1]
    if not target:
        raise ValueError(f"{text!r} names no target: add target=/path/in/the/container")
    mount = Mount(kind=kind, target=parse_target(target), source=_source(kind, given.pop("source", [""])[-1]))
    for key in ("readonly", "bind-create-src", "volume-nocopy"):
        if key in given:
            mount = replace(mount, **{_FIELDS[key]: truth(key, given.pop(key)[-1])})
    for key, (parse, of) in _VALUES.items():
        if key in given:
            _check_kind(key, kind, of)
            mount = replace(mount, **{_FIELDS[key]: parse(given.pop(key)[-1])})
    return replace(mount, volume=_volume(mount, given))


def parse_short_mount(text: str) -> Mount:
    """The mount of `-v`: `data:/data`, `/srv/data:/data:ro`, or `/data`."""
    parts = text.split(":")
    options = parts[2].split(",") if len(parts) == 3 else []
    if len(parts) > 3 or not all(parts) or set(options) - {"ro", "rw"}:
        raise ValueError(f"{text!r} is not a mount: write NAME:/path, /folder:/path:ro or /path")
    if len(parts) == 1:
        return Mount(kind=MountKind.VOLUME, target=parse_target(text))
    kind = MountKind.VOLUME if parts[0][0] not in "/.~" else MountKind.BIND
    mount = Mount(
        kind=kind,
        source=_source(kind, parts[0]),
        target=parse_target(parts[1]),
        read_only="ro" in options,
        create_source=kind is MountKind.BIND,
    )
    return replace(mount, volume=VolumeSpec() if kind is MountKind.VOLUME else None)


def parse_file(kind: FileKind, text: str) -> FileMount:
    """The file of `NAME` or `source=NAME,target=PATH,uid=0,gid=0,mode=0440`."""
    given = pairs(text, _FILE_KEYS) if "=" in text else {"source": [text]}
    source = given.get("source", [""])[-1]
    if not source:
        raise ValueError(f"{text!r} names no {kind}: write NAME, or source=NAME,target=PATH")
    target = given.get("target", [source])[-1]
    return FileMount(
        kind=kind,
        source=source,
        target=parse_target(target if target.startswith("/") else _FOLDERS[kind] + target),
        uid=_number(given.get("uid", ["0"])[-1]),
        gid=_number(given.get("gid", ["0"])[-1]),
        mode=parse_mode(given.get("mode", ["0444"])[-1]),
    )


def _source(kind: MountKind, written: str) -> str:
    if kind is MountKind.TMPFS and written:
        raise ValueError("a tmpfs has no source")
    if kind is MountKind.BIND and not written.startswith("/"):
        raise ValueError(f"{written!r} is not an absolute path of the node: tasks may run on any machine")
    return parse_name(written) if kind is MountKind.VOLUME and written else written


def _volume(mount: Mount, given: dict[str, list[str]]) -> VolumeSpec | None:
    """How the volume is made where it is missing, of what is left of the keys."""
    for key in given:
        _check_kind(key, mount.kind, MountKind.VOLUME)
    if mount.kind is not MountKind.VOLUME or not mount.source:
        return None
    return VolumeSpec(
        driver=given.get("volume-driver", [""])[-1],
        driver_options=dict(_split(each) for each in given.get("volume-opt", [])),
        labels=dict(_split(each) for each in given.get("volume-label", [])),
    )


def _check_kind(key: str, kind: MountKind, of: MountKind) -> None:
    if kind is not of:
        raise ValueError(f"{key} belongs to type={of}, not to type={kind}")


def pairs(text: str, known: tuple[str, ...]) -> dict[str, list[str]]:
    """The values of each key; the last counts where one alone can."""
    found: dict[str, list[str]] = {}
    for item in text.split(","):
        key, _, value = item.partition("=")
        key = _ALIASES.get(key.strip().lower(), key.strip().lower())
        if key not in known:
            raise ValueError(
                f"{text!r} has the unknown key {key!r}; " + did_you_mean(key, known, _all(known))
            )
        found.setdefault(key, []).append(value)
    return found


def _all(known: tuple[str, ...]) -> str:
    return f"there are {', '.join(known)}"


def _split(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    return key, value


def truth(key: str, written: str) -> bool:
    """What a switch says; its key alone is yes."""
    if written.lower() not in (*_TRUE, *_FALSE):
        raise ValueError(f"{key}={written!r} is neither true nor false")
    return written.lower() in _TRUE


def _number(written: str) -> int:
    if not (written.isascii() and written.isdigit() and len(written) <= 10):
        raise ValueError(f"{written!r} is not the number of a user or group")
    return int(written)


def _one_of(written: str, words: tuple[str, ...]) -> str:
    if written not in words:
        raise ValueError(f"type={written!r} is none of {', '.join(words)}")
    return written


_FIELDS = {
    "readonly": "read_only",
    "bind-create-src": "create_source",
    "volume-nocopy": "no_copy",
    "bind-propagation": "propagation",
    "volume-subpath": "subpath",
    "tmpfs-size": "tmpfs_size_bytes",
    "tmpfs-mode": "tmpfs_mode",
}
#: How a key's value is read, and to which kind of mount it belongs.
_VALUES: dict[str, tuple[Callable[[str], Any], MountKind]] = {
    "bind-propagation": (str, MountKind.BIND),
    "volume-subpath": (str, MountKind.VOLUME),
    "tmpfs-size": (parse_bytes, MountKind.TMPFS),
    "tmpfs-mode": (parse_mode, MountKind.TMPFS),
}
