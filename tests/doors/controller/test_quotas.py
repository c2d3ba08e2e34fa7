"""Quotas, constraints and preemption by the command line, through a real controller's doors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doors.controller.process import STEP_S_MAX, ControllerProcess

PROGRAM = str(Path(sys.executable).parent / "bayplan")
COMPOSE = """
services:
  web:
    image: app:1
    deploy: {replicas: 0, placement: {constraints: [CONSTRAINT]}}
    x-bayplan: {priority: 80, strategy: spread, affinity: [{service: web, topology: node.labels.zone}]}
"""


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[ControllerProcess]:
    process = ControllerProcess(tmp_path, "--preemption")
    process.start()
    yield process
    process.stop()


def cli(controller: ControllerProcess, *arguments: str, code: int = 0) -> str:
    command = [PROGRAM, "-H", f"unix://{controller.socket}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=STEP_S_MAX, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def compose(folder: Path, constraint: str) -> str:
    file = folder / "compose.yml"
    file.write_text(COMPOSE.replace("CONSTRAINT", constraint))
    return str(file)


def test_a_quota_is_set_shown_and_taken_away(controller: ControllerProcess, tmp_path: Path) -> None:
    said = cli(controller, "stack", "quota", "set", "--cpus", "2.5", "--tasks", "1", "shop")
    assert said == "shop uses now: CPU 0 of 2.5, TASKS 0 of 1\n"
    file = compose(tmp_path, "'node.labels.zone in (a, b)'")
    cli(controller, "stack", "deploy", "-d", "-c", file, "shop")
    assert "the quota of stack shop is exceeded" in cli(controller, "service", "scale", "shop_web=2", code=1)
    controller.kill()
    controller.start()
    assert cli(controller, "stack", "quota", "ls", "--format", "{{.Stack}} {{.Tasks}}") == "shop 0 of 1\n"
    assert cli(controller, "stack", "quota", "rm", "shop") == "shop\n"
    assert "stack shop has no quota" in cli(controller, "stack", "quota", "rm", "shop", code=1)
    assert "limits nothing" in cli(controller, "stack", "quota", "set", "shop", code=125)


def test_a_constraint_that_cannot_be_read_is_refused_with_its_place(
    controller: ControllerProcess, tmp_path: Path
) -> None:
    file = compose(tmp_path, "'node.labels.zone =~ (a'")
    said = cli(controller, "stack", "plan", "-c", file, "shop", code=125)
    assert "compose.yml:5: services.web.deploy.placement.constraints[0] is wrong: '(a' is no regular" in said
    assert "a ( is not closed (column 21)" in said
    assert "hint: write \\( for the character itself" in said
