"""Whatever the bytes are: a stack, or a ProblemError with its place. Nothing else, and fast."""

from __future__ import annotations

from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from bayplan.compose import Loaded, Source, load
from bayplan.compose.schema import TABLES
from bayplan.errors import ProblemError, ProblemKind
from tests.unit.compose.world import nested

GOOD = """\
x-base: &base
  restart: unless-stopped
  logging: {driver: json-file, options: {max-size: 10m}}
services:
  web:
    <<: *base
    image: registry:5000/team/web:${TAG:-1.0}
    command: ["serve", "--port", "80"]
    environment: {A: 1, B: "${B:-x}", C: }
    ports: ["8080:80", "127.0.0.1:9000-9001:90-91/udp", {target: 443, published: 8443}]
    volumes: ["data:/data", "./conf:/conf:ro", {type: tmpfs, target: /run, tmpfs: {size: 64m}}]
    networks: {back: {aliases: [w]}}
    healthcheck: {test: curl -f http://localhost, interval: 5s, retries: 3}
    depends_on: {db: {condition: service_healthy}}
    deploy:
      replicas: 2
      resources: {limits: {cpus: '0.5', memory: 64M}, reservations: {memory: 32M}}
      placement: {constraints: ["node.labels.zone == a"]}
  db: {image: postgres, networks: [back], mem_limit: 128m, tmpfs: "/tmp:size=1m"}
networks: {back: }
volumes: {data: }
"""
KEYS = sorted({name for keys in TABLES.values() for name in keys})
SIGNS = [
    "{",
    "}",
    "[",
    "]",
    ":",
    "-",
    "&a",
    "*a",
    "<<:",
    "!!str",
    "$",
    "${",
    "${A:?",
    "'",
    "|\n",
    "0x1F",
    "~",
    "null",
    "-1",
    "1e9",
    "::",
    "/",
    "..",
    "é",
    "%",
    "#",
    "---\n",
]
PIECES = [*SIGNS, *KEYS, '"', "\t", "\n", "  ", "\x00"]


edits = st.lists(
    st.tuples(st.integers(0, len(GOOD)), st.integers(0, 12), st.sampled_from(PIECES)), min_size=1, max_size=6
)
scalars = st.one_of(st.sampled_from(PIECES), st.text(max_size=8), st.integers().map(str))
names = st.sampled_from(KEYS)
values = st.recursive(
    scalars.map(lambda text: "'" + text.replace("'", "''") + "'"),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[" + ", ".join(items) + "]"),
        st.dictionaries(names, inner, max_size=4).map(
            lambda items: "{" + ", ".join(f"{key}: {value}" for key, value in items.items()) + "}"
        ),
    ),
    max_leaves=12,
)


def load_or_refuse(text: bytes) -> Loaded | None:
    try:
        return load("shop", [Source("f.yml", text)], {"A": "1"}, Path("/srv"))
    except ProblemError as error:
        for problem in error.problems:
            assert problem.kind is ProblemKind.INVALID
            assert problem.summary
            assert problem.place.startswith("f.yml") or problem.summary == "and further errors"
            assert all(line.isprintable() for line in problem.lines()), problem
        return None


def test_the_unchanged_file_is_good() -> None:
    assert load_or_refuse(GOOD.encode()) is not None


@given(st.binary(max_size=200))
@example(b"\xef\xbb\xbf")
@example(b"\xff\xfe\x00")
def test_random_bytes_are_loaded_or_refused(text: bytes) -> None:
    load_or_refuse(text)


@given(edits)
@settings(max_examples=400, deadline=None)
def test_a_good_file_that_was_damaged_is_loaded_or_refused(damage: list[tuple[int, int, str]]) -> None:
    text = GOOD
    for position, removed, put_in in damage:
        text = text[:position] + put_in + text[position + removed :]
    load_or_refuse(text.encode())


@given(names, values, st.sampled_from(sorted(TABLES)))
@settings(max_examples=600, deadline=None)
def test_any_value_of_any_key_is_loaded_or_refused(name: str, value: str, path: str) -> None:
    load_or_refuse(nested(path, f"{name}: {value}").encode())


@given(values)
def test_any_service_is_loaded_or_refused(value: str) -> None:
    load_or_refuse(f"services: {{web: {value}}}".encode())
