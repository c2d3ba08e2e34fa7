"""Constant requests to addresses that stay, as a program: `python -m tests.real.steady ADDRESS:PORT...`.

SIGTERM ends it, and it prints a Tally as JSON.
"""

from __future__ import annotations

import asyncio
import sys
import time

from tests.real.caller import Caller, call_until_told


def follow(caller: Caller, loop: asyncio.AbstractEventLoop) -> None:
    loop.call_soon_threadsafe(caller.use, sys.argv[1:])
    while True:
        time.sleep(1)


if __name__ == "__main__":
    asyncio.run(call_until_told(follow))
