"""Countable goods of a machine."""

from __future__ import annotations

from pathlib import Path

from agent.runtime.goods import generic_goods


def test_gpus_are_counted_unless_they_were_declared(tmp_path: Path) -> None:
    assert generic_goods({}, tmp_path) == {}
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert generic_goods({"ssd": 3}, tmp_path) == {"ssd": 3, "gpu": 2}
    assert generic_goods({"gpu": 8}, tmp_path) == {"gpu": 8}
