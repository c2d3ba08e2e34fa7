"""The agent reports before its journal holds what it says."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from agent.commands import Say
from tests.sim.daemon import Daemon
from tests.sim.mutants.base import Mutant

_real = Daemon._settle


def _settle(daemon: Daemon, changes: list[Any], commands: list[Any]) -> None:
    for command in commands:
        if isinstance(command, Say):
            daemon._perform(command)
    _real(daemon, changes, [command for command in commands if not isinstance(command, Say)])


MUTANT = Mutant("said before kept", lambda: patch.object(Daemon, "_settle", _settle))
