"""Finds out, before a deploy changes anything, whether this node could start what is planned."""

from __future__ import annotations

import asyncio
import os
import socket
from concurrent.futures import ThreadPoolExecutor

from agent.runtime.base import Engine, EngineError
from bayplan.model import PortCheck, PreflightFault
from bayplan.session import Preflight, PreflightResult

#: An image that is not here within this time is a fault: a deploy waits for the answer, for 600 s at most.
#: A pull that does not get on is given up long before.
IMAGE_DEADLINE_S = 570.0
#: Images that are looked up or pulled at once, for one question.
IMAGES_IN_FLIGHT_MAX = 3
#: A path on a dead network mount must not hold the answer up.
PATH_DEADLINE_S = 5.0
#: Paths that are looked at at once; those of a dead mount hang for good.
PATHS_IN_FLIGHT_MAX = 4

# Threads of their own, so that others' do not hang with them.
_paths = ThreadPoolExecutor(PATHS_IN_FLIGHT_MAX, "paths")
_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


async def check(engine: Engine, preflight: Preflight) -> PreflightResult:
    """Every fault, images first, in the order of the question."""
    slots = asyncio.Semaphore(IMAGES_IN_FLIGHT_MAX)
    async with asyncio.TaskGroup() as group:
        images = [group.create_task(_image(engine, image, slots)) for image in preflight.images]
        paths = [group.create_task(_path_fault(path)) for path in preflight.paths]
    answers = [task.result() for task in images]
    found = [answer for answer in answers if isinstance(answer, PreflightFault)]
    found += [fault for fault in map(_port_fault, preflight.ports) if fault]
    found += [fault for task in paths if (fault := task.result())]
    digests = {
        image: answer
        for image, answer in zip(preflight.images, answers, strict=True)
        if isinstance(answer, str)
    }
    return PreflightResult(ticket=preflight.ticket, faults=tuple(found), images=digests)


async def _image(engine: Engine, image: str, slots: asyncio.Semaphore) -> str | PreflightFault:
    """The digest of the image, pulled where it is missing, or why it cannot be had."""
    try:
        async with asyncio.timeout(IMAGE_DEADLINE_S), slots:
            if (digest := await engine.image_digest(image)) is None:
                await engine.pull(image)
                digest = await engine.image_digest(image)
    except EngineError as error:
        return PreflightFault(subject=image, reason=error.fault.reason)
    except TimeoutError:
        return PreflightFault(
            subject=image, reason=f"image {image} was not pulled within {IMAGE_DEADLINE_S:g} s"
        )
    return digest or PreflightFault(subject=image, reason=f"image {image} was removed at once")


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
            exists = await asyncio.get_running_loop().run_in_executor(_paths, os.path.exists, path)
    except TimeoutError:
        return PreflightFault(subject=path, reason=f"{path} did not answer within {PATH_DEADLINE_S:g} s")
    return None if exists else PreflightFault(subject=path, reason=f"{path} does not exist")
