"""`stack deploy --build`: which docker commands run, and that nothing is sent when one fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bayplan.cli.building import command_of
from bayplan.compose.images import Build
from tests.doors.cli.canned_controller import World
from tests.doors.cli.cli_world import Answer, Cli

COMPOSE = """\
services:
  api:
    build: {context: ., dockerfile: Other, args: {A: "1"}}
  web:
    image: demo:1
"""


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that takes the place of docker and writes down how it was called."""
    (tmp_path / "docker-compose.yml").write_text(COMPOSE)
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    script = f'echo "$*" >>{tmp_path}/asked; [ "$1" = version ] || exit ${{CODE:-0}}'
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return program


def deploy(cli: Cli, *more: str) -> Answer:
    return cli("stack", "deploy", "-d", "-c", "docker-compose.yml", *more, "shop")


def test_the_image_is_built_here_and_then_deployed(
    world: World, cli: Cli, docker: Path, tmp_path: Path
) -> None:
    assert deploy(cli, "--build").code == 0
    built = (tmp_path / "asked").read_text().splitlines()[1]
    assert built == f"build --tag shop-api:latest --build-arg A=1 --file {tmp_path}/Other {tmp_path}"
    (request,) = world.asked
    assert [each.container.image for each in request.stack.services] == ["shop-api:latest", "demo:1"]


def test_a_dry_run_builds_nothing(world: World, cli: Cli, docker: Path, tmp_path: Path) -> None:
    assert deploy(cli, "--build", "--dry-run").code == 0
    assert not (tmp_path / "asked").exists()


def test_a_build_that_fails_ends_the_command_and_nothing_is_sent(
    world: World, cli: Cli, docker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODE", "7")
    answer = deploy(cli, "--build")
    assert (answer.code, answer.out) == (1, "")
    assert "docker-compose.yml:3: the image shop-api:latest of api was not built" in answer.err
    assert world.asked == world.planned == []


def test_without_an_engine_the_way_out_is_named(world: World, cli: Cli, docker: Path) -> None:
    docker.write_text("#!/bin/sh\necho 'Cannot connect to the Docker daemon' >&2; exit 1\n")
    answer = deploy(cli, "--build")
    assert answer.code == 1
    assert "--build needs a container engine on this machine, and none answers" in answer.err
    assert "  Cannot connect to the Docker daemon" in answer.err
    assert world.asked == []


def test_every_key_of_build_is_a_flag() -> None:
    build = Build(
        service="api", image="a:1", context="https://example.org/x.git", dockerfile="D", target="t",
        labels={"l": "1"}, cache_from=("c",), no_cache=True, pull=True, network="host", shm_bytes=64,
        extra_hosts=("h:1.2.3.4",), tags=("a:2",), platforms=("linux/amd64", "linux/arm64"),
    )  # fmt: skip
    assert command_of(build) == [
        "docker", "build", "--tag", "a:1", "--tag", "a:2", "--label", "l=1", "--cache-from", "c",
        "--add-host", "h:1.2.3.4", "--file", "D", "--target", "t", "--network", "host", "--shm-size", "64",
        "--platform", "linux/amd64,linux/arm64", "--no-cache", "--pull", "https://example.org/x.git",
    ]  # fmt: skip
