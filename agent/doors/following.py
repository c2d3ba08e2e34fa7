"""Follows the controller's directory over the session's channel: news come in, what was taken over is said.

A chunk is acknowledged when it has been applied, by the node's rules too: from then on nothing here offers
what left before it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import grpc.aio
import msgspec
import structlog

from agent.directory import DirectoryCopy
from bayplan.directory import News
from bayplan.rpc_errors import problem_of
from bayplan.session import Welcome
from bayplan.v1 import registry_pb2, registry_pb2_grpc

#: After a break it is tried again so much later, with jitter, in seconds.
RETRY_S_MIN, RETRY_S_MAX = 0.2, 5.0
#: Bytes of one chunk: some 500,000 entries.
CHUNK_BYTES_MAX = 256 * 1024 * 1024

_log = structlog.get_logger(__name__)
_decoder = msgspec.msgpack.Decoder(News)


class BrokenChunkError(Exception):
    """What came is no chunk that fits."""


async def _at_once(index: int) -> None:
    """Nothing else depends on the copy."""


class Follower:
    """Keeps a copy up to date. `channel` gives the session's, None before the first; `applied` returns when
    all that depends on the copy has come as far as an index."""

    def __init__(
        self,
        copy: DirectoryCopy,
        channel: Callable[[], grpc.aio.Channel | None],
        applied: Callable[[int], Awaitable[None]] = _at_once,
    ) -> None:
        self._copy, self._channel, self._applied = copy, channel, applied
        self._welcomed = asyncio.Event()
        self._over: grpc.aio.Channel | None = None
        self._retry_s = RETRY_S_MIN
        self._index = 0

    def welcomed(self, welcome: Welcome) -> None:
        """There is a session."""
        self._retry_s = RETRY_S_MIN
        self._welcomed.set()

    async def run(self) -> None:
        """Follow as long as there is a session, again and again, forever."""
        self._index = self._copy.directory.index
        while True:
            await self._welcomed.wait()
            channel = self._channel()
            if channel is None or channel is self._over:
                self._welcomed.clear()
                continue
            await self._try(channel)
            await asyncio.sleep(self._retry_s * random.uniform(0.5, 1.0))
            self._retry_s = min(self._retry_s * 2, RETRY_S_MAX)

    async def _try(self, channel: grpc.aio.Channel) -> None:
        """Follow until something ends it."""
        try:
            await self._follow(channel)
        except grpc.aio.UsageError:
            self._over = channel
        except asyncio.CancelledError:
            # A channel that closes cancels its calls, whoever waits for them.
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            self._over = channel
        except grpc.aio.AioRpcError as error:
            _log.info("the registry is not followed", cause=problem_of(error).summary)
        except asyncio.InvalidStateError:
            _log.info("the registry is not followed", cause="the stream broke")
        except BrokenChunkError as error:
            _log.error("the controller sent what is no news; starting anew", cause=str(error))
            self._index = 0
        finally:
            self._copy.lost()

    async def _follow(self, channel: grpc.aio.Channel) -> None:
        """Take over chunk after chunk, until the stream ends. Raises what grpc does."""
        call: Any = registry_pb2_grpc.RegistryServiceStub(channel).Follow()
        try:
            await self._ask(call)
            await call.wait_for_connection()
            self._copy.heard()
            while (chunk := await _next_chunk(call)) is not None:
                self._take(*chunk)
                self._retry_s = RETRY_S_MIN
                await self._ask(call)
        finally:
            call.cancel()

    async def _ask(self, call: Any) -> None:
        acknowledged = self._copy.directory.index
        await self._applied(acknowledged)
        request = registry_pb2.FollowRequest(index=self._index, acknowledged=acknowledged)
        await call.write(request)

    def _take(self, data: bytes, whole: bool) -> None:
        try:
            news = _decoder.decode(data)
            self._copy.take(news, whole)
        except (msgspec.MsgspecError, ValueError) as error:
            raise BrokenChunkError(str(error)) from error
        self._index = news.index


async def _next_chunk(call: Any) -> tuple[bytes, bool] | None:
    """The next chunk and whether it is the whole truth; None at the end. Raises BrokenChunkError."""
    pieces: list[bytes] = []
    size_bytes = 0
    while True:
        response = await call.read()
        if response is grpc.aio.EOF:
            return None
        size_bytes += len(response.news)
        if size_bytes > CHUNK_BYTES_MAX:
            raise BrokenChunkError(f"a chunk of more than {CHUNK_BYTES_MAX} bytes")
        pieces.append(response.news)
        if not response.more:
            return b"".join(pieces), response.whole
