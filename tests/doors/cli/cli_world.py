"""The command line as a test runs it: in this process, or as a program of its own."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from bayplan.cli.__main__ import main

PROGRAM = str(Path(sys.executable).parent / "bayplan")


@dataclass(frozen=True)
class Answer:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


class Cli:
    """`cli("service", "ls")` runs `bayplan -H socket service ls` as a script would: no terminal."""

    def __init__(
        self, socket: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.socket = socket
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def __call__(self, *args: str, stdin: str = "") -> Answer:
        self._monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(stdin.encode())))
        self._capsys.readouterr()
        code = main(["-H", str(self.socket), *args])
        printed = self._capsys.readouterr()
        return Answer(code, printed.out, printed.err)

    def program(self, *args: str) -> list[str]:
        """The same as a command line for a process of its own."""
        return [PROGRAM, "-H", f"unix://{self.socket}", *args]


def environment(**more: str) -> dict[str, str]:
    """This process's environment without what is meant for bayplan itself."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("BAYPLAN")}
    return {**kept, **more}


def on_a_terminal(command: list[str], folder: Path, typed: str = "") -> tuple[int, str]:
    """Runs a program on a pseudo-terminal; its exit code and all that it showed."""
    ours, theirs = pty.openpty()
    program = subprocess.Popen(
        command, stdout=theirs, stderr=theirs, stdin=theirs, cwd=folder,
        env=environment(TERM="xterm", NO_COLOR="1", COLUMNS="100"),
    )  # fmt: skip
    os.close(theirs)
    os.write(ours, typed.encode())
    screen = b""
    with contextlib.suppress(OSError):  # a pty ends with EIO
        while chunk := os.read(ours, 65_536):
            screen += chunk
    os.close(ours)
    return program.wait(20), screen.decode()
