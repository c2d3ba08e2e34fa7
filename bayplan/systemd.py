"""The service manager's side of a daemon: sd_notify over its socket, and the watchdog.

Without NOTIFY_SOCKET in the environment nothing happens, so daemons call it unconditionally.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable


def notify(state: str) -> bool:
    """Send a state, e.g. `READY=1`; whether a service manager took it. Never raises or blocks."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return False
    address = "\0" + path[1:] if path.startswith("@") else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as channel:
            channel.sendto(state.encode(), address)
    except OSError:
        return False
    return True


def watchdog_interval_s() -> float | None:
    """How often to feed the watchdog: half of what the unit allows. None when it has none for us."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        allowed_us = int(os.environ.get("WATCHDOG_USEC", ""))
    except ValueError:
        return None
    return allowed_us / 2_000_000 if allowed_us > 0 else None


async def watchdog(alive: Callable[[], bool]) -> None:
    """Feed the watchdog from the daemon's own loop, as long as `alive` says so; forever."""
    interval_s = watchdog_interval_s()
    if interval_s is None:
        return
    while True:
        if alive():
            notify("WATCHDOG=1")
        await asyncio.sleep(interval_s)
