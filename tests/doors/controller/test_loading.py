"""Compose text from a client, loaded by a real child process."""

from __future__ import annotations

import pytest

from bayplan.compose.child import Limits
from bayplan.compose.pipeline import Loaded
from bayplan.errors import Problem, ProblemError, ProblemKind
from bayplan.v1 import stack_pb2
from controller.doors import loading
from controller.doors.loading import ComposeLoader

WEB = "services:\n  web:\n    image: example/web:${TAG}\n    env_file: web.env\n"
#: Ten anchors, each ten times the one before: 10^10 values in a few hundred bytes.
BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 11))


def source(text: str, **files: str) -> stack_pb2.ComposeSource:
    return stack_pb2.ComposeSource(
        stack="shop",
        compose_files=[stack_pb2.ProjectFile(path="compose.yaml", content=text.encode())],
        files=[
            stack_pb2.ProjectFile(path=path.replace("__", "."), content=content.encode())
            for path, content in files.items()
        ],
        environment={"TAG": "7"},
    )


async def load(text: str, limits: Limits | None = None, **files: str) -> Loaded:
    return await ComposeLoader(limits).load(source(text, **files))


async def problem_of(text: str, limits: Limits | None = None, **files: str) -> Problem:
    with pytest.raises(ProblemError) as caught:
        await load(text, limits, **files)
    return caught.value.problem


async def test_the_child_sees_what_the_message_brings() -> None:
    loaded = await load(WEB, web__env="GREETING=hello\n")
    (web,) = loaded.stack.services
    assert (loaded.stack.name, web.container.image) == ("shop", "example/web:7")
    assert web.container.environment == ("GREETING=hello",)


async def test_the_child_sees_nothing_of_the_controllers_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", "of-the-controller")
    loaded = await load("services:\n  web: {image: a, environment: {C: $CANARY}}\n")
    assert loaded.stack.services[0].container.environment == ("C=",)
    assert "CANARY" in loaded.warnings[0]
    problem = await problem_of("services:\n  web:\n    image: a\n    env_file: /etc/hostname\n")
    assert problem.place == "compose.yaml:4"


async def test_an_error_has_its_place_in_the_text() -> None:
    problem = await problem_of("services:\n  web:\n    image: a\n    comand: b\n")
    assert (problem.kind, problem.place) == (ProblemKind.INVALID, "compose.yaml:4")
    assert "command" in problem.hint


async def test_a_file_cannot_lead_out_of_the_project() -> None:
    sent = source(WEB)
    sent.files.add(path="../web.env", content=b"")
    with pytest.raises(ProblemError, match="out of the project folder"):
        await ComposeLoader().load(sent)


async def test_a_bomb_is_one_typed_error() -> None:
    problem = await problem_of(BOMB + "services: *a10\n")
    assert problem.kind is ProblemKind.INVALID
    assert problem.place.startswith("compose.yaml:")


async def test_a_child_that_takes_too_much_memory_is_ended_and_told() -> None:
    # More services than find room in what the child has at its start.
    text = WEB + "".join(f"  s{number}: {{image: example/s}}\n" for number in range(900))
    problem = await problem_of(text, Limits(memory_bytes=1), web__env="A=1\n")
    assert (problem.kind, problem.summary) == (ProblemKind.INVALID, "the compose text is too much to read")


async def test_a_child_that_takes_too_long_is_ended_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "CHILD_S", 0.01)
    problem = await problem_of(WEB, web__env="A=1\n")
    assert problem.summary == "the compose text is too much to read"
    assert "took longer" in problem.details[0]


async def test_a_child_that_uses_up_its_processor_time_is_ended_and_told() -> None:
    nested = "${NONE:-" * 15 + "}" * 15
    values = ", ".join(f"V{n}: '{nested}'" for n in range(40))
    text = "services:\n" + "".join(f"  s{n}: {{image: a, environment: {{{values}}}}}\n" for n in range(180))
    sent = source(text)
    for number in range(5):  # together the work of some ten seconds
        sent.compose_files.add(path=f"{number}.yaml", content=text.encode())
    with pytest.raises(ProblemError, match="the compose text is too much to read"):
        await ComposeLoader(Limits(cpu_s=1)).load(sent)


async def test_too_many_files_are_refused_before_anything_is_read() -> None:
    sent = source(WEB)
    for number in range(loading.FILES_MAX):
        sent.files.add(path=f"f{number}", content=b"")
    with pytest.raises(ProblemError, match="files; at most"):
        await ComposeLoader().load(sent)
