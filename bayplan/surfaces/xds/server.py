"""The xDS server on loopback, and what its clients need to find it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import grpc.aio
from envoy.service.discovery.v3 import ads_pb2_grpc

from bayplan.directory import Source
from bayplan.errors import ProblemKind, refuse
from bayplan.surfaces.xds.ads import AdsDoor

#: How long open streams may go on when the server stops, in seconds: clients come back by themselves.
STOP_GRACE_S = 0.2
#: Bytes of a request: 10,000 names.
REQUEST_BYTES_MAX = 1_000_000


async def listen(source: Source, host: str, port: int) -> Callable[[], Awaitable[None]]:
    """Serve until what this returns is called. Raises ProblemError when the address cannot be had."""
    options = [("grpc.max_receive_message_length", REQUEST_BYTES_MAX), ("grpc.so_reuseport", 0)]
    server = grpc.aio.server(options=options)
    ads_pb2_grpc.add_AggregatedDiscoveryServiceServicer_to_server(AdsDoor(source), server)
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        server.add_insecure_port(where)
    except RuntimeError as error:
        raise refuse(
            ProblemKind.REFUSED,
            f"cannot listen on {where}: {error}",
            hint="`ss -ltnp` shows who has the port; --xds-listen takes another, or off",
        ) from error
    await server.start()

    async def stop() -> None:
        await server.stop(STOP_GRACE_S)

    return stop
