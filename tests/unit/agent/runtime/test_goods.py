"""Countable goods of a machine, and what else is found of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.goods import NAMED_MAX, Goods, parse
from agent.runtime.goods import disk_bytes, generic_goods, pids
from agent.runtime.views import inventory_view
from bayplan.errors import ProblemError
from bayplan.model import Good, Resources


def named(*names: str) -> tuple[Good, ...]:
    return tuple(Good(kind="gpu", name=name) for name in names)


def test_gpus_are_counted_unless_they_were_declared(tmp_path: Path) -> None:
    def found(*declared: str) -> dict[str, int]:
        return generic_goods(parse(declared), tmp_path, tmp_path).kinds

    assert found() == {}
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert found("ssd=3") == {"ssd": 3, "gpu": 2}
    assert found("gpu=8") == {"gpu": 8}
    assert found("gpu=x") == {"gpu": 1}


def test_gpus_have_the_names_that_the_driver_tells(tmp_path: Path) -> None:
    for index, uuid in enumerate(("GPU-b1", "GPU-a2")):
        folder = tmp_path / f"0000:0{index}:00.0"
        folder.mkdir()
        (folder / "information").write_text(f"Model: \t A100\nIRQ:  12\nGPU UUID: \t {uuid}\n")
        (tmp_path / f"nvidia{index}").touch()
    assert generic_goods(Goods(), tmp_path, tmp_path) == Goods(named=named("GPU-b1", "GPU-a2"))
    (tmp_path / "nvidia2").touch()  # one of which the driver tells no name
    assert generic_goods(Goods(), tmp_path, tmp_path) == Goods(counted={"gpu": 3})


def test_goods_are_counted_or_have_names() -> None:
    goods = parse(["ssd=2", "gpu=GPU-1", "gpu=GPU-2", "gpu=GPU-1"])
    assert goods == Goods(counted={"ssd": 2}, named=named("GPU-1", "GPU-2"))
    assert goods.kinds == {"ssd": 2, "gpu": 2}
    assert goods.over(parse(["gpu=4", "fpga=x", "ssd=9"])).kinds == {"ssd": 2, "gpu": 2, "fpga": 1}


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["gpu"], "not a generic resource: 'gpu'"),
        (["=2"], "not a generic resource"),
        (["gpu="], "not a generic resource"),
        (["gpu=-1"], "not a generic resource"),
        (["gpu=1000001"], "not a generic resource"),
        (["gpu=a,b"], "not a generic resource"),
        (["gpu=a b"], "not a generic resource"),
        (["gpu=2", "gpu=x"], "'gpu' is given both as a number and by name"),
        ([f"gpu=x{n}" for n in range(NAMED_MAX + 1)], "1001 generic resources with names; at most 1000"),
    ],
)
def test_what_is_no_good_is_refused(texts: list[str], said: str) -> None:
    with pytest.raises(ProblemError) as caught:
        parse(texts)
    assert said in caught.value.problem.summary


def test_disk_and_processes_are_those_of_this_machine(tmp_path: Path) -> None:
    assert 0 < disk_bytes(str(tmp_path)) <= os.statvfs(tmp_path).f_blocks * os.statvfs(tmp_path).f_frsize
    assert disk_bytes("/no/such/folder") == 0
    (tmp_path / "pid_max").write_text("4194304\n")
    (tmp_path / "threads-max").write_text("63000\n")
    assert pids(tmp_path) == 63_000
    assert pids(tmp_path / "none") == 0


def test_the_inventory_tells_goods_amounts_and_labels_of_the_engine() -> None:
    info = {"NCPU": 2, "MemTotal": 7, "Labels": ["zone=a", "bare"], "Name": "h1", "Architecture": "x86_64"}
    seen = inventory_view(info, "1", parse(["gpu=x", "ssd=2"]), Resources(disk_bytes=5, pids=9))
    assert seen.capacity == Resources(cpu_millis=2000, memory_bytes=7, disk_bytes=5, pids=9)
    assert (seen.generic, seen.named) == ({"ssd": 2, "gpu": 1}, named("x"))
    assert seen.engine_labels == {"zone": "a", "bare": ""}
