"""A flow of UDP packets as the kernel tracks it: what the deciders judge and the runtime finds."""

from __future__ import annotations

from typing import NamedTuple


class Flow(NamedTuple):
    """One that was sent elsewhere: where the caller meant it to go (`address`, `port`), and who answers him.
    `key` is the kernel's own."""

    address: str
    port: int
    server: str
    server_port: int
    key: bytes = b""
