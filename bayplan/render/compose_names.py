"""The keys by which one compose file names its networks, volumes, configs and secrets.

A key is the full name without the stack's where that can be; `name:` says the full one where it cannot.
"""

from __future__ import annotations

import msgspec

from bayplan.limits import SERVICE_NAME
from bayplan.model import FileKind, FileMount, Mount, MountKind, NetworkAttachment, StackSpec, VolumeSpec


class Keys:
    """Keys of one top-level mapping, each for one full name, given out in the order of the questions."""

    def __init__(self, stack: str) -> None:
        self._prefix = f"{stack}_"
        self._keys: dict[str, str] = {}

    def of(self, name: str) -> str:
        """The key of a full name; always the same one."""
        if name not in self._keys:
            taken = set(self._keys.values())
            usable = (key for key in (name.removeprefix(self._prefix), name) if SERVICE_NAME.fullmatch(key))
            numbered = (f"n{number}" for number in range(1, len(taken) + 2))
            self._keys[name] = next(key for key in (*usable, *numbered) if key not in taken)
        return self._keys[name]

    def naming(self, name: str, *, external: bool) -> dict[str, object]:
        """The entries that make a reader of the key find the full name again."""
        key = self.of(name)
        usual = key if external else self._prefix + key
        return {
            "name": None if usual == name else name,
            "external": external or None,
        }


class Names:
    """The keys of a whole file."""

    def __init__(self, stack: StackSpec) -> None:
        self.networks = Keys(stack.name)
        self.volumes = Keys(stack.name)
        self.files = {kind: Keys(stack.name) for kind in FileKind}
        self.volume_specs = _volume_specs(stack)
        # Whoever names no network is in the one of this key, so that no other may have it.
        self.default_network = f"{stack.name}_default"
        self.networks.of(self.default_network)

    def of_file(self, file: FileMount) -> str:
        """The key of a config or secret."""
        return self.files[file.kind].of(file.source)

    def of_network(self, attachment: NetworkAttachment) -> str:
        """The key of a network."""
        return self.networks.of(attachment.network)

    def of_volume(self, mount: Mount) -> str:
        """The key of a named volume."""
        return self.volumes.of(mount.source)


def _volume_specs(stack: StackSpec) -> dict[str, VolumeSpec | None]:
    """How each named volume is made, with the labels that all its mounts give it; None if it is external."""
    specs: dict[str, VolumeSpec | None] = {}
    for mount in (mount for service in stack.services for mount in service.container.mounts):
        if mount.kind is MountKind.VOLUME and mount.source:
            known = specs.get(mount.source) or mount.volume
            if known is not None and mount.volume is not None:
                common = known.labels.items() & mount.volume.labels.items()
                known = msgspec.structs.replace(known, labels=dict(sorted(common)))
            specs[mount.source] = known
    return specs
