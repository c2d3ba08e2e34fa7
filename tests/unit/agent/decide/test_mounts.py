"""Mounts as the engine takes them."""

from __future__ import annotations

from typing import Any

from bayplan.model import Mount, MountKind, VolumeSpec
from tests.unit.agent.decide.world import host

OURS = {"bayplan.node": "n1", "bayplan.cluster": "c1", "bayplan.stack": "shop"}


def mounted(kind: MountKind, **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = host(mounts=(Mount(kind=kind, target="/t", **fields),))["Mounts"][0]
    return made


def bound(**fields: Any) -> list[str]:
    mount = Mount(kind=MountKind.BIND, source="/srv", target="/t", create_source=True, **fields)
    made = host(mounts=(mount,))
    assert made["Mounts"] == []
    binds: list[str] = made["Binds"]
    return binds


def test_a_bind_that_must_exist_uses_the_api_that_refuses_a_missing_source() -> None:
    made = host(mounts=(Mount(kind=MountKind.BIND, source="/etc", target="/e", read_only=True),))
    assert made["Mounts"] == [{"Type": "bind", "Source": "/etc", "Target": "/e", "ReadOnly": True}]
    assert "Binds" not in made


def test_a_bind_that_makes_its_source_uses_the_api_that_does() -> None:
    assert bound() == ["/srv:/t:rw"]
    assert bound(read_only=True, propagation="rslave") == ["/srv:/t:ro,rslave"]


def test_a_path_with_a_colon_is_made_by_the_newer_api() -> None:
    made = mounted(MountKind.BIND, source="/a:b", create_source=True, propagation="rshared")
    assert made["Source"] == "/a:b"
    assert made["BindOptions"] == {"Propagation": "rshared", "CreateMountpoint": True}


def test_a_volume_is_made_as_it_was_defined_and_carries_our_labels() -> None:
    volume = VolumeSpec(driver_options={"type": "tmpfs"}, labels={"mine": "yes", "bayplan.node": "forged"})
    made = mounted(MountKind.VOLUME, source="shop_data", no_copy=True, subpath="a/b", volume=volume)
    assert made["VolumeOptions"] == {
        "NoCopy": True,
        "Subpath": "a/b",
        "Labels": {"mine": "yes"} | OURS,
        "DriverConfig": {"Name": "local", "Options": {"type": "tmpfs"}},
    }


def test_an_anonymous_volume_is_left_to_the_engine() -> None:
    assert mounted(MountKind.VOLUME) == {"Type": "volume", "Source": "", "Target": "/t", "ReadOnly": False}


def test_an_external_volume_does_not_get_our_labels() -> None:
    made = mounted(MountKind.VOLUME, source="outer", no_copy=True)
    assert made["VolumeOptions"] == {"NoCopy": True}


def test_tmpfs_has_a_size_and_a_mode() -> None:
    made = mounted(MountKind.TMPFS, tmpfs_size_bytes=64, tmpfs_mode=0o1777)
    assert made["TmpfsOptions"] == {"SizeBytes": 64, "Mode": 0o1777}
