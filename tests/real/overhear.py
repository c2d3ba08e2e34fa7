"""Listens to a link for a while, as a program: `python -m tests.real.overhear LINK SECONDS TEXT` prints how
many frames passed, and how many of them have the text in them, as JSON."""

from __future__ import annotations

import json
import socket
import sys
import time

_ALL = 3
_FRAME_BYTES_MAX = 65_536


def main() -> None:
    link, seconds, text = sys.argv[1:]
    until, frames, found = time.monotonic() + float(seconds), 0, 0
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL)) as tap:
        tap.bind((link, 0))
        while (left_s := until - time.monotonic()) > 0:
            tap.settimeout(left_s)
            try:
                frame = tap.recv(_FRAME_BYTES_MAX)
            except TimeoutError:
                break
            frames, found = frames + 1, found + (text.encode() in frame)
    print(json.dumps({"frames": frames, "found": found}))


if __name__ == "__main__":
    main()
