"""Where a task's named volumes have their data. Pure.

A volume counts that is the node's own (driver `local`), has a name, and is written to. Of its placeholders
those are known before a task has a node and an id that tell its slot and service; a volume with another one
is new each time, or on each node, and has no home.
"""

from __future__ import annotations

from collections.abc import Mapping

from bayplan.model import Mount, MountKind, ServiceSpec
from bayplan.placeholders import PLACEHOLDER
from controller.records import GLOBAL_MODES, Home

#: Nodes that are remembered for one volume; the one where it was longest ago is forgotten first.
HOMES_MAX = 100


def volumes(spec: ServiceSpec, service: str, slot: int) -> tuple[str, ...]:
    """The names of the volumes that tie a task to a node; `service` is the full name."""
    names = _names(spec)
    if not any("{{" in name for name in names):
        return names
    known = {".Task.Slot": str(slot), ".Service.Name": service}
    filled = (PLACEHOLDER.sub(lambda found: known.get(found[1], found[0]), name) for name in names)
    return tuple(name for name in filled if "{{" not in name)


def has_volumes(spec: ServiceSpec) -> bool:
    """Whether any of its volumes may tie a task to a node."""
    return bool(_names(spec))


def _names(spec: ServiceSpec) -> tuple[str, ...]:
    """As they were written; a service that is on each node anyway has none."""
    if spec.mode in GLOBAL_MODES:
        return ()
    return tuple(dict.fromkeys(mount.source for mount in spec.container.mounts if _has_home(mount)))


def _has_home(mount: Mount) -> bool:
    local = mount.volume is None or (mount.volume.driver in ("", "local") and not mount.volume.driver_options)
    return mount.kind is MountKind.VOLUME and bool(mount.source) and not mount.read_only and local


def order(names: tuple[str, ...], known: Mapping[str, Mapping[str, Home]], task: str) -> tuple[str, ...]:
    """The nodes that have data of these volumes, the best first: that which had the task's own slot
    (`<service>.<slot>`), then that with most of the volumes, then the one used last."""
    found: dict[str, list[Home]] = {}
    for name in names:
        for home in known.get(name, {}).values():
            found.setdefault(home.node_id, []).append(home)

    def key(node_id: str) -> tuple[bool, int, int, str]:
        homes = found[node_id]
        own = any(home.task == task for home in homes)
        return not own, -len(homes), -max(home.since_ms for home in homes), node_id

    return tuple(sorted(found, key=key))
