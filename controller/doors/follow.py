"""News of the directory for copies of it, a chunk at a time, each encoded once for all who lack the same."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator
from typing import NamedTuple

import msgspec

from bayplan.errors import ProblemKind, refuse
from bayplan.v1 import registry_pb2
from controller.doors.directory import Keeper
from controller.doors.followers import FOLLOWERS_MAX

#: Bytes of a chunk that travel in one message.
PIECE_BYTES = 1024 * 1024
#: Encoded chunks that are kept for others who lack the same.
CHUNKS_MAX = 64
#: A chunk with everything is given to others for this many times as long as it took to encode: it is a
#: little old then, which costs them one chunk more. So that takes a tenth of the loop's time at most.
REUSE_TIMES = 10

_encoder = msgspec.msgpack.Encoder()


class _Chunk(NamedTuple):
    """What leads from one index to another, encoded, and until when it may be given to others as well."""

    to_index: int
    news: bytes
    until: float


class Feed:
    """The news of a keeper's directory, encoded."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._chunks: OrderedDict[int, _Chunk] = OrderedDict()

    async def follow(
        self, name: str, requests: AsyncIterator[registry_pb2.FollowRequest]
    ) -> AsyncGenerator[registry_pb2.FollowResponse, None]:
        """One copy's news, until it hangs up. Raises ProblemError (REFUSED) when there are too many."""
        keeper = self._keeper
        await keeper.opened()
        if len(keeper.followers) >= FOLLOWERS_MAX:
            raise refuse(
                ProblemKind.REFUSED,
                f"{FOLLOWERS_MAX} copies of the registry follow already",
                hint="watch single services",
            )
        follower = keeper.followers.came(name)
        try:
            async for request in requests:
                keeper.followers.acknowledged(follower, request.acknowledged)
                await keeper.changed(request.index)
                keeper.followers.sent(follower, asyncio.get_running_loop().time())
                for piece in self._pieces(request.index):
                    yield piece
        finally:
            keeper.followers.left(follower)

    def _pieces(self, index: int) -> list[registry_pb2.FollowResponse]:
        news, whole = self.chunk(index), self._keeper.origin().whole
        return [
            registry_pb2.FollowResponse(
                news=news[begin : begin + PIECE_BYTES], whole=whole, more=begin + PIECE_BYTES < len(news)
            )
            for begin in range(0, len(news), PIECE_BYTES)
        ]

    def chunk(self, index: int) -> bytes:
        """The news since an index, as of now or, where they are everything, as of a little while ago."""
        directory = self._keeper.directory
        begun = time.perf_counter()
        asked = 0 if directory.changed_since(index) is None else index
        found = self._chunks.get(asked)
        if found is not None and (found.to_index == directory.index or begun < found.until):
            return found.news
        news = _encoder.encode(directory.since(asked))
        took = time.perf_counter() - begun
        until = begun + took * REUSE_TIMES if not asked else 0.0
        self._chunks[asked] = _Chunk(directory.index, news, until)
        self._chunks.move_to_end(asked)
        if len(self._chunks) > CHUNKS_MAX:
            self._chunks.popitem(last=False)
        return news
