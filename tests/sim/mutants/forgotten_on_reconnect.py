"""An agent that reconnects does not say which containers it has."""

from __future__ import annotations

from unittest.mock import patch

import msgspec

from agent import talk
from agent.state import State
from bayplan.model import Now
from bayplan.session import Hello
from tests.sim.mutants.base import Mutant

_real = talk.hello


def _hello(state: State, now: Now) -> Hello:
    return msgspec.structs.replace(_real(state, now), tasks=())


MUTANT = Mutant("containers forgotten on reconnect", lambda: patch.object(talk, "hello", _hello))
