"""The end of an older session counts as the end of the current one."""

from __future__ import annotations

from unittest.mock import patch

import msgspec

from controller.core import sessions
from controller.core.turn import Turn
from controller.events import SessionLost
from tests.sim.mutants.base import Mutant

_real = sessions.session_lost


def _session_lost(turn: Turn, event: SessionLost) -> None:
    life = turn.state.lives.get(event.node_id)
    _real(turn, event if life is None else msgspec.structs.replace(event, session_id=life.session_id))


MUTANT = Mutant("no session fence", lambda: patch.object(sessions, "session_lost", _session_lost))
