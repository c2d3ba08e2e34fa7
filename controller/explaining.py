"""Why a service or a task stands as it does, out of the state: nodes' verdicts, last events and outputs."""

from __future__ import annotations

from bayplan.views import Explanation
from controller import names
from controller.state import State


def explain(state: State, target: str, now_ms: int) -> Explanation:
    """The explanation of a service or a task by any of its names. Raises ProblemError (NOT_FOUND)."""
    service = names.find_service(state, target)
    return Explanation(subject=service.name)
