"""A canned controller on a real socket, and the command line that speaks with it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doors.cli.canned_controller import World, serve
from tests.doors.cli.cli_world import Cli


@pytest.fixture
def socket_path() -> Iterator[Path]:
    """Short, because the path of a unix socket may have 107 characters only."""
    with tempfile.TemporaryDirectory(prefix="bp-") as folder:
        yield Path(folder) / "controller.sock"


@pytest.fixture
def world(socket_path: Path) -> Iterator[World]:
    world = World()
    server = serve(world, socket_path)
    yield world
    server.stop(0).wait()


@pytest.fixture
def cli(
    socket_path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Cli:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BAYPLAN_HOST", raising=False)
    return Cli(socket_path, capsys, monkeypatch)
