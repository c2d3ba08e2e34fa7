"""Mounts as the engine takes them.

The Mounts API refuses a missing bind source; Binds makes it as a folder. A mount that shall make its
source uses the latter, so that the engine makes it in the file system that it sees.
"""

from __future__ import annotations

from typing import Any

from bayplan.model import Mount, MountKind, VolumeSpec


def binds(mounts: tuple[Mount, ...]) -> list[str]:
    """The mounts that make their source, as `source:target:options`."""
    return [_bind(mount) for mount in mounts if _makes_source(mount)]


def mount_requests(mounts: tuple[Mount, ...], volume_labels: dict[str, str]) -> list[dict[str, Any]]:
    """All that are in neither `binds` nor `tmpfs`. Volumes that are made where they are missing, and only
    they, get `volume_labels`."""
    rest = (mount for mount in mounts if not _makes_source(mount) and not mount.tuned)
    return [_mount(mount, volume_labels) for mount in rest]


def tmpfs(mounts: tuple[Mount, ...]) -> dict[str, str]:
    """Those in memory with options that the Mounts API has no words for: target to options."""
    return {mount.target: ",".join(_tmpfs_options(mount)) for mount in mounts if mount.tuned}


def _tmpfs_options(mount: Mount) -> list[str]:
    size = [f"size={mount.tmpfs_size_bytes}"] if mount.tmpfs_size_bytes else []
    mode = [f"mode={mount.tmpfs_mode:o}"] if mount.tmpfs_mode else []
    return [*size, *mode, *(["ro"] if mount.read_only else []), *mount.tmpfs_options]


def _makes_source(mount: Mount) -> bool:
    """A path with a colon cannot be written as a bind: CreateMountpoint of engines from 23.0 serves it."""
    return mount.kind is MountKind.BIND and mount.create_source and ":" not in mount.source + mount.target


def _bind(mount: Mount) -> str:
    options = ["ro" if mount.read_only else "rw"] + ([mount.propagation] if mount.propagation else [])
    return f"{mount.source}:{mount.target}:{','.join(options)}"


def _mount(mount: Mount, volume_labels: dict[str, str]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "Type": str(mount.kind),
        "Source": mount.source,
        "Target": mount.target,
        "ReadOnly": mount.read_only,
    }
    key, options = _options(mount, volume_labels)
    options = {name: value for name, value in options.items() if value}
    return made | ({key: options} if options else {})


def _options(mount: Mount, volume_labels: dict[str, str]) -> tuple[str, dict[str, Any]]:
    match mount.kind:
        case MountKind.TMPFS:
            return "TmpfsOptions", {"SizeBytes": mount.tmpfs_size_bytes, "Mode": mount.tmpfs_mode}
        case MountKind.BIND:
            return "BindOptions", {
                "Propagation": mount.propagation,
                "CreateMountpoint": mount.create_source,
            }
        case MountKind.VOLUME:
            volume = mount.volume
            return "VolumeOptions", {
                "NoCopy": mount.no_copy,
                "Subpath": mount.subpath,
                "Labels": volume.labels | volume_labels if volume and mount.source else {},
                "DriverConfig": _driver(volume) if volume else {},
            }


def _driver(volume: VolumeSpec) -> dict[str, Any]:
    """Empty: the engine's default."""
    if not volume.driver and not volume.driver_options:
        return {}
    return {"Name": volume.driver or "local", "Options": volume.driver_options}
