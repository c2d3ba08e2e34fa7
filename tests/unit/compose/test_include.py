"""`include`: what comes from where, with which variables and paths, and what is refused."""

from __future__ import annotations

import time
from typing import Any

import pytest

from bayplan.compose.budget import FILES_BYTES_MAX, FILES_MAX, NODES_MAX
from bayplan.compose.include import INCLUDE_DEPTH_MAX
from tests.unit.compose.front import refusal, said, tree

DB = """
services:
  db:
    image: db:${TAG-none}
    build: .
    env_file: [a.env, {path: ../b.env}]
    volumes: ['./data:/data', 'v:/v', '/abs:/abs', '~/h:/h', {type: bind, source: s, target: /s}]
volumes: {v: }
configs: {c: {file: ./c.conf}}
"""
THERE = {
    "image": "db:none",
    "build": "sub",
    "env_file": ["sub/a.env", {"path": "b.env"}],
    "volumes": [
        "./sub/data:/data",
        "v:/v",
        "/abs:/abs",
        "~/h:/h",
        {"type": "bind", "source": "sub/s", "target": "/s"},
    ],
}


@pytest.mark.parametrize(
    "written", ["sub/db.yml", "./sub/db.yml", "{path: sub/db.yml}", "{path: [sub/db.yml]}"]
)
def test_an_included_file_brings_all_it_has_with_paths_of_its_own_folder(written: str) -> None:
    assert said(f"include: [{written}]\nservices: {{web: {{image: a}}}}", files={"sub/db.yml": DB}) == {
        "services": {"web": {"image": "a"}, "db": THERE},
        "volumes": {"v": None},
        "configs": {"c": {"file": "sub/c.conf"}},
    }


def test_a_file_may_only_include() -> None:
    assert said("include: [db.yml]", files={"db.yml": "services: {db: {image: a}}"}) == {
        "services": {"db": {"image": "a"}}
    }


def test_a_name_and_a_version_are_not_taken_over() -> None:
    files = {"b.yml": "name: b\nversion: '3'\nservices: {db: {image: a}}"}
    assert set(said("include: [b.yml]", files=files)) == {"services"}


def test_several_paths_are_merged_in_the_folder_of_the_first() -> None:
    files = {
        "sub/db.yml": "services: {db: {image: a, env_file: x.env}}",
        "over.yml": "services: {db: {image: b, env_file: y.env}}",
    }
    assert said("include: [{path: [sub/db.yml, over.yml]}]", files=files)["services"]["db"] == {
        "image": "b",
        "env_file": ["sub/x.env", "sub/y.env"],
    }


def test_paths_start_in_the_project_directory_that_is_given() -> None:
    text = "include: [{path: sub/db.yml, project_directory: other}]"
    files = {"sub/db.yml": "services: {db: {build: x}}"}
    assert said(text, files=files)["services"]["db"] == {"build": "other/x"}


def test_an_included_file_includes_and_extends_further_ones() -> None:
    files = {
        "x/b.yml": "include: [y/c.yml]\nservices: {b: {extends: {file: z.yml, service: z}}, d: {extends: c}}",
        "x/y/c.yml": "services: {c: {build: .}}",
        "x/z.yml": "services: {z: {build: z}}",
    }
    assert said("include: [x/b.yml]", files=files)["services"] == {
        "c": {"build": "x/y"},
        "b": {"build": "x/z"},
        "d": {"build": "x/y"},
    }


def test_a_service_extends_an_included_one() -> None:
    text = "include: [db.yml]\nservices: {web: {extends: db, ports: ['1:1']}}"
    services = said(text, files={"db.yml": "services: {db: {image: a}}"})["services"]
    assert services["web"] == {"image": "a", "ports": ["1:1"]}


@pytest.mark.parametrize(
    ("more", "files", "environment", "image"),
    [
        ("", {}, {}, "db:none"),
        ("", {"sub/.env": "TAG=1"}, {}, "db:1"),
        ("", {".env": "TAG=1"}, {}, "db:none"),
        ("", {"sub/.env": "TAG=1"}, {"TAG": "2"}, "db:2"),
        (", env_file: one.env", {"sub/.env": "TAG=1", "one.env": "TAG=3"}, {}, "db:3"),
        (", env_file: [one.env, two.env]", {"one.env": "TAG=3", "two.env": "TAG=${TAG}4"}, {}, "db:34"),
        (", project_directory: p", {"p/.env": "TAG=5", "sub/.env": "TAG=1"}, {}, "db:5"),
    ],
)
def test_an_included_file_has_variables_of_its_own_below_those_of_the_includer(
    more: str, files: dict[str, str], environment: dict[str, str], image: str
) -> None:
    done = said(f"include: [{{path: sub/db.yml{more}}}]", files={"sub/db.yml": DB, **files}, **environment)
    assert done["services"]["db"]["image"] == image


def test_a_required_variable_of_an_included_file_says_where_env_was_looked_for() -> None:
    files = {"sub/b.yml": "services: {db: {image: '${TAG?}'}}"}
    assert refusal("include: [sub/b.yml]", files=files)[:2] == [
        "error: sub/b.yml:1: the variable TAG is not set",
        "  .env was looked for at sub/.env: there is none",
    ]


def test_the_same_file_included_on_two_ways_is_there_once() -> None:
    files = {
        "b.yml": "include: [d.yml]\nservices: {b: {image: b}}",
        "c.yml": "include: [d.yml]\nservices: {c: {image: c}}",
        "d.yml": "services: {d: {image: d}}",
    }
    assert set(said("include: [b.yml, c.yml]", files=files)["services"]) == {"b", "c", "d"}


def test_a_later_file_changes_what_an_earlier_one_included() -> None:
    over = "services: {db: {image: mine, ports: ['1:1']}}"
    services = said("include: [db.yml]", over, files={"db.yml": "services: {db: {image: a}}"})["services"]
    assert services["db"] == {"image": "mine", "ports": ["1:1"]}


@pytest.mark.parametrize(
    ("own", "db"), [("!override {image: mine}", {"image": "mine"}), ("!reset null", None)]
)
def test_an_included_service_can_be_overridden_and_reset(own: str, db: Any) -> None:
    text = f"include: [db.yml]\nservices: {{web: {{image: w}}, db: {own}}}"
    assert said(text, files={"db.yml": "services: {db: {image: a}}"})["services"].get("db") == db


@pytest.mark.parametrize("section", ["services", "networks", "volumes", "configs", "secrets"])
def test_two_meanings_of_a_name_are_refused_with_both_places(section: str) -> None:
    text = f"include:\n  - b.yml\n{section}:\n  x: {{a: b}}"
    assert refusal(text, files={"b.yml": f"\n{section}:\n  x: {{a: c}}"}) == [
        f"error: a.yml:4: {section}.x is in an included file too, and says something else there",
        "  included at a.yml:2, written there at b.yml:3",
        "hint: rename one, or change it in a further file: under include's `path`, or with -c",
    ]


def test_a_circle_is_refused_with_its_path() -> None:
    files = {
        "a.yml": "include: [sub/b.yml]",
        "sub/b.yml": "include:\n  - ../c.yml",
        "c.yml": "include: [a.yml]",
    }
    assert refusal("include: [sub/b.yml]", files=files) == [
        "error: c.yml:1: include goes in a circle",
        "  a.yml -> sub/b.yml -> c.yml -> a.yml",
        "hint: remove one of them",
    ]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            "include:\n  - none.yml",
            [
                "error: a.yml:2: the included file 'none.yml' cannot be read: "
                "it was not sent with the compose files",
                "  it was looked for at /srv/app/none.yml",
                "hint: the path starts in the folder of the file that names it",
            ],
        ),
        (
            "include:\n  - ../b.yml",
            [
                "error: a.yml:2: the included file '../b.yml' is outside the project folder",
                "  the project folder is /srv/app",
                "hint: move it there, or widen it with --project-directory: relative paths start there",
            ],
        ),
        (
            "include:\n  - path: b.yml\n    env_file: /etc/passwd",
            [
                "error: a.yml:3: the env file '/etc/passwd' is outside the project folder",
                "  the project folder is /srv/app",
                "hint: move it there, or widen it with --project-directory: relative paths start there",
            ],
        ),
        (
            "include:\n  - path: b.yml\n    env_file: none.env",
            [
                "error: a.yml:3: the env file 'none.env' cannot be read: "
                "it was not sent with the compose files",
                "  it was looked for at /srv/app/none.env",
                "hint: the path starts in the folder of the file that names it",
            ],
        ),
        (
            "include:\n  - https://github.com/x/y.git",
            [
                "error: a.yml:2: the included file 'https://github.com/x/y.git' is not on this machine",
                "hint: fetch it, and name the file in the project folder",
            ],
        ),
        (
            "include: b.yml",
            [
                "error: a.yml:1: include shall be a list, not a single value",
                "hint: write a list of files, or of mappings with `path`",
            ],
        ),
        (
            "include:\n  - paht: b.yml",
            ["error: a.yml:2: include.'paht' is not a key of include", "hint: did you mean path?"],
        ),
        (
            "include:\n  - env_file: b.yml",
            ["error: a.yml:2: include has an entry without a path", "hint: add `path: FILE`"],
        ),
        (
            "include:\n  - [b.yml]",
            [
                "error: a.yml:2: include shall have files, not a list",
                "hint: write a file, or a mapping with `path`",
            ],
        ),
        (
            "include:\n  - path: {a: b}",
            [
                "error: a.yml:2: include.path shall be a single value or a list of such",
                "hint: write `path: FILE`",
            ],
        ),
        (
            "include:\n  - {path: b.yml, project_directory: [a, b]}",
            ["error: a.yml:2: include.project_directory shall be one folder", "hint: name one folder"],
        ),
    ],
)
def test_a_bad_include_is_one_error_with_its_line_and_a_way_out(text: str, lines: list[str]) -> None:
    assert refusal(text, files={"b.yml": "services: {}"}) == lines


def test_errors_of_several_included_files_are_reported_together() -> None:
    lines = refusal("include:\n  - x.yml\n  - y.yml\n  - b.yml", files={"b.yml": "a: [1\n"})
    assert [line.split(": ")[1] for line in lines if line.startswith("error")] == [
        "a.yml:2",
        "a.yml:3",
        "b.yml:2",
    ]


def nested(depth: int) -> dict[str, str]:
    files = {f"f{i}.yml": f"include: [f{i + 1}.yml]" for i in range(1, depth)}
    return files | {f"f{depth}.yml": "services: {web: {image: a}}"}


def test_files_include_one_another_to_a_limited_depth() -> None:
    at_limit = said("include: [f1.yml]", files=nested(INCLUDE_DEPTH_MAX))
    assert at_limit == {"services": {"web": {"image": "a"}}}
    lines = refusal("include: [f1.yml]", files=nested(INCLUDE_DEPTH_MAX + 1))
    assert f"more than {INCLUDE_DEPTH_MAX} deep" in lines[0]


def widening(levels: int) -> dict[str, str]:
    """Files of which each includes the next one many times: 20 ** levels in all."""
    files = {f"f{i}.yml": f"include: [{', '.join([f'f{i + 1}.yml'] * 20)}]" for i in range(1, levels)}
    return files | {f"f{levels}.yml": "services: {web: {image: a}}"}


@pytest.mark.parametrize(
    ("files", "cause"),
    [
        (widening(8), f"more than {FILES_MAX} compose files"),
        (
            {
                f"f{i}.yml": f"include: [f{i + 1}.yml]\nservices: {{s{i}: [{'a, ' * 30_000}]}}"
                for i in range(1, 9)
            },
            f"stand for more than {NODES_MAX} values",
        ),
        (
            {f"f{i}.yml": f"include: [f{i + 1}.yml]\n" + "#" * 1_000_000 for i in range(1, 15)},
            f"more than {FILES_BYTES_MAX} bytes together",
        ),
    ],
    ids=["files", "values", "bytes"],
)
def test_a_bomb_of_includes_is_one_error_at_once(files: dict[str, str], cause: str) -> None:
    began = time.process_time()
    lines = refusal("include: [f1.yml]", files=files)
    assert time.process_time() - began < 2
    assert sum(line.startswith("error") for line in lines) == 1
    assert cause in lines[0]


@pytest.mark.parametrize(
    ("body", "moved"),
    [
        ("build: {context: ., additional_contexts: {a: b, c: 'docker-image://x'}}",
         {"context": "sub", "additional_contexts": {"a": "sub/b", "c": "docker-image://x"}}),
        ("build: {additional_contexts: [a=b, c=https://x]}", {"additional_contexts": ["a=sub/b", "c=https://x"]}),
        ("build: https://x/y.git", "https://x/y.git"),
        ("build: git@x:y", "git@x:y"),
        ("build: /abs", "/abs"),
        ("env_file: ../up.env", "up.env"),
        ("env_file: !override x.env", "sub/x.env"),
        ("label_file: x", "sub/x"),
        ("label_file: [x, /y]", ["sub/x", "/y"]),
        ("volumes: ['..:/a', '.:/b:ro', '../..:/c', 'n:/d', /e]",
         [".:/a", "./sub:/b:ro", "..:/c", "n:/d", "/e"]),
        ("volumes: [{type: volume, source: n, target: /n}]",
         [{"type": "volume", "source": "n", "target": "/n"}]),
        ("develop: {watch: [{path: ./x, action: sync}]}", {"watch": [{"path": "sub/x", "action": "sync"}]}),
    ],
)  # fmt: skip
def test_every_relative_path_starts_in_the_project_folder(body: str, moved: Any) -> None:
    done = said("include: [sub/b.yml]", files={"sub/b.yml": f"services: {{web: {{{body}}}}}"})
    assert next(iter(done["services"]["web"].values())) == moved


def test_the_device_of_a_bind_volume_is_a_relative_path_too() -> None:
    text = (
        "volumes: {a: {driver_opts: {o: 'bind,ro', device: ./x}}, b: {driver_opts: {o: nfs, device: ':/x'}}}"
    )
    volumes = said("include: [sub/b.yml]", files={"sub/b.yml": text})["volumes"]
    assert volumes["a"]["driver_opts"]["device"] == "sub/x"
    assert volumes["b"]["driver_opts"]["device"] == ":/x"


def test_places_of_included_files_are_as_the_project_folder_is_shown() -> None:
    done = tree("include: [sub/b.yml]", files={"sub/b.yml": "services:\n  web:\n    image: a"})
    assert done.entries["services"].value.entries["web"].key.place == "sub/b.yml:2"  # type: ignore[attr-defined]
