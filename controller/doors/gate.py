"""The one way in for all doors: ask the core, read what is durable, wait for changes.

It knows the pump and the state, and nothing of gRPC's or HTTP's forms except how a handler's
ProblemError leaves.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import aclosing
from typing import Any, TypeVar

import grpc.aio

from bayplan.errors import Problem, ProblemError, ProblemKind
from bayplan.model import Now
from bayplan.pump import InboxFullError, Pump, read_clock
from bayplan.rpc_errors import abort_with
from bayplan.wire import WireError
from controller.events import CallerLeft, Event, Publish, Reply
from controller.state import State

#: Callers that may wait for a reply at the same time.
CALLERS_MAX = 10_000
#: Watchers (streams and blocking queries) at the same time.
WATCHERS_MAX = 10_000
#: Changes within this time reach a watcher together, in milliseconds.
WATCH_WINDOW_MS = 50

F = TypeVar("F", bound=Callable[..., Any])
Context = grpc.aio.ServicerContext[Any, Any]

_BUSY = Problem(kind=ProblemKind.REFUSED, summary="the controller is busy", hint="try again in a few seconds")


class Gate:
    """What doors have of the controller's inside."""

    def __init__(self, state: State, pump: Pump[Event], clock: Callable[[], Now] = read_clock) -> None:
        self._state = state
        self._pump = pump
        self._callers: dict[str, asyncio.Future[Any]] = {}
        self._watchers: dict[asyncio.Event, str] = {}
        self.clock = clock

    def post(self, event: Event) -> None:
        """Hand an event to the core. Raises InboxFullError."""
        self._pump.post(event)

    async def ask(self, make: Callable[[str], Event]) -> Any:
        """Hand over the event that `make` gives for a ticket, and wait for its reply. Raises ProblemError."""
        if len(self._callers) >= CALLERS_MAX:
            raise ProblemError(_BUSY)
        ticket = secrets.token_hex(8)
        answer = asyncio.get_running_loop().create_future()
        self._callers[ticket] = answer
        try:
            self.post(make(ticket))
            reply: Reply = await answer
        except asyncio.CancelledError:
            self.post(CallerLeft(ticket=ticket))
            raise
        finally:
            del self._callers[ticket]
        if reply.problems:
            raise ProblemError(*reply.problems)
        return reply.value

    async def settled(self) -> None:
        """Wait until all that the core has decided is durable; true until the next await."""
        await self._pump.settled()

    async def read(self) -> State:
        """The state, once all of it is durable; to be read before the next await."""
        await self.settled()
        return self._state

    async def changes(self, stack: str = "", window_ms: int = WATCH_WINDOW_MS) -> AsyncIterator[State]:
        """The state now, and again after changes of a stack (or of anything); slow readers miss some.

        Changes within `window_ms` come together.
        """
        if len(self._watchers) >= WATCHERS_MAX:
            raise ProblemError(_BUSY)
        changed = asyncio.Event()
        self._watchers[changed] = stack
        try:
            while True:
                changed.clear()
                yield await self.read()
                await changed.wait()
                await asyncio.sleep(window_ms / 1000)
        finally:
            del self._watchers[changed]

    def reply(self, reply: Reply) -> None:
        """Perform a Reply; a caller that has left is no error."""
        answer = self._callers.get(reply.ticket)
        if answer is not None and not answer.done():
            answer.set_result(reply)

    def publish(self, publish: Publish) -> None:
        """Perform a Publish."""
        self._wake(publish.stacks)

    def _wake(self, stacks: Iterable[str]) -> None:
        names = {*stacks, ""}
        for changed, stack in self._watchers.items():
            if stack in names:
                changed.set()


def answers(handler: F) -> F:
    """For a servicer's methods: lets errors of the caller's making leave as problems."""
    if inspect.isasyncgenfunction(handler):

        @functools.wraps(handler)
        async def stream(self: Any, request: Any, context: Context) -> AsyncIterator[Any]:
            try:
                async with aclosing(handler(self, request, context)) as responses:
                    async for response in responses:
                        yield response
            except (ProblemError, WireError, InboxFullError) as error:
                await abort_with(context, _problem_error(error))

        return stream  # type: ignore[return-value]

    @functools.wraps(handler)
    async def call(self: Any, request: Any, context: Context) -> Any:
        try:
            return await handler(self, request, context)
        except (ProblemError, WireError, InboxFullError) as error:
            await abort_with(context, _problem_error(error))

    return call  # type: ignore[return-value]


def _problem_error(error: ProblemError | WireError | InboxFullError) -> ProblemError:
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, WireError):
        return ProblemError(Problem(kind=ProblemKind.INVALID, summary=f"malformed request: {error}"))
    return ProblemError(_BUSY)
