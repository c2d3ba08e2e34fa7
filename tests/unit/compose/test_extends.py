"""`extends`: what is taken over, from where, and what is refused."""

from __future__ import annotations

import time
from typing import Any

import pytest

from bayplan.compose.budget import NODES_MAX, TEXT_CHARS_MAX
from bayplan.compose.extends import EXTENDS_DEPTH_MAX
from bayplan.compose.interpolate import VALUE_CHARS_MAX
from tests.unit.compose.front import refusal, said, tree, web

BASE = """
services:
  base:
    image: a
    env_file: base.env
    ports: ['1:1']
    environment: {A: 1, B: 2}
"""


@pytest.mark.parametrize("written", ["base", "{service: base}", "{service: base, file: }"])
def test_a_service_extends_another_of_its_file(written: str) -> None:
    body = f"  web: {{extends: {written}, image: b, ports: ['2:2'], environment: [B=3]}}"
    assert web(BASE + body) == {
        "image": "b",
        "env_file": "base.env",
        "ports": ["1:1", "2:2"],
        "environment": {"A": "1", "B": "3"},
    }


def test_a_service_extends_one_of_another_file_whose_paths_are_its_own() -> None:
    files = {"common/base.yml": BASE}
    assert web("services: {web: {extends: {service: base, file: common/base.yml}}}", files=files) == {
        "image": "a",
        "env_file": "common/base.env",
        "ports": ["1:1"],
        "environment": {"A": "1", "B": "2"},
    }


def test_a_chain_goes_over_several_files_each_with_its_own_folder() -> None:
    files = {
        "x/one.yml": "services: {one: {extends: {file: y/two.yml, service: two}, volumes: ['./a:/a']}}",
        "x/y/two.yml": "services: {two: {extends: three, volumes: ['../b:/b']}, three: {build: .}}",
    }
    assert web("services: {web: {extends: {file: ./x/one.yml, service: one}}}", files=files) == {
        "build": "x/y",
        "volumes": ["./x/b:/b", "./x/a:/a"],
    }


def test_only_the_services_of_another_file_count() -> None:
    other = "include: [none.yml]\nservices: {base: {image: a}, bad: {extends: none}}\nvolumes: {v: }"
    files = {"b.yml": other}
    assert said("services: {web: {extends: {file: b.yml, service: base}}}", files=files) == {
        "services": {"web": {"image": "a"}}
    }


def test_the_values_of_another_file_have_their_own_places_and_variables() -> None:
    files = {"x/base.yml": "services:\n  base:\n    image: a:${TAG}\n"}
    done = tree("services: {web: {extends: {file: x/base.yml, service: base}}}", files=files, TAG="7")
    image = done.entries["services"].value.entries["web"].value.entries["image"]  # type: ignore[attr-defined]
    assert (image.key.place, image.value.text) == ("x/base.yml:3", "a:7")


@pytest.mark.parametrize(
    ("own", "ports"),
    [("!reset []", None), ("!override ['2:2']", ["2:2"]), ("['2:2']", ["1:1", "2:2"])],
)
def test_what_is_extended_can_be_reset_and_overridden(own: str, ports: Any) -> None:
    assert web(f"{BASE}  web: {{extends: base, ports: {own}}}").get("ports") == ports


def test_a_reset_beside_extends_counts_for_earlier_files_too() -> None:
    reset = f"{BASE}  web: {{extends: base, ports: !reset []}}"
    assert "ports" not in web("services: {web: {ports: ['9:9']}}", reset)


def test_a_service_of_an_earlier_file_can_be_extended() -> None:
    assert web(BASE, "services: {web: {extends: base}}")["image"] == "a"


def test_what_says_nothing_extends_nothing() -> None:
    assert web("services: {web: {extends: , image: a}}") == {"image": "a"}


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            "services:\n  web:\n    extends: bse\n  base: {image: a}",
            [
                "error: a.yml:3: services.web extends 'bse', which is not a service",
                "hint: did you mean base?",
            ],
        ),
        (
            "services:\n  web:\n    extends: {file: x.yml,\n     service: bse}",
            [
                "error: a.yml:4: services.web extends 'bse', which is not a service in x.yml",
                "hint: did you mean base?",
            ],
        ),
        (
            "services:\n  web:\n    extends:\n      file: none.yml\n      service: base",
            [
                "error: a.yml:4: the extended file 'none.yml' cannot be read: "
                "it was not sent with the compose files",
                "  it was looked for at /srv/app/none.yml",
                "hint: the path starts in the folder of the file that names it",
            ],
        ),
        (
            "services:\n  web:\n    extends: {service: base, file: ../x.yml}",
            [
                "error: a.yml:3: the extended file '../x.yml' is outside the project folder",
                "  the project folder is /srv/app",
                "hint: move it there, or widen it with --project-directory: relative paths start there",
            ],
        ),
        (
            "services:\n  web:\n    extends: {service: base, file: https://x/y.yml}",
            [
                "error: a.yml:3: the extended file 'https://x/y.yml' is not on this machine",
                "hint: fetch it, and name the file in the project folder",
            ],
        ),
        (
            "services:\n  web:\n    extends: {file: x.yml}",
            ["error: a.yml:3: services.web.extends names no service", "hint: add `service: NAME`"],
        ),
        (
            "services:\n  web:\n    extends: [base]",
            [
                "error: a.yml:3: services.web.extends shall be a service's name or a mapping, not a list",
                "hint: write `extends: {service: NAME}`",
            ],
        ),
        (
            "services:\n  web:\n    extends: {servce: base}",
            [
                "error: a.yml:3: services.web.extends.'servce' is not a key of extends",
                "hint: did you mean service?",
            ],
        ),
        (
            "services:\n  web:\n    extends: {service: base, file: [x.yml]}",
            [
                "error: a.yml:3: services.web.extends: service and file shall each be a single value",
                "hint: write `extends: {service: NAME}`",
            ],
        ),
    ],
)
def test_a_bad_extends_is_one_error_with_its_line_and_a_way_out(text: str, lines: list[str]) -> None:
    assert refusal(text, files={"x.yml": BASE}) == lines


def test_a_circle_is_refused_once_with_its_path() -> None:
    text = "services:\n  a: {extends: b}\n  b: {extends: c}\n  c:\n    extends: a\n  web: {extends: a}\n"
    assert refusal(text) == [
        "error: a.yml:2: services.a.extends goes in a circle",
        "  a -> b -> c -> a",
        "hint: remove one of them",
    ]


def test_a_circle_over_files_names_them() -> None:
    files = {
        "x.yml": "services: {one: {extends: {file: y.yml, service: two}}}",
        "y.yml": "services: {two: {extends: {file: x.yml, service: one}}}",
    }
    lines = refusal("services: {web: {extends: {file: x.yml, service: one}}}", files=files)
    assert lines[:2] == [
        "error: x.yml:1: services.one.extends goes in a circle",
        "  one (x.yml) -> two (y.yml) -> one (x.yml)",
    ]


def test_a_service_that_extends_itself_is_a_circle() -> None:
    assert refusal("services: {web: {extends: web}}")[1] == "  web -> web"


def chain(length: int, *, downwards: bool = False) -> str:
    steps = [f"  s{i + 1}: {{extends: s{i}}}\n" for i in range(length)]
    return "services:\n  s0: {image: a}\n" + "".join(reversed(steps) if downwards else steps)


@pytest.mark.parametrize("downwards", [False, True])
def test_a_chain_has_a_limited_length(downwards: bool) -> None:
    at_limit = said(chain(EXTENDS_DEPTH_MAX, downwards=downwards))
    assert at_limit["services"][f"s{EXTENDS_DEPTH_MAX}"] == {"image": "a"}
    lines = refusal(chain(EXTENDS_DEPTH_MAX + 1, downwards=downwards))
    assert f"more than {EXTENDS_DEPTH_MAX} services extend one another" in lines[0]


def test_a_very_long_chain_is_refused_too() -> None:
    assert f"more than {EXTENDS_DEPTH_MAX} services" in refusal(chain(2_000, downwards=True))[0]


@pytest.mark.parametrize(
    ("base", "limit"),
    [
        (f"labels: [{'a, ' * 1000}]", NODES_MAX),
        (f"labels: [{', '.join(['a' * VALUE_CHARS_MAX] * 5)}]", TEXT_CHARS_MAX),
        (f"labels: {{{', '.join(f'a{i}: b' for i in range(1000))}}}", NODES_MAX),
    ],
    ids=["nodes", "text", "keys"],
)
def test_many_copies_of_a_large_service_are_refused_at_once(base: str, limit: int) -> None:
    text = f"services:\n  base: {{{base}}}\n" + "".join(f"  s{i}: {{extends: base}}\n" for i in range(200))
    began = time.process_time()
    lines = refusal(text)
    assert time.process_time() - began < 2
    assert f"more than {limit}" in lines[0] or f"than {limit} characters" in lines[0]
