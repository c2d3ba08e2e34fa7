"""Keeps the node's witness: starts it, tells it what to show, and ends it when the node is dismissed.

The witness is a process of its own (agent/witness.py) and outlives the agent; the next one takes it over.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import structlog

from bayplan.files import write_whole
from bayplan.session import Welcome

#: How often the witness is looked after, and told that an agent lives; it waits five times as long.
CARE_S = 60.0
#: A witness that has not begun by then is left to itself.
START_S_MAX = 5.0

_PROGRAM = Path(__file__).resolve().parents[1] / "witness.py"
_log = structlog.get_logger(__name__)


class WitnessKeeper:
    """`folder` belongs to this node alone; `host` gives the controller's at the moment."""

    def __init__(self, folder: Path, host: Callable[[], str]) -> None:
        self._folder = folder
        self._host = host
        self._told = ""

    def welcomed(self, welcome: Welcome) -> None:
        """Let the witness show the session's ticket. A witness that cannot be had is done without."""
        if welcome.witness_port:
            self._tell(f"{self._host()} {welcome.witness_port} {welcome.witness_ticket}\n")
            self._look_after()

    def dismissed(self) -> None:
        """This is no node any more: the witness ends, also one of an agent before this."""
        if self._folder.is_dir():
            self._tell("")

    async def run(self) -> None:
        """Look after the witness, forever."""
        while True:
            await asyncio.sleep(CARE_S)
            if self._told:
                self._tell(self._told)
                self._look_after()

    def _tell(self, told: str) -> None:
        self._told = told
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(self._folder / "told", told.encode("ascii"))
        except OSError as error:
            _log.warning("the witness cannot be told what to show", cause=str(error))

    def _look_after(self) -> None:
        """Start the witness if there is none. It leaves us at once, which takes some 20 ms."""
        try:
            if not self._there():
                command = [sys.executable, "-I", "-S", str(_PROGRAM), str(self._folder)]
                nowhere = subprocess.DEVNULL
                subprocess.run(
                    command, stdin=nowhere, stdout=nowhere, stderr=nowhere, timeout=START_S_MAX, check=False
                )
        except (OSError, subprocess.TimeoutExpired) as error:
            _log.warning("the witness cannot be started", cause=str(error))

    def _there(self) -> bool:
        """Whether a witness holds the folder's lock."""
        lock = os.open(self._folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return False
            return True
        finally:
            os.close(lock)
