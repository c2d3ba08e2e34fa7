"""The engine's JSON as values."""

from __future__ import annotations

from typing import Any

import pytest

from agent.decide.status import PROBE_OUTPUT_CHARS_MAX, unhealthy_message
from agent.events import Container
from agent.runtime.views import container_view


def shown(*probes: tuple[int, str]) -> Container:
    """A running container whose health checks ended so."""
    log: list[dict[str, Any]] = [{"ExitCode": code, "Output": output} for code, output in probes]
    state = {
        "Status": "running",
        "StartedAt": "2026-01-02T03:04:05.678Z",
        "FinishedAt": "0001-01-01T00:00:00Z",
        "Health": {"Status": "unhealthy", "Log": log},
    }
    config = {"Labels": {"bayplan.task": "t1"}}
    return container_view(
        {"Id": "c1", "State": state, "Config": config, "HostConfig": {}, "NetworkSettings": {}}
    )


@pytest.mark.parametrize(
    ("probes", "output", "message"),
    [
        ([], "", "unhealthy: its health check failed"),
        ([(0, "fine")], "", "unhealthy: its health check failed"),
        ([(1, "no\n")], "no\n(exit code 1)", "unhealthy: no"),
        ([(1, "a"), (0, "fine"), (2, "b")], "b\n(exit code 2)\na\n(exit code 1)", "unhealthy: b"),
        ([(1, "no")] * 5, "no\n(exit code 1, 3 times in a row)", "unhealthy: no"),
        ([(1, "")], "(exit code 1)", "unhealthy: (exit code 1)"),
        ([(-1, "exceeded timeout (1s)")], "exceeded timeout (1s)", "unhealthy: exceeded timeout (1s)"),
    ],
)
def test_the_last_failed_checks_are_told_newest_first(
    probes: list[tuple[int, str]], output: str, message: str
) -> None:
    container = shown(*probes)
    assert container.probe_output == output
    assert unhealthy_message(container) == message


def test_three_long_outputs_fit_into_what_is_told() -> None:
    container = shown(*((code, str(code) * 9_999) for code in (1, 2, 3)))
    assert len(container.probe_output) <= PROBE_OUTPUT_CHARS_MAX
    assert container.probe_output.endswith("(exit code 1)")
