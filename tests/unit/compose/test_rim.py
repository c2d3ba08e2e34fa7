"""Reading from the disk: which folder, which env file, what is missing."""

from __future__ import annotations

import io
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from bayplan.compose import read
from bayplan.compose.project import FileStat, PathKind
from bayplan.compose.rim import Disk
from bayplan.errors import ProblemError

FILE = "services:\n  web:\n    image: nginx:${TAG}\n    volumes: [./a:/a]\n    env_file: web.env\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "compose.yml").write_text(FILE)
    (tmp_path / "app" / "web.env").write_text("A=$TAG\n")
    return tmp_path / "app"


def test_variables_come_from_the_env_file_beside_the_first_file(folder: Path) -> None:
    (folder / ".env").write_text("TAG=1\nTAG2=${TAG}2\n")
    web = read("shop", [folder / "compose.yml"], environ={}).stack.services[0]
    assert web.container.image == "nginx:1"
    assert web.container.environment == ("A=1",)
    assert web.container.mounts[0].source == str(folder / "a")
    assert web.places["image"] == f"{folder}/compose.yml:3"


def test_the_environment_wins_over_the_env_file(folder: Path) -> None:
    (folder / ".env").write_text("TAG=1\n")
    assert (
        read("shop", [folder / "compose.yml"], environ={"TAG": "2"}).stack.services[0].container.image
        == "nginx:2"
    )


def test_another_env_file_replaces_the_one_beside_the_file(folder: Path, tmp_path: Path) -> None:
    (folder / ".env").write_text("TAG=1\n")
    (tmp_path / "other").write_text("TAG=3\n")
    web = read("shop", [folder / "compose.yml"], [tmp_path / "other"], environ={}).stack.services[0]
    assert web.container.image == "nginx:3"


def test_places_show_the_path_as_it_was_given(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    web = read("shop", ["compose.yml"], environ={"TAG": "1"}).stack.services[0]
    assert web.places["image"] == "compose.yml:3"
    assert web.container.mounts[0].source == str(folder / "a")


def test_a_dash_is_standard_input_in_the_working_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(FILE.encode())))
    web = read("shop", ["-"], environ={"TAG": "1"}).stack.services[0]
    assert web.places["image"] == "<stdin>:3"
    assert web.container.mounts[0].source == str(folder / "a")


@pytest.mark.parametrize("there", [False, True])
def test_a_missing_variable_says_where_the_env_file_was_looked_for(folder: Path, there: bool) -> None:
    (folder / "compose.yml").write_text("services: {web: {image: 'nginx:${TAG?which}'}}")
    if there:
        (folder / ".env").write_text("OTHER=1\n")
    with pytest.raises(ProblemError) as caught:
        read("shop", [folder / "compose.yml"], environ={})
    found = (
        f".env was read at {folder}/.env" if there else f".env was looked for at {folder}/.env: there is none"
    )
    assert caught.value.problem.lines()[:2] == [
        f"error: {folder}/compose.yml:1: the variable TAG is not set: which",
        f"  {found}",
    ]


@pytest.mark.parametrize("name", ["none.yml", "."])
def test_a_file_that_cannot_be_read_is_a_problem(folder: Path, name: str) -> None:
    with pytest.raises(ProblemError, match="the compose file cannot be read"):
        read("shop", [folder / name], environ={})


def test_a_missing_env_file_that_was_asked_for_is_a_problem(folder: Path) -> None:
    with pytest.raises(ProblemError, match="the env file does not exist"):
        read("shop", [folder / "compose.yml"], [folder / "none.env"], environ={})


def test_a_bad_line_of_the_env_file_is_a_problem_with_its_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / ".env").write_text("TAG=1\nwhat is this\n")
    with pytest.raises(ProblemError) as caught:
        read("shop", ["compose.yml"], environ={})
    assert caught.value.problem.place == ".env:2"


def test_warnings_of_the_env_file_come_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / ".env").write_text("TAG=1$NONE\n")
    warnings = read("shop", ["compose.yml"], environ={}).warnings
    assert warnings[0] == ".env:1: the variable NONE is not set; it becomes empty"


def test_a_link_out_of_the_project_folder_is_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.env").write_text("A=1\n")
    (folder / "web.env").unlink()
    (folder / "web.env").symlink_to(tmp_path / "secret.env")
    with pytest.raises(ProblemError, match="leads out of the project folder"):
        read("shop", [folder / "compose.yml"], environ={"TAG": "1"})


def test_an_endless_file_is_refused(folder: Path) -> None:
    with pytest.raises(ProblemError, match="more than the"):
        read("shop", ["/dev/zero"], environ={})


def test_several_env_files_count_the_last_first(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "one").write_text("TAG=1\nOTHER=1\n")
    (tmp_path / "two").write_text("TAG=${TAG}2\n")
    files = [tmp_path / "one", tmp_path / "two"]
    web = read("shop", [folder / "compose.yml"], files, environ={}).stack.services[0]
    assert web.container.image == "nginx:12"
    web = read("shop", [folder / "compose.yml"], files, environ={"TAG": "3"}).stack.services[0]
    assert web.container.image == "nginx:3"


def test_a_missing_variable_names_the_env_files_that_were_read(folder: Path, tmp_path: Path) -> None:
    (folder / "compose.yml").write_text("services: {web: {image: 'nginx:${TAG?}'}}")
    (tmp_path / "one").write_text("OTHER=1\n")
    with pytest.raises(ProblemError) as caught:
        read("shop", [folder / "compose.yml"], [tmp_path / "one"], environ={})
    assert caught.value.problem.details == (f"instead of .env, {tmp_path}/one was read",)


def test_a_project_folder_can_be_wider_than_that_of_the_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("TAG=9\n")
    (tmp_path / "web.env").write_text("A=wide\n")
    (tmp_path / "common.yml").write_text("services:\n  db:\n    image: db\n")
    (folder / "compose.yml").write_text(f"include: [common.yml]\n{FILE}")
    stack = read("shop", ["app/compose.yml"], project_directory=".", environ={}).stack
    services = {each.name: each for each in stack.services}
    assert services["web"].container.image == "nginx:9"
    assert services["web"].container.environment == ("A=wide",)
    assert services["web"].places["image"] == "app/compose.yml:4"
    assert services["db"].places["image"] == "common.yml:3"


def test_the_places_of_included_files_are_as_the_first_file_was_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    (folder / "db.yml").write_text("services:\n  db:\n    image: db\n")
    (folder / "compose.yml").write_text("include: [db.yml]\n")
    assert read("shop", ["app/compose.yml"], environ={}).stack.services[0].places["image"] == "app/db.yml:3"


def test_a_project_folder_that_is_none_is_a_problem(folder: Path) -> None:
    with pytest.raises(ProblemError, match="the project folder is not a folder"):
        read("shop", [folder / "compose.yml"], project_directory=folder / "none", environ={})


@pytest.mark.parametrize(
    "key", ["include: [other.yml]", "services: {a: {extends: {file: other.yml, service: a}}}"]
)
def test_a_compose_file_behind_a_link_out_of_the_folder_is_not_read(
    folder: Path, tmp_path: Path, key: str
) -> None:
    (tmp_path / "other.yml").write_text("services: {a: {image: a}}")
    (folder / "other.yml").symlink_to(tmp_path / "other.yml")
    (folder / "compose.yml").write_text(key)
    with pytest.raises(ProblemError, match="a symbolic link leads out of the project folder") as caught:
        read("shop", [folder / "compose.yml"], environ={})
    assert caught.value.problem.place == f"{folder}/compose.yml:1"


def test_a_link_within_the_folder_is_followed(folder: Path) -> None:
    (folder / "real.yml").write_text("services: {a: {image: a}}")
    (folder / "other.yml").symlink_to("real.yml")
    (folder / "compose.yml").write_text("include: [other.yml]")
    assert read("shop", [folder / "compose.yml"], environ={}).stack.services[0].name == "a"


def test_the_disk_tells_what_is_there_and_walks_in_order(folder: Path, tmp_path: Path) -> None:
    (folder / "b").mkdir()
    for name in ("z", "b/y", "b/x"):
        (folder / name).write_text(name)
    os.mkfifo(folder / "pipe")
    disk = Disk(folder)
    kinds = [disk.kind(folder / name) for name in ("z", "b", "pipe", "none", "z\0")]
    assert kinds == [PathKind.FILE, PathKind.FOLDER, PathKind.OTHER, PathKind.MISSING, PathKind.MISSING]
    assert disk.walk(folder / "b", 10) == [folder / "b/x", folder / "b/y"]
    assert len(disk.walk(folder, 2)) == 3
    assert disk.read(folder / "z", 0) == b"z"
    assert disk.stat(folder / "b/y") == FileStat(3, executable=False)
    with pytest.raises(PermissionError):
        disk.walk(tmp_path, 10)
    with pytest.raises(OSError, match="it is not a file"):
        disk.read(folder / "pipe", 10)
