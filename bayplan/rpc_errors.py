"""Problems on their way over gRPC: out of a handler, and back out of a failed call.

A handler's ProblemError travels in the trailing metadata; a call that failed without one (no
connection, no answer in time) gets the problem that its status code means. Knows no RPC by name.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

import grpc
import grpc.aio
import msgspec
from google.protobuf.message import DecodeError

from bayplan.errors import Problem, ProblemError, ProblemKind
from bayplan.v1 import common_pb2
from bayplan.wire import WireError, from_pb, to_pb

#: The trailing metadata key; gRPC carries the values of `-bin` keys as bytes.
PROBLEM_KEY = "bayplan-problem-bin"
#: Problems of one call, as metadata. Above 8 KiB with all else, gRPC may refuse the whole answer.
PROBLEMS_BYTES_MAX = 6_000
#: Name and bookkeeping of one metadata entry (RFC 7541, 4.1: 32 bytes and the name).
_ENTRY_BYTES = 32 + len(PROBLEM_KEY)
#: What each text keeps of a problem that is above the limit alone.
CLIPPED_CHARS_MAX = 250
#: A status message travels percent-encoded, up to 12 bytes a character.
STATUS_CHARS_MAX = 100

#: The status with which a problem is sent, for clients that know only gRPC.
STATUS_OF_KIND: dict[ProblemKind, grpc.StatusCode] = {
    ProblemKind.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    ProblemKind.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    ProblemKind.REFUSED: grpc.StatusCode.FAILED_PRECONDITION,
    ProblemKind.TIMEOUT: grpc.StatusCode.DEADLINE_EXCEEDED,
    ProblemKind.UNREACHABLE: grpc.StatusCode.UNAVAILABLE,
    ProblemKind.UNAUTHORISED: grpc.StatusCode.PERMISSION_DENIED,
    ProblemKind.UNPLACEABLE: grpc.StatusCode.RESOURCE_EXHAUSTED,
}

_UNREACHABLE_HINT = "is it running, and reachable from here? On its host: systemctl status bayplan-controller"
#: What a status means when no problem came with it: kind, summary (with the peer's name), hint.
_MEANING: dict[grpc.StatusCode, tuple[ProblemKind, str, str]] = {
    grpc.StatusCode.UNAVAILABLE: (ProblemKind.UNREACHABLE, "cannot reach {peer}", _UNREACHABLE_HINT),
    grpc.StatusCode.DEADLINE_EXCEEDED: (
        ProblemKind.TIMEOUT,
        "{peer} did not answer in time",
        "it may still be working on it: look with `bayplan status`",
    ),
    grpc.StatusCode.UNAUTHENTICATED: (ProblemKind.UNAUTHORISED, "{peer} does not know who we are", ""),
    grpc.StatusCode.PERMISSION_DENIED: (ProblemKind.UNAUTHORISED, "{peer} does not allow this", ""),
    grpc.StatusCode.UNIMPLEMENTED: (
        ProblemKind.REFUSED,
        "{peer} does not know this call",
        "it may be of another version: compare `bayplan version` on both sides",
    ),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (ProblemKind.REFUSED, "too large or too busy for {peer}", ""),
    grpc.StatusCode.CANCELLED: (ProblemKind.REFUSED, "the call to {peer} was cancelled", ""),
}
#: BoringSSL's word in the details of UNAVAILABLE when the server's certificate is not from the trusted CA.
_UNTRUSTED_MARK = "CERTIFICATE_VERIFY_FAILED"
_UNTRUSTED = (
    ProblemKind.UNAUTHORISED,
    "cannot trust {peer}: its certificate is not valid in this cluster",
    "is this the right address, and are the clocks of both machines right?",
)
_FAILED = (
    ProblemKind.REFUSED,
    "{peer} failed to answer",
    "its log tells more: journalctl -u bayplan-controller",
)


async def abort_with(
    context: grpc.aio.ServicerContext[Any, Any], error: ProblemError, code: grpc.StatusCode | None = None
) -> NoReturn:
    """End the call with the error's problems attached; `code` overrides the one that the kind gives."""
    await context.abort(
        code or STATUS_OF_KIND[error.problem.kind],
        error.problem.summary[:STATUS_CHARS_MAX],
        tuple((PROBLEM_KEY, payload) for payload in _payloads(error.problems)),
    )
    raise AssertionError("abort always raises")


def problem_error_of(error: grpc.aio.AioRpcError, peer: str = "the controller") -> ProblemError:
    """What a failed call means to people: the problems that came with it, or the status's meaning.

    `peer` names the other side in a summary, e.g. "the controller at 10.0.0.1:7400".
    """
    return ProblemError(*(_attached(error.trailing_metadata()) or [_meaning(error, peer)]))


def problem_of(error: grpc.aio.AioRpcError, peer: str = "the controller") -> Problem:
    """The first problem of `problem_error_of`."""
    return problem_error_of(error, peer).problem


def _payloads(problems: Iterable[Problem]) -> list[bytes]:
    """As many whole problems as fit; the first is clipped when it does not fit alone."""
    kept: list[bytes] = []
    size_bytes = 0
    for problem in problems:
        payload = _serialised(problem)
        if not kept and _metadata_bytes(payload) > PROBLEMS_BYTES_MAX:
            payload = _serialised(_clipped(problem))
        size_bytes += _metadata_bytes(payload)
        if size_bytes > PROBLEMS_BYTES_MAX:
            break
        kept.append(payload)
    return kept


def _metadata_bytes(payload: bytes) -> int:
    return _ENTRY_BYTES + len(payload) * 4 // 3 + 4  # base64


def _serialised(problem: Problem) -> bytes:
    payload: bytes = to_pb(problem).SerializeToString()
    return payload


def _clipped(problem: Problem) -> Problem:
    texts = {name: getattr(problem, name)[:CLIPPED_CHARS_MAX] for name in ("summary", "hint", "why", "place")}
    return msgspec.structs.replace(problem, details=(), **texts)


def _attached(metadata: Iterable[tuple[str, str | bytes]] | None) -> list[Problem]:
    """The problems in trailing metadata; what cannot be read counts as absent."""
    problems: list[Problem] = []
    for key, value in metadata or ():
        if key == PROBLEM_KEY and isinstance(value, bytes):
            try:
                problems.append(from_pb(common_pb2.Problem.FromString(value)))
            except (DecodeError, WireError):
                continue
    return problems


def _meaning(error: grpc.aio.AioRpcError, peer: str) -> Problem:
    details = (error.details() or "")[:CLIPPED_CHARS_MAX]
    kind, summary, hint = _UNTRUSTED if _UNTRUSTED_MARK in details else _MEANING.get(error.code(), _FAILED)
    return Problem(
        kind=kind, summary=summary.format(peer=peer), details=(details,) if details else (), hint=hint
    )
