"""A whole load: several files, the stack's name, profiles, and errors of several stages together."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bayplan.compose import Loaded, Source, load
from bayplan.compose.project import Sent
from bayplan.errors import ProblemError
from bayplan.model import ServiceSpec

FOLDER = Path("/srv/app")


def loaded(
    *texts: str,
    name: str = "shop",
    files: dict[str, str] | None = None,
    profiles: tuple[str, ...] = (),
    **environment: str,
) -> Loaded:
    """Loads the files `a.yml`, `b.yml` and so on; `files` lie beside them."""
    beside = Sent({FOLDER / path: text.encode() for path, text in (files or {}).items()})
    sources = [Source(f"{letter}.yml", text.encode()) for letter, text in zip("abcd", texts, strict=False)]
    return load(name, sources, environment, FOLDER, project=beside, profiles=profiles)


def services(*texts: str, files: dict[str, str] | None = None, **environment: str) -> dict[str, ServiceSpec]:
    return {each.name: each for each in loaded(*texts, files=files, **environment).stack.services}


def refusal(*texts: str, files: dict[str, str] | None = None, **environment: str) -> list[str]:
    with pytest.raises(ProblemError) as caught:
        loaded(*texts, files=files, **environment)
    return [line for problem in caught.value.problems for line in problem.lines()]


def test_a_stack_comes_from_all_its_files() -> None:
    files = {"sub/db.yml": "services: {db: {image: 'db:${TAG}', env_file: db.env}}", "sub/db.env": "A=1"}
    found = services(
        "include: [sub/db.yml]\nservices: {web: {image: a, environment: {A: 1}}}",
        "services:\n  web:\n    image: b\n    environment: [B=2]",
        files=files,
        TAG="7",
    )
    assert found["web"].container.image == "b"
    assert found["web"].container.environment == ("A=1", "B=2")
    assert found["web"].places["image"] == "b.yml:3"
    assert (found["db"].container.image, found["db"].container.environment) == ("db:7", ("A=1",))


@pytest.mark.parametrize(
    ("given", "variable", "written", "name"),
    [("g", "v", "w", "g"), ("", "v", "w", "v"), ("", "", "w", "w"), ("", "", "${X:-x}", "x")],
)
def test_the_name_of_the_stack_is_given_or_a_variable_or_written(
    given: str, variable: str, written: str, name: str
) -> None:
    text = f"name: {written}\nservices: {{web: {{image: a, hostname: $COMPOSE_PROJECT_NAME}}}}"
    environment = {"COMPOSE_PROJECT_NAME": variable} if variable else {}
    stack = loaded(text, name=given, **environment).stack
    assert (stack.name, stack.services[0].container.hostname) == (name, name)


def test_the_last_written_name_counts_in_all_files() -> None:
    first = "name: one\nservices: {web: {image: a, hostname: $COMPOSE_PROJECT_NAME}}"
    stack = loaded(first, "name: two", name="").stack
    assert (stack.name, stack.services[0].container.hostname) == ("two", "two")


@pytest.mark.parametrize(
    ("profiles", "environment", "names"),
    [((), {}, ["web"]), (("p",), {}, ["web", "db"]), ((), {"COMPOSE_PROFILES": "q,p"}, ["web", "db"])],
)
def test_profiles_are_enabled_by_argument_or_variable(
    profiles: tuple[str, ...], environment: dict[str, str], names: list[str]
) -> None:
    text = "services: {web: {image: a}, db: {image: b, profiles: [p]}}"
    stack = loaded(text, profiles=profiles, **environment).stack
    assert [each.name for each in stack.services] == names


def test_a_service_that_takes_no_part_may_be_wrong_in_itself() -> None:
    assert list(services("services: {web: {image: a}, dev: {profiles: [dev], image: 'A B'}}")) == ["web"]


def test_a_dependency_on_a_service_that_takes_no_part_is_one_error() -> None:
    text = "services: {web: {image: a, depends_on: [db]}, db: {image: b, profiles: [p]}}"
    assert sum(line.startswith("error") for line in refusal(text)) == 1


def test_errors_of_every_stage_are_reported_together_in_the_order_of_the_files() -> None:
    lines = refusal(
        "services:\n  web:\n    image: a\n    image: b\n    user: ${NONE?}\n    extends: none\n    imge: x",
        "include: [none.yml]\nservices: {web: {imge: y}}",
    )
    assert [line.split(": ")[1] for line in lines if line.startswith("error")] == [
        "a.yml:4",
        "a.yml:5",
        "a.yml:6",
        "b.yml:1",
        "b.yml:2",
    ]


def test_what_was_found_before_a_file_cannot_be_read_on_is_told_too() -> None:
    lines = refusal("services:\n  web: {image: a, image: b}", "services: [\n")
    assert [line.split(": ")[1] for line in lines if line.startswith("error")] == ["a.yml:2", "b.yml:2"]


def test_no_file_is_an_error_with_a_way_out() -> None:
    assert refusal() == ["error: no compose file was given", "hint: name one with -c FILE"]


def test_a_missing_variable_tells_where_the_env_file_was_looked_for() -> None:
    source = Source("a.yml", b"services:\n  web:\n    image: ${TAG?}")
    with pytest.raises(ProblemError) as caught:
        load("shop", [source], {}, FOLDER, looked_for=".env was looked for at /srv/app/.env: there is none")
    assert caught.value.problem.lines() == [
        "error: a.yml:3: the variable TAG is not set",
        "  .env was looked for at /srv/app/.env: there is none",
        "hint: set it in the environment or in an env file",
    ]


FRONT = (
    """
include: [{path: sub/db.yml, env_file: sub/x.env}]
services:
  web: {image: 'a:${T:-1}', extends: {file: sub/base.yml, service: base}, ports: ['1:1', {target: 2}]}
  low: {extends: web, profiles: [p], depends_on: [web], build: .}
""",
    """
services:
  web: {ports: !override ['3:3'], environment: [A=1], networks: [n], volumes: !reset [], dns: 1.1.1.1}
networks: {n: {labels: [a=b]}}
""",
)
BESIDE = {
    "sub/db.yml": "services: {db: {image: db, env_file: [x.env], volumes: ['./d:/d']}}\nvolumes: {v: }",
    "sub/base.yml": "services: {base: {environment: {A: 0}, volumes: ['../v:/v'], logging: {driver: d}}}",
    "sub/x.env": "A=${T:-1}",
}
PIECES = [
    "!reset ",
    "!override ",
    "{",
    "}",
    "[",
    "]",
    ": ",
    "~",
    "'",
    "a",
    "extends: web",
    "include",
    "..",
    "\n",
    ", ",
]
damages = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 260), st.integers(0, 8), st.sampled_from(PIECES)), max_size=5
)


@given(damages)
@settings(max_examples=300, deadline=None)
def test_damaged_files_are_one_stack_or_errors_with_their_places(
    damage: list[tuple[int, int, int, str]],
) -> None:
    texts = [*FRONT, BESIDE["sub/db.yml"], BESIDE["sub/base.yml"]]
    for which, at, removed, put_in in damage:
        texts[which] = texts[which][:at] + put_in + texts[which][at + removed :]
    beside = BESIDE | {"sub/db.yml": texts[2], "sub/base.yml": texts[3]}
    try:
        loaded(*texts[:2], files=beside, profiles=("p",))
    except ProblemError as error:
        for problem in error.problems:
            assert (
                problem.place.startswith(("a.yml", "b.yml", "sub/"))
                or problem.summary == "and further errors"
            )


SERVICE = """  s{i}:
    image: registry:5000/team/web:${{TAG:-1.0}}
    command: ["serve", "--port", "80"]
    environment: {{A: 1, B: "${{B:-x}}", C: d}}
    ports: ["{port}:80"]
    volumes: ["data:/data", "/srv/conf:/conf:ro"]
    healthcheck: {{test: curl -f http://localhost, interval: 5s}}
    restart: unless-stopped
    deploy: {{replicas: 2, resources: {{limits: {{cpus: '0.5', memory: 64M}}}}}}
"""


#: How much longer a load takes than the bare events of its YAML, which the C parser gives: 4 to 9 measured.
COST_MAX = 15


def test_a_hundred_services_cost_little_more_than_their_yaml() -> None:
    body = "".join(SERVICE.format(i=i, port=10_000 + i) for i in range(100))
    text = f"services:\n{body}volumes: {{data: }}\n"
    events = spent(lambda: sum(1 for _ in yaml.parse(text, Loader=yaml.CSafeLoader)))
    assert spent(lambda: loaded(text)) < COST_MAX * events


def spent(work: Callable[[], object]) -> float:
    """The least CPU time of some runs, in seconds."""
    times: list[float] = []
    for _ in range(7):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)
