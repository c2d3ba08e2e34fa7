"""One long connection, as a program: `stream serve PORT` sends without end, `stream read ADDRESS PORT` reads.

SIGTERM ends the reader, and it prints how many bytes came, the longest silence, and whether it broke.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import sys
import threading
import time

#: What is sent in one go, and between two of them, in seconds: a hundred times a second.
PIECE = b"x" * 1_000
PAUSE_S = 0.01
#: Nothing for so long is a broken connection.
SILENCE_S_MAX = 20.0


def serve(port: int) -> None:
    with socket.create_server(("", port)) as server:
        while True:
            connection, _ = server.accept()
            threading.Thread(target=_send, args=(connection,), daemon=True).start()


def _send(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        while True:
            connection.sendall(PIECE)
            time.sleep(PAUSE_S)


def read(address: str, port: int) -> None:
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
    count, silence_s, broke, heard = 0, 0.0, "", time.monotonic()
    with socket.create_connection((address, port), SILENCE_S_MAX) as connection:
        try:
            while not stopped and (came := connection.recv(len(PIECE))):
                now = time.monotonic()
                count, silence_s, heard = count + len(came), max(silence_s, now - heard), now
            broke = "" if stopped else "closed"
        except OSError as error:
            broke = f"{type(error).__name__}: {error}"
    print(json.dumps({"bytes": count, "silence_s": silence_s, "broke": broke}), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    else:
        read(sys.argv[2], int(sys.argv[3]))
