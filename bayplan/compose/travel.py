"""Binds of files that lie in the project folder: they travel to the nodes as configs.

`./nginx.conf:/etc/nginx/nginx.conf` is on the machine of the command and on no node, so its content is
sent. What is not there, not a file, or outside the folder stays a path of the node, with a warning.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bayplan.compose.fields import Placed
from bayplan.compose.files import StackFiles, too_large
from bayplan.compose.project import PathKind
from bayplan.compose.report import invalid, shown
from bayplan.limits import FILE_BYTES_MAX
from bayplan.model import FileKind, FileMount, Mount, MountKind, StackFile

#: Most files of one folder that travels.
FOLDER_FILES_MAX = 200
#: Characters of the path that stand in the name of its config; a hash follows.
SLUG_CHARS_MAX = 40

_MODE, _PROGRAM_MODE, _FOLDER_MODE = 0o444, 0o555, 0o755
_NOT_OF_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")
_WAY_OUT = "keep it in a named volume, at an absolute path that each node has, or build it into the image"


class Parted(NamedTuple):
    """A service's mounts without those that travel, and the files that take their place."""

    mounts: tuple[Placed[Mount], ...]
    files: tuple[Placed[FileMount], ...]


class _Item(NamedTuple):
    """A file of the project and where it goes in the container."""

    path: Path
    target: str


def part(files: StackFiles, service: str, mounts: Sequence[Placed[Mount]]) -> Parted:
    """Takes the files of relative binds into `files`; sources of the other mounts stay as written.

    A folder leaves an empty read-only tmpfs at its target: as under a bind, what the image has there is
    not seen. Warns of each bind that is relative; errors go to the report.
    """
    staying: list[Placed[Mount]] = []
    shipped: list[Placed[FileMount]] = []
    for placed in mounts:
        if not _is_relative(placed.value):
            staying.append(placed)
            continue
        with files.report.collect():
            below = [each.value.target for each in mounts if each is not placed]
            items = _items(files, service, placed, below)
            if not items:
                staying.append(placed)
                continue
            shipped += _ship(files, service, placed, items)
            if items[0].target != placed.value.target:
                staying.append(Placed(placed.place, _empty_folder(placed.value.target)))
    return Parted(tuple(staying), tuple(shipped))


def config_name(relative: str) -> str:
    """The short name of the config of a file, by its path in the project folder."""
    slug = _NOT_OF_NAMES.sub("-", relative)[-SLUG_CHARS_MAX:].strip("-")
    return f"bind-{slug}-{hashlib.sha256(relative.encode()).hexdigest()[:8]}"


def _is_relative(mount: Mount) -> bool:
    return mount.kind is MountKind.BIND and not mount.source.startswith(("/", "~"))


def _empty_folder(target: str) -> Mount:
    return Mount(kind=MountKind.TMPFS, target=target, read_only=True, tmpfs_mode=_FOLDER_MODE)


def _items(files: StackFiles, service: str, placed: Placed[Mount], others: list[str]) -> list[_Item]:
    """The files to ship, none when the bind stays one of the node. Raises ProblemError if too large."""
    source, target = placed.value.source, placed.value.target
    path = files.folder.within(source)
    where = files.folder.absolute(source)
    if path is None:
        _warn_of_node_path(files, service, placed, f"outside the project folder: it is {where}")
        return []
    kind = files.folder.files.kind(path)
    if kind is PathKind.FILE:
        items = [_Item(path, target)]
    elif kind is PathKind.FOLDER:
        items = _folder_items(files, service, placed, path, others)
    else:
        items = []
    if not items:
        what = {PathKind.MISSING: "not in the project folder", PathKind.FOLDER: "an empty folder"}
        why = f"{what.get(kind, 'neither a file nor a folder')}: it is {where}"
        _warn_of_node_path(files, service, placed, why)
    return items


def _warn_of_node_path(files: StackFiles, service: str, placed: Placed[Mount], why: str) -> None:
    name = f"mounts {shown(placed.value.source)}, which is {why}"
    problem = f"{name} of the node where a task runs, and its data stays there"
    files.report.warn(placed.place, problem, f"services.{service}")


def _folder_items(
    files: StackFiles, service: str, placed: Placed[Mount], folder: Path, others: list[str]
) -> list[_Item]:
    """A folder's regular files, without those that another mount inside of it hides."""
    disk, target = files.folder.files, placed.value.target
    what = f"services.{service} mounts {shown(placed.value.source)}, which"
    hidden = tuple(f"{other}/" for other in others if other.startswith(f"{target}/"))
    try:
        paths = disk.walk(folder, FOLDER_FILES_MAX)
        if len(paths) > FOLDER_FILES_MAX:
            problem = f"{what} has more than the {FOLDER_FILES_MAX} files that travel with a stack"
            raise invalid(placed.place, problem, hint=_WAY_OUT)
        items = [_Item(path, posixpath.join(target, path.relative_to(folder))) for path in paths]
        items = [
            item
            for item in items
            if not f"{item.target}/".startswith(hidden) and disk.kind(item.path) is PathKind.FILE
        ]
        size = sum(disk.stat(item.path).size_bytes for item in items)
    except OSError as error:
        raise invalid(placed.place, f"{what} cannot be read: {error.strerror or error}") from error
    if size > FILE_BYTES_MAX:
        raise too_large(what, size, placed.place)
    return items


def _ship(
    files: StackFiles, service: str, placed: Placed[Mount], items: list[_Item]
) -> list[Placed[FileMount]]:
    source = placed.value.source
    what = f"services.{service} mounts {shown(source)}, which"
    mounts = [_config(files, item, what, placed.place) for item in items]
    kind = "as a config" if len(items) == 1 else f"as {len(items)} configs"
    text = f"ships {source} {kind}; read-only in the container"
    files.report.warn(placed.place, text, f"services.{service}")
    if placed.value.propagation:
        files.report.warn(placed.place, f"services.{service}: what travels has no propagation of mounts")
    return mounts


def _config(files: StackFiles, item: _Item, what: str, place: str) -> Placed[FileMount]:
    relative = item.path.relative_to(files.folder.path).as_posix()
    name = f"{files.stack}_{config_name(relative)}"
    content = files.folder.read(item.path, what, place)
    mode = _PROGRAM_MODE if files.folder.files.stat(item.path).executable else _MODE
    files.add(StackFile(kind=FileKind.CONFIG, name=name, content=content, place=place))
    return Placed(place, FileMount(kind=FileKind.CONFIG, source=name, target=item.target, mode=mode))
