"""What `init` and `join` do on this machine: run the sibling program, start its unit, wait for its socket."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bayplan.cli.output import note, out
from bayplan.errors import ProblemError, ProblemKind, refuse

#: systemd is the init of this machine when this folder exists (sd_booted(3)).
SYSTEMD_RUNNING = Path("/run/systemd/system")
#: The deadline of one systemctl call, in seconds; Type=notify units may take their time to start.
SYSTEMCTL_S = 60.0
#: How long a started controller may take until it answers, in seconds.
START_S = 30.0
#: Time between two tries to reach it, in seconds.
START_TICK_S = 0.1


def run_program(name: str, args: Sequence[str]) -> int:
    """Runs a sibling program with our terminal and returns its exit code."""
    try:
        return subprocess.run([str(sibling(name)), *args], check=False).returncode
    except OSError as error:
        raise refuse(ProblemKind.REFUSED, f"cannot run {name}: {error.strerror}") from None


def sibling(name: str) -> Path:
    """A program that was installed together with this one."""
    for folder in (Path(sys.argv[0]).resolve().parent, Path(sys.executable).parent):
        if (folder / name).is_file():
            return folder / name
    found = shutil.which(name)
    if found is None:
        raise refuse(
            ProblemKind.REFUSED,
            f"{name} is not installed on this machine",
            hint="install bayplan with its daemons: docs/install.md",
        )
    return Path(found)


def start_unit(unit: str) -> bool:
    """Enables and starts a unit now and after each boot; False where systemd or the unit is missing."""
    if not SYSTEMD_RUNNING.is_dir() or _systemctl("cat", unit).returncode != 0:
        return False
    done = _systemctl("enable", "--now", unit)
    if done.returncode != 0:
        raise refuse(
            ProblemKind.REFUSED,
            f"{unit} did not start",
            *done.stderr.strip().splitlines()[-3:],
            hint=f"journalctl -u {unit} -n 20",
        )
    return True


def tell_start(name: str, args: Sequence[str], then: Sequence[str] = ()) -> None:
    """Says how to start a daemon by hand where no unit can be started, and what comes next."""
    note("no systemd unit was started; the next commands:")
    for line in (shlex.join([name, "run", *args]), *then):
        out(f"  {line}")


def wait_for_controller(host: str) -> None:
    """Returns once the controller answers at its socket. Raises ProblemError after START_S."""
    from bayplan.client import Client

    give_up_s = time.monotonic() + START_S
    while True:
        try:
            with Client(host) as client:
                client.status()
            return
        except ProblemError as error:
            if error.problem.kind is not ProblemKind.UNREACHABLE or time.monotonic() > give_up_s:
                raise
        time.sleep(START_TICK_S)


def _systemctl(*args: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["systemctl", *args], check=False, capture_output=True, text=True, timeout=SYSTEMCTL_S
        )
    except subprocess.TimeoutExpired:
        raise refuse(
            ProblemKind.TIMEOUT,
            f"`systemctl {' '.join(args)}` did not end in {SYSTEMCTL_S:.0f} s",
            hint=f"systemctl status {args[-1]}",
        ) from None
