"""One call and its ways to end: an answer in time, a problem, or a watch that outlives its controller."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

import grpc

from bayplan.client.connection import RETRY_MAX_S, RETRY_MIN_S
from bayplan.errors import ProblemError, ProblemKind, refuse
from bayplan.rpc_errors import problem_error_of
from bayplan.wire import WireError, from_pb

T = TypeVar("T")
StubT = TypeVar("StubT")

#: The deadline of a call that only reads, in seconds.
READ_S = 15.0
#: The deadline of a deploy: the controller asks the nodes before it answers. In seconds.
DEPLOY_S = 90.0
#: The deadline of another call that changes something, in seconds.
WRITE_S = 30.0
#: What grpc says, among other words, of a call whose channel was closed on this side.
CLOSED_HERE = "Channel closed"
#: The deadline of one watching stream, in seconds; the watch then opens the next.
WATCH_S = 3_600.0
#: How long a watch tries to reach a controller that went away, in seconds.
AWAY_MAX_S = 60.0


class Calls:
    """The calls about one noun, over a channel that the nouns share."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        self._stubs: dict[Any, Any] = {}

    def _stub(self, kind: Callable[[grpc.Channel], StubT]) -> StubT:
        """The service's stub, made when it is first needed."""
        if kind not in self._stubs:
            self._stubs[kind] = kind(self._channel)
        return cast(StubT, self._stubs[kind])


def call(method: Any, request: Any, timeout_s: float) -> Any:
    """The answer's message. Raises ProblemError."""
    try:
        return method(request, timeout=timeout_s)
    except grpc.RpcError as error:
        raise problem(error) from None


def watch(method: Any, request: Any, read: Callable[[Any], T], notice: Callable[[str], None]) -> Iterator[T]:
    """The stream's views; a stream that ends is opened again while the controller may come back."""
    heard_s = time.monotonic()
    pause_s = RETRY_MIN_S
    while True:
        try:
            for answer in method(request, timeout=WATCH_S):
                heard_s, pause_s = time.monotonic(), RETRY_MIN_S
                yield read(answer)
        except grpc.RpcError as error:
            if not _may_come_back(error) or time.monotonic() - heard_s > AWAY_MAX_S:
                raise problem(error) from None
        if pause_s == RETRY_MIN_S:
            notice("the controller is away; waiting for it to come back")
        time.sleep(pause_s * random.uniform(0.8, 1.2))
        pause_s = min(2 * pause_s, RETRY_MAX_S)


def problem(error: grpc.RpcError) -> ProblemError:
    """What a failed call means to people."""
    # A failed synchronous call answers the same questions (code, details, trailing metadata).
    return problem_error_of(cast(Any, error))


def _may_come_back(error: grpc.RpcError) -> bool:
    """How a controller goes away: its socket is gone, the deadline passes, or it ends its calls. A call that
    ends with our own channel does not come back."""
    if error.code() is grpc.StatusCode.CANCELLED:
        return CLOSED_HERE not in (error.details() or "")
    return error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def values(messages: Any) -> tuple[Any, ...]:
    """The structs of repeated messages. Raises ProblemError."""
    return tuple(value(message) for message in messages)


def value(message: Any) -> Any:
    """The struct of a message. Raises ProblemError when it makes none."""
    try:
        return from_pb(message)
    except WireError as error:
        raise refuse(
            ProblemKind.REFUSED,
            "the controller's answer cannot be understood",
            str(error),
            hint="client and controller may be of different versions",
            why="bayplan version",
        ) from None
