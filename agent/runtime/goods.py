"""Goods of this machine that are found on it: GPUs, disk, processes. Reads files."""

from __future__ import annotations

import os
import re
from pathlib import Path

from agent.goods import Goods
from bayplan.model import Good

GPU = "gpu"
_DEVICES = Path("/dev")
#: A folder for each GPU with its UUID, by NVIDIA's driver.
_NVIDIA = Path("/proc/driver/nvidia/gpus")
_KERNEL = Path("/proc/sys/kernel")
_UUID = re.compile(r"^GPU UUID:\s*(GPU-\S+)", re.MULTILINE)


def generic_goods(declared: Goods, devices: Path = _DEVICES, nvidia: Path = _NVIDIA) -> Goods:
    """What was declared, and NVIDIA's devices as `gpu` unless that was: by UUID where the driver tells it, so
    that each container is given its own, else by number."""
    told = (_UUID.search(_text(path)) for path in sorted(nvidia.glob("*/information")))
    uuids = [found[1] for found in told if found]
    count = sum(1 for _ in devices.glob("nvidia[0-9]*"))
    if len(uuids) >= count:
        return declared.over(Goods(named=tuple(Good(kind=GPU, name=uuid) for uuid in uuids)))
    return declared.over(Goods(counted={GPU: count} if count else {}))


def disk_bytes(folder: str) -> int:
    """The size of the file system on which the engine keeps its data; 0 where that is not known."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return 0
    return found.f_frsize * (found.f_blocks - found.f_bfree + found.f_bavail)


def pids(kernel: Path = _KERNEL) -> int:
    """How many processes the kernel allows (proc(5), pid_max and threads-max); 0 where that is not known."""
    limits = [int(text) for name in ("pid_max", "threads-max") if (text := _text(kernel / name)).strip()]
    return min(limits, default=0)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
