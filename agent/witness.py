"""The node's witness: holds one connection to the controller that breaks when the machine goes.

A program of its own, so that a restart of the agent does not look like the loss of the machine. It imports
next to nothing and stays small. Run as `python -I -S witness.py FOLDER`; in the folder the agent keeps
`told` (host, port, ticket), renews its time as long as it lives, and empties it to end this program.
"""

import fcntl
import os
import select
import socket
import sys
import time

#: How often the folder is looked at.
POLL_S = 0.5
#: Without a word of an agent for this long there is none any more.
ORPHAN_S = 300.0
#: Back-off between two tries to connect, and how long one may take.
RETRY_S_MIN = 0.2
RETRY_S_MAX = 2.0
CONNECT_S_MAX = 3.0
#: What the agent tells fits in here, and so does what the controller says.
TOLD_BYTES_MAX = 512
#: After 5 s of silence three probes, 3 s apart (tcp(7)): a controller that vanished is looked for again.
KEEPALIVE = ((socket.TCP_KEEPIDLE, 5), (socket.TCP_KEEPINTVL, 3), (socket.TCP_KEEPCNT, 3))


class Witness:
    """Shows the newest ticket; a connection is let go only once the next one stands."""

    def __init__(self) -> None:
        self._plug: socket.socket | None = None
        self._shown = ""
        self._written_ns = 0
        self._written_at = time.monotonic()
        self._retry_at = 0.0
        self._delay_s = RETRY_S_MIN
        self._tried = ""

    def run(self) -> None:
        """Until the agent says so, or there is none, or the folder is gone."""
        while self._wanted():
            told = _told()
            if not told and told is not None:
                return
            if told and told != self._shown:
                self._show(told)
            self._watch()

    def _wanted(self) -> bool:
        """Whether an agent lives, or lived until lately. Only that the file's time changes counts, whatever
        the clock shows."""
        try:
            written_ns = os.stat("told").st_mtime_ns
        except FileNotFoundError:
            written_ns = 0
        if written_ns != self._written_ns:
            self._written_ns, self._written_at = written_ns, time.monotonic()
        return os.stat(".").st_nlink > 0 and time.monotonic() - self._written_at < ORPHAN_S

    def _show(self, told: str) -> None:
        if told != self._tried:
            self._tried, self._delay_s, self._retry_at = told, RETRY_S_MIN, 0.0
        if time.monotonic() < self._retry_at:
            return
        plug = _connected(*told.split())
        if plug is None:
            self._retry_at = time.monotonic() + self._delay_s
            self._delay_s = min(self._delay_s * 2, RETRY_S_MAX)
            return
        self._let_go()
        self._plug, self._shown, self._delay_s = plug, told, RETRY_S_MIN

    def _watch(self) -> None:
        """Wait a moment. Whatever comes on the connection is its end: the controller has nothing to say."""
        plugs = [self._plug] if self._plug else []
        if select.select(plugs, [], [], POLL_S)[0]:
            self._let_go()

    def _let_go(self) -> None:
        if self._plug is not None:
            self._plug.close()
        self._plug, self._shown = None, ""


def _told() -> str | None:
    """What the agent tells; empty: to end. None while it has told nothing yet."""
    try:
        with open("told", encoding="ascii") as file:
            return file.read(TOLD_BYTES_MAX).strip()
    except FileNotFoundError:
        return None


def _connected(host: str, port: str, ticket: str) -> socket.socket | None:
    """A connection on which the ticket was found good."""
    try:
        plug = socket.create_connection((host, int(port)), CONNECT_S_MAX)
    except OSError:
        return None
    try:
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in KEEPALIVE:
            plug.setsockopt(socket.IPPROTO_TCP, option, value)
        plug.sendall(f"{ticket}\n".encode("ascii"))
        if plug.recv(TOLD_BYTES_MAX):
            return plug
    except OSError:
        pass
    plug.close()
    return None


def main(folder: str) -> None:
    """Be the one witness of this folder; where there is one already, nothing is left to do.

    It leaves the agent's session first, so that whatever ends that does not end it.
    """
    os.chdir(folder)
    if os.fork():
        os._exit(0)
    os.setsid()
    lock = os.open("lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    Witness().run()


if __name__ == "__main__":
    main(sys.argv[1])
