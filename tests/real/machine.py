"""A machine of the testbed: a set of namespaces held open by one process that is its "init".

Killing that process is the power switch, and nothing of the machine can outlive it. Knows nothing of
networks and engines, and nothing of bayplan.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path

#: Until a namespace, a process or a link is there.
START_TIMEOUT_S = 10.0
#: One command on a machine.
COMMAND_TIMEOUT_S = 60.0


class TestbedError(Exception):
    """The testbed itself does not work; never the fault of what is tested."""

    __test__ = False


def wait_until(what: str, condition: Callable[[], object], timeout_s: float, every_s: float = 0.02) -> float:
    """Polls until the condition holds; returns the seconds it took. Raises AssertionError with `what`."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > timeout_s:
            raise AssertionError(f"not within {timeout_s:g} s: {what}")
        time.sleep(every_s)
    return time.monotonic() - began


def children(pid: int) -> list[int]:
    try:
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


class Process:
    """A process inside a machine, its output in a file; it dies with the testbed and with its machine."""

    def __init__(self, popen: subprocess.Popen[bytes], name: str, log: Path) -> None:
        self.name = name
        self.log = log
        self._popen = popen
        wait_until(f"{name} has started", lambda: children(popen.pid) or not self.alive, START_TIMEOUT_S)
        self.pid = next(iter(children(popen.pid)), 0)  # nsenter's child is the program itself

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    def signal(self, number: signal.Signals) -> None:
        if self.alive and self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def resume(self) -> None:
        """Undoes a SIGSTOP. nsenter had stopped itself when its child did, and would not bury it either."""
        if self.alive:
            self._popen.send_signal(signal.SIGCONT)
        self.signal(signal.SIGCONT)

    def wait(self, timeout_s: float = COMMAND_TIMEOUT_S) -> int:
        return self._popen.wait(timeout_s)

    def kill(self) -> None:
        """SIGKILL: the process gets no chance to say goodbye."""
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> None:
        """SIGTERM and wait."""
        self.signal(signal.SIGTERM)
        self.wait()


class Machine:
    """A set of namespaces with a name. `power_on` opens them, `kill` ends all that lives in them."""

    def __init__(self, root: Path, name: str) -> None:
        self.name = name
        self.folder = root / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self._holder: subprocess.Popen[bytes] | None = None
        self._init = 0
        self._processes: list[Process] = []

    def power_on(self) -> None:
        # A machine has a boot id and a /run of its own. Ignoring SIGCHLD makes the kernel reap orphans.
        boot_id = self.folder / "boot_id"
        boot_id.write_text(f"{uuid.uuid4()}\n")
        setup = (
            f"hostname {self.name}; mount -t tmpfs -o mode=755 run /run; ip link set lo up;"
            f"mount --bind {shlex.quote(str(boot_id))} /proc/sys/kernel/random/boot_id;"
            "touch /run/up; trap '' CHLD; exec sleep infinity"
        )
        unshare = ["unshare", "--net", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
        with (self.folder / "power.log").open("ab") as log:
            self._holder = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *unshare, "sh", "-ec", setup],
                stdin=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        wait_until(f"{self.name} has its namespaces", self._booted, START_TIMEOUT_S)

    def _booted(self) -> bool:
        assert self._holder is not None
        if self._holder.poll() is not None:
            raise TestbedError(f"{self.name} could not be made: {tail(self.folder / 'power.log')}")
        self._init = next(iter(children(self._holder.pid)), 0)
        return self._init > 0 and Path(f"/proc/{self._init}/root/run/up").exists()

    @property
    def on(self) -> bool:
        return self._holder is not None

    def kill(self) -> None:
        """Every process of the machine dies at once, mounts and links vanish with the namespaces."""
        if self._holder is None:
            return
        if self._init:
            os.kill(self._init, signal.SIGKILL)  # the kernel ends the whole process namespace with its first
        else:
            self._holder.kill()
        for process in self._processes:
            process.resume()
        self._holder.wait()
        self._holder, self._init = None, 0
        for process in self._processes:
            process.wait()
        self._processes.clear()

    def crash(self) -> None:
        """Every process dies at once; the kernel lives, ends their connections, and peers hear of it."""
        self.run("kill", "-KILL", "-1", check=False)  # all of this process namespace but its first, and kill
        for process in self._processes:
            process.resume()
            process.wait()
        self._processes.clear()

    @property
    def init_pid(self) -> int:
        return self._init

    def _enter(self, command: tuple[str, ...]) -> list[str]:
        if not self.on:
            raise TestbedError(f"{self.name} is powered off")
        return ["nsenter", "-t", str(self._init), "-n", "-m", "-u", "-p", "--", *command]

    def run(self, *command: str, check: bool = True, timeout_s: float = COMMAND_TIMEOUT_S) -> str:
        """Runs a command on the machine and returns what it printed. Raises TestbedError when it fails."""
        done = subprocess.run(
            self._enter(command), capture_output=True, text=True, timeout=timeout_s, check=False
        )
        if check and done.returncode != 0:
            raise TestbedError(f"{self.name}: {shlex.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def spawn(self, *command: str, env: dict[str, str] | None = None) -> Process:
        """Starts a long-running program; its output is appended to `<folder>/<program>.log`."""
        name = Path(command[0]).name
        log = self.folder / f"{name}.log"
        with log.open("ab") as out:
            popen = subprocess.Popen(
                self._enter(("setpriv", "--pdeathsig", "KILL", *command)),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=os.environ | (env or {}),
                start_new_session=True,
            )
        self._processes.append(Process(popen, f"{name} on {self.name}", log))
        return self._processes[-1]


def tail(path: Path, lines: int = 30) -> str:
    """The last lines of a log, for a failure's message."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError as error:
        return f"({error})"
