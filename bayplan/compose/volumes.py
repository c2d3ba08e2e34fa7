"""The mounts of a service: volumes by their full names, bind paths made absolute, each target once."""

from __future__ import annotations

import posixpath

import msgspec

from bayplan.compose import typed
from bayplan.compose.fields import Placed
from bayplan.compose.report import invalid, shown
from bayplan.compose.scope import Project
from bayplan.model import Mount, MountKind
from bayplan.nearest import did_you_mean


def mounts(project: Project, name: str, service: typed.Service) -> tuple[Mount, ...]:
    """The mounts in the order of the file; errors go to the report."""
    by_target: dict[str, Placed[Mount]] = {}
    for placed in (*service.volumes, *service.tmpfs):
        first = by_target.setdefault(placed.value.target, placed)
        with project.report.collect():
            if first is not placed:
                raise invalid(
                    placed.place,
                    f"services.{name} mounts {shown(placed.value.target)} twice",
                    f"the first time at {first.place}",
                    hint="remove one of the two",
                )
            source = _mount_source(project, placed)
            by_target[placed.value.target] = Placed(
                placed.place, msgspec.structs.replace(placed.value, source=source)
            )
    return tuple(mount.value for mount in by_target.values())


def _mount_source(project: Project, placed: Placed[Mount]) -> str:
    mount = placed.value
    if mount.kind is MountKind.VOLUME and mount.source:
        return _volume_name(project, placed)
    if mount.kind is not MountKind.BIND:
        return ""
    if mount.source.startswith("~"):
        home, rest = project.environment.get("HOME", ""), mount.source[1:]
        if rest[:1] not in ("", "/") or not home:
            hint = "write the whole path"
            raise invalid(placed.place, f"the home folder of {shown(mount.source)} is not known", hint=hint)
        return posixpath.normpath(home + rest)
    return posixpath.normpath(project.folder / mount.source)


def _volume_name(project: Project, placed: Placed[Mount]) -> str:
    name = placed.value.source
    volume = project.volumes.get(name)
    if volume is None:
        otherwise = f"add it to the top-level `volumes:`, or write ./{name} for a folder"
        hint = did_you_mean(name, project.volumes, otherwise)
        raise invalid(placed.place, f"the volume {shown(name)} is not in the file's volumes", hint=hint)
    return volume.value.name or name if volume.value.external else f"{project.stack}_{name}"
