"""The mounts of a service: volumes by their full names, bind paths made absolute, each target once."""

from __future__ import annotations

import posixpath
from collections import deque
from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from bayplan.compose import typed
from bayplan.compose.fields import Placed
from bayplan.compose.report import Report, invalid, shown
from bayplan.compose.scope import Project
from bayplan.compose.travel import part
from bayplan.model import FileKind, FileMount, Mount, MountKind, VolumeSpec
from bayplan.nearest import did_you_mean

#: Most mounts that a service has from others by `volumes_from`: each one brings its own ones too.
SHARED_MOUNTS_MAX = 100


def mounts(
    project: Project, name: str, service: typed.Service
) -> tuple[tuple[Mount, ...], tuple[FileMount, ...]]:
    """The mounts in the order of the file, and the files: configs, secrets, and what travels as such.

    Errors go to the report.
    """
    written = _each_once((*service.volumes, *service.tmpfs))
    written += tuple(_mounts_of_others(project, name, {mount.value.target for mount in written}))
    configs = project.contents.mounts(name, FileKind.CONFIG, service.configs)
    secrets = project.contents.mounts(name, FileKind.SECRET, service.secrets)
    _check_targets(project.report, name, (*written, *configs, *secrets))
    staying, travelling = part(project.contents, name, written)
    resolved: list[Mount] = []
    for placed in staying:
        with project.report.collect():
            resolved.append(_resolved(project, placed))
    return tuple(resolved), tuple(file.value for file in (*travelling, *configs, *secrets))


def _each_once(written: Iterable[Placed[Mount]]) -> tuple[Placed[Mount], ...]:
    """The mounts without those that say again what an earlier one said."""
    first: dict[str, Placed[Mount]] = {}
    return tuple(
        placed
        for placed in written
        if (known := first.setdefault(placed.value.target, placed)) is placed or known.value != placed.value
    )


def _check_targets(report: Report, name: str, mounts: Iterable[Placed[Mount] | Placed[FileMount]]) -> None:
    places: dict[str, str] = {}
    for place, mount in mounts:
        if mount.target not in places:
            places[mount.target] = place
            continue
        problem = f"services.{name} mounts {shown(mount.target)} twice"
        first = f"the first time at {places[mount.target]}"
        report.add(invalid(place, problem, first, hint="remove one of the two"))


def _mounts_of_others(project: Project, name: str, taken: set[str]) -> Iterator[Placed[Mount]]:
    """What `volumes_from` brings, theirs included: each target once, the service's own mounts first."""
    own = project.services[name].value.volumes_from
    todo = deque((placed.place, placed.value) for placed in own)
    seen = {name}  # a circle is told with the dependencies
    most = len(taken) + SHARED_MOUNTS_MAX
    while todo and not project.report.full:
        place, link = todo.popleft()
        if len(taken) > most:
            problem = f"services.{name} has more than {SHARED_MOUNTS_MAX} volumes from other services"
            project.report.add(invalid(place, problem, hint="name in `volumes` what it needs"))
            return
        other = project.services.get(link.service)
        if other is None:
            hint = did_you_mean(link.service, project.services, "add that service, or remove it here")
            problem = f"services.{name} has volumes from {shown(link.service)}, which is not in the file"
            project.report.add(invalid(place, problem, hint=hint))
        elif link.service not in seen:
            seen.add(link.service)
            todo += (
                (place, replace(placed.value, read_only=link.read_only or placed.value.read_only))
                for placed in other.value.volumes_from
            )
            for mount in (placed.value for placed in other.value.volumes):
                if mount.target not in taken and _can_be_shared(project, name, place, mount):
                    taken.add(mount.target)
                    yield Placed(place, replace(mount, read_only=mount.read_only or link.read_only))


def _can_be_shared(project: Project, name: str, place: str, mount: Mount) -> bool:
    if mount.source or mount.kind is not MountKind.VOLUME:
        return mount.kind is not MountKind.TMPFS
    target = shown(mount.target)
    project.report.warn(place, f"services.{name} does not share the volume at {target}: it has no name")
    return False


def _resolved(project: Project, placed: Placed[Mount]) -> Mount:
    mount = placed.value
    if mount.kind is MountKind.VOLUME and mount.source:
        return _named_volume(project, placed)
    bound = mount.kind is MountKind.BIND
    return replace(mount, source=_path(project, placed.place, mount.source) if bound else "")


def _path(project: Project, place: str, source: str) -> str:
    if not source.startswith("~"):
        return posixpath.normpath(posixpath.join(project.folder, source))
    home, rest = project.environment.get("HOME", ""), source[1:]
    if rest[:1] not in ("", "/") or not home:
        hint = "write the whole path"
        raise invalid(place, f"the home folder of {shown(source)} is not known", hint=hint)
    return posixpath.normpath(home + rest)


def _named_volume(project: Project, placed: Placed[Mount]) -> Mount:
    """The mount with the volume's full name, and how it is made; an external one is not made here."""
    mount = placed.value
    found = project.volumes.get(mount.source)
    if found is None:
        otherwise = f"add it to the top-level `volumes:`, or write ./{mount.source} for a folder"
        hint = did_you_mean(mount.source, project.volumes, otherwise)
        raise invalid(
            placed.place, f"the volume {shown(mount.source)} is not in the file's volumes", hint=hint
        )
    volume = found.value
    if volume.external is not None:
        return replace(mount, source=volume.name or volume.external or mount.source, volume=None)
    spec = VolumeSpec(
        driver="" if volume.driver == "local" else volume.driver,
        driver_options=_driver_options(project, mount.source, found),
        labels={**volume.labels, **(mount.volume.labels if mount.volume else {})},
    )
    return replace(mount, source=volume.name or f"{project.stack}_{mount.source}", volume=spec)


def _driver_options(project: Project, key: str, placed: Placed[typed.Volume]) -> dict[str, str]:
    """The options of a volume; that of a bind mount in disguise begins in the project folder too."""
    options = placed.value.driver_opts
    device = options.get("device", "")
    if not device or device.startswith("/") or "bind" not in options.get("o", "").split(","):
        return options
    path = _path(project, placed.place, device)
    problem = f"volumes.{key} is the folder {path} of the node where a task runs, which has to be there"
    project.report.warn(placed.place, problem)
    return {**options, "device": path}
