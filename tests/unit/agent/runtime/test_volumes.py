"""Which volumes must be there already."""

from __future__ import annotations

from agent.runtime.volumes import external_names
from bayplan.model import Mount, MountKind, VolumeSpec
from tests.unit.agent.decide.world import config


def test_only_named_volumes_that_are_not_made_here_must_be_there() -> None:
    volumes = (
        Mount(kind=MountKind.VOLUME, target="/a", source="shop_data", volume=VolumeSpec()),
        Mount(kind=MountKind.VOLUME, target="/b", source="outer-{{.Task.Slot}}"),
        Mount(kind=MountKind.VOLUME, target="/c"),
        Mount(kind=MountKind.BIND, target="/d", source="/srv"),
        Mount(kind=MountKind.TMPFS, target="/e"),
    )
    assert list(external_names(config(mounts=volumes))) == ["outer-2"]
