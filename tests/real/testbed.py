"""Several hosts on one kernel, each with its own engine: what the tests and benches call a fleet.

Hosts are joined by a switch, a bridge in one more set of namespaces. Knows nothing of bayplan.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.real.host import Host, Switch
from tests.real.machine import COMMAND_TIMEOUT_S, TestbedError

REPO = Path(__file__).resolve().parents[2]

#: Hosts that the address plan has room for.
HOSTS_MAX = 40

CGROUPS = Path("/sys/fs/cgroup")
PREFIX = "bayplan-testbed"


class Testbed:
    """N hosts, their engines up and the demo image in each. A context manager: nothing is left at the end."""

    __test__ = False

    def __init__(self, hosts: int = 3, live_restore: bool = True) -> None:
        if not 0 < hosts <= HOSTS_MAX:
            raise TestbedError(f"a testbed has 1 to {HOSTS_MAX} hosts, not {hosts}")
        self.root = Path(tempfile.gettempdir()) / f"{PREFIX}-{os.getpid()}"
        self.switch = Switch(self.root, "switch")
        self.hosts = [Host(self.root, self.switch, number, live_restore) for number in range(1, hosts + 1)]

    def __enter__(self) -> Testbed:
        sweep()
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.down()
        assert not self.leftovers(), f"the testbed left something behind: {self.leftovers()}"

    def up(self) -> None:
        self.switch.power_on()
        for host in self.hosts:
            host.power_on()
            host.start_engine(wait=False)
        image = self.root / "demo.tar"
        subprocess.run([REPO / "scripts/image.sh", image], check=True, timeout=COMMAND_TIMEOUT_S)
        for host in self.hosts:
            host.wait_engine()
            host.load_image(image, "bayplan/demo:1")

    def down(self) -> None:
        for host in self.hosts:
            host.power_off()
        self.switch.kill()
        remove_traces(self.root)

    def logs(self) -> list[Path]:
        """The output of the programs that were started on the machines, but not the engines'."""
        return [log for log in sorted(self.root.glob("*/*.log")) if log.stem not in ("dockerd", "power")]

    def leftovers(self) -> list[str]:
        """What still exists of this testbed after `down`; empty is right."""
        return list(_leftovers(self.root))


def _cgroup_folders(name: str) -> list[Path]:
    """The folders of the cgroups of this name: in the unified tree, or in each controller's tree (v1)."""
    return [path for path in (*CGROUPS.glob(name), *CGROUPS.glob(f"*/{name}")) if path.is_dir()]


def remove_traces(root: Path) -> None:
    """Removes what a testbed without processes still has: cgroups and its folder."""
    for cgroup in _cgroup_folders(f"{root.name}-h*"):
        for path, _, _ in os.walk(cgroup, topdown=False):
            with contextlib.suppress(FileNotFoundError):
                Path(path).rmdir()
    shutil.rmtree(root)


def sweep() -> None:
    """Removes what killed runs left: their processes died with them, cgroups and folders remain."""
    for root in Path(tempfile.gettempdir()).glob(f"{PREFIX}-*"):
        if not Path(f"/proc/{root.name.removeprefix(f'{PREFIX}-')}").exists():
            remove_traces(root)


def _leftovers(root: Path) -> Iterator[str]:
    if root.exists():
        yield str(root)
    yield from (str(path) for path in _cgroup_folders(f"{root.name}-h*"))
    yield from (line for line in Path("/proc/mounts").read_text().splitlines() if f"{root}/" in line)
