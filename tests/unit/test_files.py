"""Files that are whole or absent."""

import os

import pytest

from bayplan.files import PUBLIC_MODE, make_secret_folder, write_whole


def test_a_secret_file_is_the_owners_alone_whatever_the_umask(tmp_path):
    old = os.umask(0)
    try:
        write_whole(tmp_path / "key", b"secret")
        write_whole(tmp_path / "cert", b"public", PUBLIC_MODE)
        make_secret_folder(tmp_path / "deep" / "folder")
    finally:
        os.umask(old)
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "cert").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "deep" / "folder").stat().st_mode & 0o777 == 0o700


def test_a_file_is_replaced_and_leaves_nothing_beside_it(tmp_path):
    write_whole(tmp_path / "file", b"old")
    write_whole(tmp_path / "file", b"new")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"file": b"new"}


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "inside").write_bytes(b"old")
    with pytest.raises(OSError, match="taken"):
        write_whole(tmp_path / "taken", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
    assert (tmp_path / "taken" / "inside").read_bytes() == b"old"
