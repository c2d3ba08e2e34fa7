"""Finds out, before a deploy changes anything, whether this node could start what is planned."""

from __future__ import annotations

import asyncio
import os
import socket

from agent.runtime.base import Engine, EngineError
from bayplan.model import PortCheck, PreflightFault
from bayplan.session import Preflight, PreflightResult

#: An image that is not here within this time is a fault: a deploy waits for the answer.
IMAGE_DEADLINE_S = 60.0
#: A path on a dead network mount must not hold the answer up.
PATH_DEADLINE_S = 5.0

_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


async def check(engine: Engine, preflight: Preflight) -> PreflightResult:
    """Every fault, images first, in the order of the question."""
    async with asyncio.TaskGroup() as group:
        images = [group.create_task(_image_fault(engine, image)) for image in preflight.images]
        paths = [group.create_task(_path_fault(path)) for path in preflight.paths]
    found = [task.result() for task in images]
    found += [_port_fault(port) for port in preflight.ports]
    found += [task.result() for task in paths]
    return PreflightResult(ticket=preflight.ticket, faults=tuple(fault for fault in found if fault))


async def _image_fault(engine: Engine, image: str) -> PreflightFault | None:
    try:
        async with asyncio.timeout(IMAGE_DEADLINE_S):
            if not await engine.has_image(image):
                await engine.pull(image)
    except EngineError as error:
        return PreflightFault(subject=image, reason=error.fault.reason)
    except TimeoutError:
        return PreflightFault(
            subject=image, reason=f"image {image} was not pulled within {IMAGE_DEADLINE_S:g} s"
        )
    return None


def _port_fault(check: PortCheck) -> PreflightFault | None:
    """Bind for a moment: the kernel knows best. Kinds that it cannot be asked for are not checked."""
    kind = _KINDS.get(check.protocol)
    if kind is None:
        return None
    family = socket.AF_INET6 if ":" in check.host_ip else socket.AF_INET
    with socket.socket(family, kind) as probe:
        if kind == socket.SOCK_STREAM:  # else a connection that has just ended looks like a listener
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((check.host_ip, check.port))
        except OSError as error:
            subject = f"{check.port}/{check.protocol}"
            where = f" on {check.host_ip}" if check.host_ip else ""
            return PreflightFault(subject=subject, reason=f"port {subject}{where}: {error.strerror}")
    return None


async def _path_fault(path: str) -> PreflightFault | None:
    try:
        async with asyncio.timeout(PATH_DEADLINE_S):
            exists = await asyncio.to_thread(os.path.exists, path)
    except TimeoutError:
        return PreflightFault(subject=path, reason=f"{path} did not answer within {PATH_DEADLINE_S:g} s")
    return None if exists else PreflightFault(subject=path, reason=f"{path} does not exist")
