"""The engine's failures, classified and made fit for people."""

from __future__ import annotations

import pytest
from aiodocker.exceptions import DockerError

from agent.events import FaultKind
from agent.runtime.faults import cleaned, fault_of

PORT = (
    "driver failed programming external connectivity on endpoint bp-t1 (0123abcd): "
    "Bind for 0.0.0.0:8080 failed: port is already allocated"
)
COMMAND = (
    "OCI runtime create failed: container_linux.go:380: starting container process caused: "
    'exec: "nosuch": executable file not found in $PATH: unknown'
)
NEWER = (
    "failed to create task for container: failed to create shim task: OCI runtime create failed: "
    'runc create failed: unable to start container process: exec: "nosuch": executable file not found '
    "in $PATH: unknown"
)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (PORT, "Bind for 0.0.0.0:8080 failed: port is already allocated"),
        (COMMAND, 'exec: "nosuch": executable file not found in $PATH'),
        (NEWER, 'exec: "nosuch": executable file not found in $PATH'),
        ("Error response from daemon: no\n such  thing", "no such thing"),
    ],
)
def test_the_reason_is_what_the_engine_wrapped(message: str, reason: str) -> None:
    assert cleaned(message) == reason


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (DockerError(404, "No such image: web:1"), FaultKind.NO_IMAGE),
        (DockerError(404, "No such container: bp-t1"), FaultKind.NO_CONTAINER),
        (DockerError(404, "network shop_default not found"), FaultKind.REFUSED),
        (DockerError(500, PORT), FaultKind.REFUSED),
        (DockerError(400, "invalid mount config"), FaultKind.REFUSED),
        (DockerError(500, "context canceled"), FaultKind.UNANSWERED),
        (DockerError(500, "transport is closing"), FaultKind.UNANSWERED),
        (DockerError(900, "Cannot connect"), FaultKind.UNANSWERED),
        (DockerError(503, "starting"), FaultKind.UNANSWERED),
        (TimeoutError(), FaultKind.UNANSWERED),
        (ConnectionResetError("reset"), FaultKind.UNANSWERED),
    ],
)
def test_only_an_engine_in_trouble_is_asked_again(error: Exception, kind: FaultKind) -> None:
    assert fault_of(error, 5).kind is kind
