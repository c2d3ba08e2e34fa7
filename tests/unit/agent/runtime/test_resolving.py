"""Files that tell containers their name server: there with the container, gone with it."""

from __future__ import annotations

from pathlib import Path

from agent.runtime.resolving import ResolverFiles


def test_a_task_has_a_file_of_its_own_until_it_is_removed(tmp_path: Path) -> None:
    files = ResolverFiles(tmp_path)
    mount = files.put("t1", "nameserver 10.64.0.1\n")
    path = Path(mount["Source"])
    assert path.read_text() == "nameserver 10.64.0.1\n"
    assert path.stat().st_mode & 0o777 == 0o644
    assert (mount["Type"], mount["Target"]) == ("bind", "/etc/resolv.conf")
    assert files.put("t2", "")["Source"] != mount["Source"]
    files.remove("t1")
    files.remove("t1")
    assert not path.exists()


def test_what_belongs_to_no_task_goes(tmp_path: Path) -> None:
    files = ResolverFiles(tmp_path)
    files.keep_only(["t1"])
    kept, other = (Path(files.put(each, "")["Source"]) for each in ("t1", "t2"))
    half, old = kept.with_name(".t1.x7f"), kept.with_name(".t2.x7f")
    for each in (half, old):
        each.touch()
    files.keep_only(["t1"])
    assert [each.exists() for each in (kept, half, other, old)] == [True, True, False, False]
