"""The load of bench.network, as a program that runs in any container's network: a server and three clients.

`serve PORT` answers them all by the first byte of a connection. `stream|ping|connect ADDRESS PORT SECONDS`
print one number: bytes a second, the median round trip in us, connections a second (one after the other).
"""

from __future__ import annotations

import contextlib
import socket
import statistics
import struct
import sys
import threading
import time

#: What is sent and read in one go, in bytes.
PIECE = 1 << 20
#: A connection without life ends after this.
TIMEOUT_S = 10.0
#: Closing by a reset: a bench would soon use up all ports with those that wait (SO_LINGER, on, 0 s).
NO_WAITING = struct.pack("ii", 1, 0)

STREAM, PING, CONNECT = b"s", b"p", b"c"


def serve(port: int) -> None:
    with socket.create_server(("", port), backlog=1_024) as server:
        while True:
            connection, _ = server.accept()
            if (what := connection.recv(1)) == CONNECT:
                with connection:
                    connection.sendall(CONNECT)
                continue
            work = _swallow if what == STREAM else _echo
            threading.Thread(target=work, args=(connection,), daemon=True).start()


def _swallow(connection: socket.socket) -> None:
    place = bytearray(PIECE)
    with connection, contextlib.suppress(OSError):
        while connection.recv_into(place):
            pass


def _echo(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection, contextlib.suppress(OSError):
        while word := connection.recv(1):
            connection.sendall(word)


def stream(address: str, port: int, seconds: float) -> float:
    """Bytes a second that the connection took, without its first tenth, in which it gets up to speed."""
    sent, piece = 0, bytes(PIECE)
    with socket.create_connection((address, port), TIMEOUT_S) as connection:
        connection.sendall(STREAM)
        begin = time.perf_counter() + seconds / 10
        while time.perf_counter() < begin:
            connection.sendall(piece)
        while (now := time.perf_counter()) - begin < seconds:
            connection.sendall(piece)
            sent += PIECE
    return sent / (now - begin)


def ping(address: str, port: int, seconds: float) -> float:
    """The median time of a byte there and back, in us."""
    times = []
    with socket.create_connection((address, port), TIMEOUT_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(PING)
        end = time.perf_counter() + seconds
        while (begin := time.perf_counter()) < end:
            connection.sendall(PING)
            connection.recv(1)
            times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1e6


def connect(address: str, port: int, seconds: float) -> float:
    """New connections with an answer a second. Raises OSError when one fails."""
    count, begin = 0, time.perf_counter()
    while (took := time.perf_counter() - begin) < seconds:
        with socket.create_connection((address, port), TIMEOUT_S) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_WAITING)
            connection.sendall(CONNECT)
            if not connection.recv(1):
                raise OSError("closed without an answer")
        count += 1
    return count / took


CLIENTS = {"stream": stream, "ping": ping, "connect": connect}

if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    else:
        print(CLIENTS[sys.argv[1]](sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
