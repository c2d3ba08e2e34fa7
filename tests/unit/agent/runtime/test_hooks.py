"""What a hook's end means, and the time it may take; the engine is an answer by command."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from agent.events import Fault, FaultKind
from agent.runtime import hooks
from agent.runtime.base import Engine, EngineError
from agent.runtime.execs import exec_request
from bayplan.model import Hook


class Answers:
    """Runs `hang`, `away`, `gone` and `say EXIT TEXT`; remembers what it was asked to run."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    async def execute(self, _container_id: str, hook: Hook) -> tuple[int, bytes]:
        word, *rest = hook.command
        self.ran.append(word)
        if word == "hang":
            await asyncio.sleep(1_000)
        if word == "away":
            raise EngineError(Fault(kind=FaultKind.UNANSWERED, reason="the engine is away"))
        if word == "gone":
            raise EngineError(Fault(kind=FaultKind.REFUSED, reason="Container c1 is not running"))
        return (int(rest[0]), rest[1].encode()) if rest else (0, b"")


def engine() -> Any:
    return cast(Engine, Answers())


def hook(*command: str) -> Hook:
    return Hook(command=command)


async def test_post_start_ends_with_the_first_hook_that_fails() -> None:
    answers = engine()
    with pytest.raises(EngineError) as caught:
        await hooks.post_start(answers, "c1", [hook("ok"), hook("say", "3", "first\nsecond"), hook("never")])
    assert answers.ran == ["ok", "say"]
    assert caught.value.fault.kind is FaultKind.REFUSED
    command = "say 3 'first\nsecond'"
    assert caught.value.fault.reason == f"post_start hook `{command}` failed with exit code 3: first"


async def test_an_engine_that_is_away_is_no_failure_of_the_hook() -> None:
    with pytest.raises(EngineError) as caught:
        await hooks.post_start(engine(), "c1", [hook("away")])
    assert caught.value.fault.kind is FaultKind.UNANSWERED


async def test_a_post_start_hook_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "POST_START_DEADLINE_S", 0.05)
    with pytest.raises(EngineError, match=r"post_start hook `hang` did not end within 0\.05 s"):
        await hooks.post_start(engine(), "c1", [hook("hang")])


async def test_pre_stop_runs_all_hooks_and_notes_what_failed() -> None:
    answers = engine()
    note = await hooks.pre_stop(answers, "c1", [hook("say", "1", ""), hook("away"), hook("ok")], 5.0)
    assert answers.ran == ["say", "away", "ok"]
    assert note == "pre_stop hook `say 1 ''` failed with exit code 1; the engine is away"


async def test_a_process_that_is_gone_already_is_no_failure_of_its_pre_stop() -> None:
    answers = engine()
    assert await hooks.pre_stop(answers, "c1", [hook("gone"), hook("ok")], 5.0) == ""
    assert answers.ran == ["gone"]
    note = await hooks.pre_stop(answers, "c1", [hook("say", "1", "nginx is not running")], 5.0)
    assert note.endswith("failed with exit code 1: nginx is not running")


async def test_all_pre_stop_hooks_together_have_the_grace() -> None:
    began = asyncio.get_running_loop().time()
    note = await hooks.pre_stop(engine(), "c1", [hook("hang"), hook("hang")], 0.2)
    assert asyncio.get_running_loop().time() - began < 1.0
    assert note.count("did not end within") == 2


async def test_messages_quote_only_so_much() -> None:
    with pytest.raises(EngineError) as caught:
        await hooks.post_start(engine(), "c1", [hook("say", "1", "x" * 10_000)])
    assert len(caught.value.fault.reason) < hooks.COMMAND_CHARS_MAX + hooks.OUTPUT_CHARS_MAX + 100


def test_a_hook_is_an_exec_of_the_engine() -> None:
    asked = Hook(command=("a", "b"), user="u:g", privileged=True, working_dir="/w", environment=("K=v",))
    assert exec_request(asked) == {
        "AttachStdout": True,
        "AttachStderr": True,
        "Cmd": ["a", "b"],
        "Env": ["K=v"],
        "User": "u:g",
        "WorkingDir": "/w",
        "Privileged": True,
    }
