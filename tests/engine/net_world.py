"""A network namespace for a test by itself: entered by a thread, gone with it."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

CLONE_NEWNET = 0x40000000

T = TypeVar("T")


class Namespace:
    """A fresh network namespace. What `run` is given runs in it, in a thread of its own."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "namespace", _unshare)

    def run(self, work: Callable[[], T]) -> T:
        return self._thread.submit(work).result()

    def __enter__(self) -> Namespace:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()


def _unshare() -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def command(line: str) -> str:
    """What a command prints, run where the calling thread is. Raises CalledProcessError."""
    return subprocess.run(line.split(), capture_output=True, text=True, check=True).stdout
