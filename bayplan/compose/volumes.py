"""The mounts of a service: volumes by their full names, bind paths made absolute, each target once."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

import msgspec

from bayplan.compose import typed
from bayplan.compose.fields import Placed
from bayplan.compose.report import Report, invalid, shown
from bayplan.compose.scope import Project
from bayplan.compose.travel import part
from bayplan.model import FileKind, FileMount, Mount, MountKind
from bayplan.nearest import did_you_mean


def mounts(
    project: Project, name: str, service: typed.Service
) -> tuple[tuple[Mount, ...], tuple[FileMount, ...]]:
    """The mounts in the order of the file, and the files: configs, secrets, and what travels as such.

    Errors go to the report.
    """
    written = (*service.volumes, *service.tmpfs)
    configs = project.contents.mounts(name, FileKind.CONFIG, service.configs)
    secrets = project.contents.mounts(name, FileKind.SECRET, service.secrets)
    _check_targets(project.report, name, (*written, *configs, *secrets))
    staying, travelling = part(project.contents, name, written)
    resolved: list[Mount] = []
    for placed in staying:
        with project.report.collect():
            source = _mount_source(project, placed)
            resolved.append(msgspec.structs.replace(placed.value, source=source))
    return tuple(resolved), tuple(file.value for file in (*travelling, *configs, *secrets))


def _check_targets(report: Report, name: str, mounts: Iterable[Placed[Mount] | Placed[FileMount]]) -> None:
    places: dict[str, str] = {}
    for place, mount in mounts:
        if mount.target not in places:
            places[mount.target] = place
            continue
        problem = f"services.{name} mounts {shown(mount.target)} twice"
        first = f"the first time at {places[mount.target]}"
        report.add(invalid(place, problem, first, hint="remove one of the two"))


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
