"""The engine's streams of output: how chunks of it are told apart."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator

import aiohttp

from bayplan.model import LogStream

#: Output comes in frames: stream, three zero bytes, length.
_FRAME_HEADER = struct.Struct(">BxxxL")


async def frames(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[LogStream, bytes]]:
    """The chunks of a stream in frames, until it ends."""
    try:
        while True:
            header = await response.content.readexactly(_FRAME_HEADER.size)
            stream, length = _FRAME_HEADER.unpack(header)
            chunk = await response.content.readexactly(length)
            yield LogStream.STDERR if stream == 2 else LogStream.STDOUT, chunk
    except asyncio.IncompleteReadError:
        return


async def raw_frames(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[LogStream, bytes]]:
    """The chunks of a stream without frames: a terminal has one stream."""
    async for chunk in response.content.iter_any():
        yield LogStream.STDOUT, chunk
