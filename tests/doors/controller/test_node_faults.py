"""What nodes say is the matter with them, through the controller's real doors and the command line."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from bayplan.model import NodeCondition, NodeFault, NodeFaultKind
from tests.doors.controller.process import STEP_S_MAX, ControllerProcess, Node

TAKEN = NodeFault(
    kind=NodeFaultKind.PORT, subject="8080", text="published port 8080 is taken", hint="`ss -ltnp`"
)


async def bayplan(controller: ControllerProcess, *arguments: str) -> str:
    program = [sys.executable, "-m", "bayplan.cli", *arguments]
    environment = {**os.environ, "BAYPLAN_HOST": f"unix://{controller.socket}"}
    ended = await asyncio.to_thread(
        subprocess.run,
        program,
        env=environment,
        capture_output=True,
        text=True,
        timeout=STEP_S_MAX,
        check=False,
    )
    return ended.stdout


async def doctor(controller: ControllerProcess) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (await bayplan(controller, "doctor", "--json")).splitlines()]


async def until_told(controller: ControllerProcess, text: str, *, told: bool) -> dict[str, Any]:
    async with asyncio.timeout(STEP_S_MAX):
        while True:
            checks = await doctor(controller)
            found = [check for check in checks if text in check["found"]]
            if bool(found) is told:
                return found[0] if found else {}


async def listening(node: Node) -> None:
    while True:
        await node.hear()  # answers pulses


async def test_a_fault_is_shown_with_its_way_out_until_it_ends(
    controller: ControllerProcess, tmp_path: Path
) -> None:
    node = await controller.node(tmp_path, "n1")
    hearing = asyncio.create_task(listening(node))
    await node.say(NodeCondition(faults=(TAKEN,), link_mtu=1400))
    shown = await until_told(controller, TAKEN.text, told=True)
    assert shown == {"verdict": "FAILED", "found": f"node n1: {TAKEN.text}", "advice": TAKEN.hint}
    (inspected,) = json.loads(await bayplan(controller, "node", "inspect", "n1"))
    assert inspected["Status"]["LinkMtu"] == 1400
    assert inspected["Status"]["Faults"] == [
        {"Kind": "port", "Subject": "8080", "Text": TAKEN.text, "Hint": TAKEN.hint}
    ]
    assert TAKEN.text in await bayplan(controller, "node", "inspect", "--pretty", "n1")
    await node.say(NodeCondition())
    await until_told(controller, TAKEN.text, told=False)
    hearing.cancel()
    await node.close()


async def test_a_node_that_says_too_much_is_cut_short(controller: ControllerProcess, tmp_path: Path) -> None:
    node = await controller.node(tmp_path, "n1")
    hearing = asyncio.create_task(listening(node))
    many = [
        NodeFault(kind=NodeFaultKind.PORT, subject=str(n), text=f"{n} " + "x" * 9_000) for n in range(500)
    ]
    await node.say(NodeCondition(faults=tuple(many)))
    await until_told(controller, "and 469 more faults", told=True)
    (inspected,) = json.loads(await bayplan(controller, "node", "inspect", "n1"))
    assert len(inspected["Status"]["Faults"]) == 32
    assert max(len(each["Text"]) for each in inspected["Status"]["Faults"]) == 500
    hearing.cancel()
    await node.close()
