"""The session with the controller: one link at a time, opened again and again until dismissed.

What is heard is posted, what the core says is sent, in order. Knows links only by their protocol: they
may be gRPC or memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import structlog

from agent.commands import CloseLink, Say
from agent.events import Heard, LinkClosed, LinkOpened, Said, SessionEvent
from bayplan.session import (
    AgentSays,
    ControllerSays,
    Dismissal,
    Goodbye,
    Link,
    Report,
    Welcome,
)

#: Back-off between two links, with jitter.
RECONNECT_DELAY_S_MIN = 0.2
RECONNECT_DELAY_S_MAX = 1.0
#: Where nobody answers by TCP within this time, it is tried again: TCP repeats what was lost in a cut after
#: 1 s and 3 s, then no earlier than a new try.
REACH_DEADLINE_S = 4.0
#: A link that is not there, or on which no Welcome came, within these times is given up. A controller that
#: answers by TCP may have thousands to let in at once, and lets nobody in if all give up halfway.
CONNECT_DEADLINE_S = 16.0
WELCOME_DEADLINE_S = 15.0
#: Messages that may wait for a link; the core keeps one report in flight, so more means a stuck link.
OUTGOING_MESSAGES_MAX = 64
#: A Goodbye may take this long.
GOODBYE_DEADLINE_S = 1.0

AgentLink: TypeAlias = Link[AgentSays, ControllerSays]
Connect: TypeAlias = Callable[[], Awaitable[AgentLink]]
_log = structlog.get_logger(__name__)


class _Session:
    """One link while it lasts."""

    def __init__(self, number: int, link: AgentLink) -> None:
        self.number = number
        self.link = link
        self.outgoing: asyncio.Queue[AgentSays] = asyncio.Queue(OUTGOING_MESSAGES_MAX)
        self.sending = asyncio.Lock()
        self.over = asyncio.Event()
        self.welcome: asyncio.Future[Welcome] = asyncio.get_running_loop().create_future()
        self.reason = ""

    def end(self, reason: str) -> None:
        """Let the session end; the first reason counts."""
        self.reason = self.reason or reason
        self.over.set()

    async def send(self, message: AgentSays) -> None:
        """Send one message; a broken link ends the session."""
        try:
            async with self.sending:
                await self.link.send(message)
        except ConnectionError as error:
            self.end(str(error) or "the link broke")


class SessionDoor:
    """Keeps a session. `connect` opens a link or raises ConnectionError or OSError; `welcomed` hears of
    each Welcome."""

    def __init__(
        self,
        connect: Connect,
        post: Callable[[SessionEvent], None],
        rng: random.Random,
        welcomed: Callable[[Welcome], None] = lambda welcome: None,
    ) -> None:
        self._connect = connect
        self._post = post
        self._rng = rng
        self._welcomed = welcomed
        self._links = 0
        self._session: _Session | None = None
        self._delay_s = RECONNECT_DELAY_S_MIN
        self._dismissed = ""

    async def run(self) -> str:
        """Keep a session until the controller dismisses this agent for good; returns its reason."""
        while not self._dismissed:
            await self._try_once()
            if not self._dismissed:
                await asyncio.sleep(self._delay_s * self._rng.uniform(0.5, 1.0))
                self._delay_s = min(self._delay_s * 2, RECONNECT_DELAY_S_MAX)
        return self._dismissed

    def perform(self, command: Say | CloseLink) -> None:
        """Send or close; a command for a link that is over is void."""
        session = self._session
        if session is None or session.number != command.link:
            return
        if isinstance(command, CloseLink):
            session.end(command.reason)
            return
        try:
            session.outgoing.put_nowait(command.message)
        except asyncio.QueueFull:
            session.end("the link is stuck")

    async def say_goodbye(self, reason: str) -> None:
        """Tell the controller that the agent ends in order; never raises, never takes long."""
        session = self._session
        if session is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_DEADLINE_S):
                await session.send(Goodbye(reason=reason))
                await session.link.close()

    async def _try_once(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_DEADLINE_S):
                link = await self._connect()
        except TimeoutError:
            _log.warning(
                "the controller cannot be reached", cause=f"no answer within {CONNECT_DEADLINE_S:g} s"
            )
            return
        except OSError as error:
            _log.warning("the controller cannot be reached", cause=str(error))
            return
        self._links += 1
        session = self._session = _Session(self._links, link)
        self._post(LinkOpened(link=session.number))
        try:
            await self._converse(session)
        finally:
            self._session = None
            await link.close()
            self._post(LinkClosed(link=session.number, reason=session.reason))
        _log.warning("the session is over", reason=session.reason)

    async def _converse(self, session: _Session) -> None:
        """Listen and send until the session is over."""
        parts = [self._listen(session), self._send(session), self._await_welcome(session)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(part) for part in parts]
            await session.over.wait()
            for task in tasks:
                task.cancel()

    async def _listen(self, session: _Session) -> None:
        async for message in session.link:
            self._post(Heard(link=session.number, message=message))
            if isinstance(message, Welcome) and not session.welcome.done():
                session.welcome.set_result(message)
            elif isinstance(message, Dismissal):
                self._dismissed = (message.reason or "no reason given") if message.final else ""
                session.end(f"dismissed: {message.reason}")
        session.end("the controller or the network ended it")

    async def _send(self, session: _Session) -> None:
        while True:
            message = await session.outgoing.get()
            await session.send(message)
            if isinstance(message, Report) and not session.over.is_set():
                self._post(Said(link=session.number))

    async def _await_welcome(self, session: _Session) -> None:
        """A link without a Welcome is of no use; one with it ends the back-off."""
        try:
            async with asyncio.timeout(WELCOME_DEADLINE_S):
                welcome = await session.welcome
        except TimeoutError:
            session.end(f"no Welcome within {WELCOME_DEADLINE_S:g} s")
            return
        self._delay_s = RECONNECT_DELAY_S_MIN
        self._welcomed(welcome)
        _log.info("in session", node=welcome.node_name, epoch=welcome.epoch, session=welcome.session_id)
