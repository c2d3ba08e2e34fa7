"""Relative binds: what lies in the project folder travels as configs, the rest stays a path of the node."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bayplan.compose import read
from bayplan.compose.travel import FOLDER_FILES_MAX, config_name
from bayplan.errors import ProblemError
from bayplan.model import FileKind, FileMount, Mount, MountKind, StackFile
from tests.unit.compose.world import loaded, refusal, service, service_refusal, wrapped

BIND, TMPFS = MountKind.BIND, MountKind.TMPFS
KIB = 1024


def shipped(path: str, target: str, mode: int = 0o444) -> FileMount:
    return FileMount(kind=FileKind.CONFIG, source=f"shop_{config_name(path)}", target=target, mode=mode)


@pytest.mark.parametrize(
    "volume",
    [
        "./nginx.conf:/etc/nginx.conf:ro",
        "./nginx.conf:/etc/nginx.conf",
        "./x/../nginx.conf:/etc/nginx.conf",
        "{type: bind, source: ./nginx.conf, target: /etc/nginx.conf, read_only: true}",
        "{type: bind, source: nginx.conf, target: /etc/nginx.conf}",
        "'${HERE}/nginx.conf:/etc/nginx.conf'",
    ],
)
def test_a_file_of_the_project_travels_as_a_config(volume: str) -> None:
    found = loaded(wrapped(f"volumes: [{volume}]"), {"nginx.conf": "events {}"}, HERE=".")
    container = found.stack.services[0].container
    name = f"shop_{config_name('nginx.conf')}"
    assert container.mounts == ()
    assert container.files == (FileMount(kind=FileKind.CONFIG, source=name, target="/etc/nginx.conf"),)
    assert found.stack.files == (
        StackFile(kind=FileKind.CONFIG, name=name, content=b"events {}", place="compose.yml:4"),
    )
    assert len(found.warnings) == 1
    assert found.warnings[0].endswith("as a config; read-only in the container")
    assert found.warnings[0].startswith("compose.yml:4: services.web ships ")


def test_the_name_of_a_shipped_file_tells_its_path() -> None:
    assert config_name("conf.d/my site.conf") == "bind-conf.d-my-site.conf-27b6fd38"


def test_two_paths_never_share_a_name() -> None:
    assert len({config_name(path) for path in ("a/b", "a-b", "a b", "a+b")}) == 4


def test_a_folder_of_the_project_travels_file_by_file() -> None:
    files = {"conf.d/a.conf": "1", "conf.d/more/b.conf": "2", "other": "3"}
    found = service("volumes: ['./conf.d:/etc/nginx/conf.d:ro']", files).container
    assert found.files == (
        shipped("conf.d/a.conf", "/etc/nginx/conf.d/a.conf"),
        shipped("conf.d/more/b.conf", "/etc/nginx/conf.d/more/b.conf"),
    )


def test_what_the_image_has_at_the_target_of_a_folder_is_not_seen() -> None:
    found = service("volumes: ['./conf.d:/etc/nginx/conf.d']", {"conf.d/a.conf": "1"}).container
    assert found.mounts == (Mount(kind=TMPFS, target="/etc/nginx/conf.d", read_only=True, tmpfs_mode=0o755),)


def test_only_regular_files_of_a_folder_travel(tmp_path: Path) -> None:
    folder = tmp_path / "conf"
    folder.mkdir()
    (folder / "a").write_text("1")
    (folder / "run").write_text("2")
    (folder / "run").chmod(0o755)
    (folder / "broken").symlink_to(folder / "none")
    (folder / "linked").symlink_to(folder / "a")
    os.mkfifo(folder / "pipe")
    compose = tmp_path / "compose.yml"
    compose.write_text("services: {web: {image: a, volumes: ['./conf:/conf', './conf/pipe:/pipe']}}")
    found = read("shop", [compose]).stack.services[0].container
    assert {file.target: file.mode for file in found.files} == {
        "/conf/a": 0o444, "/conf/linked": 0o444, "/conf/run": 0o555
    }  # fmt: skip
    assert [mount.source for mount in found.mounts] == ["", str(folder / "pipe")]


def test_a_link_out_of_the_project_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("1")
    project = tmp_path / "project"
    project.mkdir()
    (project / "in").symlink_to(tmp_path / "outside")
    (project / "compose.yml").write_text("services: {web: {image: a, volumes: ['./in:/in']}}")
    with pytest.raises(ProblemError) as caught:
        read("shop", [project / "compose.yml"])
    assert "a symbolic link leads out of the project folder" in caught.value.problem.summary


def test_scripts_stay_executable() -> None:
    files = {"entrypoint.sh": "#!/bin/sh\n"}
    found = service("volumes: ['./entrypoint.sh:/entrypoint.sh']", files).container
    assert found.files == (shipped("entrypoint.sh", "/entrypoint.sh", mode=0o555),)


def test_a_mount_inside_of_a_folder_hides_what_is_below_it() -> None:
    files = {"app/main.py": "1", "app/cache/x": "2", "app/cached": "3", "app/own": "4", "own": "5"}
    body = "volumes: ['./app:/app', '/app/cache', './own:/app/own']"
    found = service(body, files).container
    assert [file.target for file in found.files] == ["/app/cached", "/app/main.py", "/app/own"]
    assert found.files[2].source == f"shop_{config_name('own')}"


def test_one_file_for_several_services_is_sent_once() -> None:
    text = """\
    services:
      a: {image: a, volumes: ["./x:/x"]}
      b: {image: b, volumes: ["./x:/y"]}
    """
    assert len(loaded(text, {"x": "1"}).stack.files) == 1


@pytest.mark.parametrize(
    ("source", "path", "why"),
    [
        ("./data", "/srv/app/data", "not in the project folder: it is /srv/app/data"),
        ("../data", "/srv/data", "outside the project folder: it is /srv/data"),
    ],
)
def test_what_is_not_in_the_project_stays_a_path_of_the_node(source: str, path: str, why: str) -> None:
    found = loaded(wrapped(f"volumes: ['{source}:/d']"))
    (mount,) = found.stack.services[0].container.mounts
    assert (mount.kind, mount.source, mount.target) == (BIND, path, "/d")
    assert found.stack.files == ()
    assert found.warnings == (
        f"compose.yml:4: services.web mounts '{source}', which is {why} of the node where a task runs, "
        "and its data stays there",
    )


@pytest.mark.parametrize("source", ["/srv/app/x", "~/x"])
def test_a_path_that_is_not_relative_stays_one_of_the_node_without_a_word(source: str) -> None:
    found = loaded(wrapped(f"volumes: ['{source}:/d']"), {"x": "1"}, HOME="/srv/app")
    assert found.stack.services[0].container.mounts[0].source == "/srv/app/x"
    assert found.stack.services[0].container.files == ()
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"x": "1" * 501 * KIB}, "has 501 KiB, more than the 500 KiB that travel with a stack"),
        (
            {"x/a": "1" * 300 * KIB, "x/b": "1" * 300 * KIB},
            "has 600 KiB, more than the 500 KiB that travel with a stack",
        ),
        (
            {f"x/{number}": "" for number in range(FOLDER_FILES_MAX + 1)},
            "has more than the 200 files that travel with a stack",
        ),
    ],
    ids=["file", "folder", "files"],
)
def test_what_is_too_large_to_travel_says_what_to_do(files: dict[str, str], problem: str) -> None:
    assert service_refusal("volumes: ['./x:/d']", files) == [
        f"error: compose.yml:4: services.web mounts './x', which {problem}",
        "hint: keep it in a named volume, at an absolute path that each node has, or build it into the image",
    ]


def test_a_shipped_file_and_a_config_cannot_have_one_target() -> None:
    text = """\
    services:
      web:
        image: nginx
        configs: [{source: a, target: /x}]
        volumes: ["./x:/x"]
    configs: {a: {content: y}}
    """
    assert refusal(text, {"x": "1"})[0] == "error: compose.yml:4: services.web mounts '/x' twice"


def test_propagation_of_a_bind_that_travels_is_told_to_have_no_effect() -> None:
    volume = "{type: bind, source: ./a, target: /a, bind: {propagation: rshared}}"
    warnings = loaded(wrapped(f"volumes: [{volume}]"), {"a": ""}).warnings
    assert any("no propagation" in warning for warning in warnings)
