"""The controller answers its callers before the changes are durable."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from controller.events import Reply
from tests.sim.daemon import Daemon
from tests.sim.mutants.base import Mutant

_real = Daemon._settle


def _settle(daemon: Daemon, changes: list[Any], commands: list[Any]) -> None:
    for command in commands:
        if isinstance(command, Reply):
            daemon._perform(command)
    _real(daemon, changes, [command for command in commands if not isinstance(command, Reply)])


MUTANT = Mutant("replied before durable", lambda: patch.object(Daemon, "_settle", _settle))
