"""Countable goods of this machine beside CPU and memory: declared by its owner, or found."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

GPU = "gpu"
_DEVICES = Path("/dev")


def generic_goods(declared: Mapping[str, int], devices: Path = _DEVICES) -> dict[str, int]:
    """What was declared; NVIDIA's devices are counted as `gpu` unless that was declared. Reads a folder."""
    goods = dict(declared)
    found = sum(1 for _ in devices.glob("nvidia[0-9]*"))
    if GPU not in goods and found:
        goods[GPU] = found
    return goods
