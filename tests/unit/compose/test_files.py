"""Configs and secrets: where their content comes from, and where it lies in the container."""

from __future__ import annotations

from textwrap import dedent

import pytest

from bayplan.limits import FILE_BYTES_MAX
from bayplan.model import FileKind, FileMount, StackFile
from tests.unit.compose.world import loaded, refusal

CONFIG, SECRET = FileKind.CONFIG, FileKind.SECRET

Disk = dict[str, str]


def shop(uses: str, declares: str) -> str:
    """A file whose service `web` has one more line; the declarations begin in line 5."""
    return f"services:\n  web:\n    image: nginx\n    {uses}\n{dedent(declares)}"


def files(uses: str, declares: str, disk: Disk | None = None, /, **environment: str) -> list[StackFile]:
    return list(loaded(shop(uses, declares), disk, **environment).stack.files)


def mounts(uses: str, declares: str) -> list[FileMount]:
    return list(loaded(shop(uses, declares)).stack.services[0].container.files)


def mistake(uses: str, declares: str, disk: Disk | None = None, /, **environment: str) -> list[str]:
    return refusal(shop(uses, declares), disk, **environment)


@pytest.mark.parametrize(
    ("declared", "name", "content"),
    [
        ("a: {file: ./a.txt}", "shop_a", b"on disk"),
        ("a: {file: sub/../a.txt}", "shop_a", b"on disk"),
        ("a: {content: 'Hello ${WHO}, $$1'}", "shop_a", b"Hello world, $1"),
        ("a: {content: ''}", "shop_a", b""),
        ("a: {environment: WHO}", "shop_a", b"world"),
        ("a: {environment: WHO, external: false}", "shop_a", b"world"),
        ("a: {content: x, name: 'a-${WHO}'}", "a-world", b"x"),
    ],
)
@pytest.mark.parametrize("kind", list(FileKind))
def test_content_comes_from_where_the_file_says(
    kind: FileKind, declared: str, name: str, content: bytes
) -> None:
    found = files(f"{kind}s: [a]", f"{kind}s: {{{declared}}}", {"a.txt": "on disk"}, WHO="world")
    assert found == [StackFile(kind=kind, name=name, content=content, place="compose.yml:5")]


@pytest.mark.parametrize(
    ("declared", "name"),
    [
        ("a: {external: true}", "a"),
        ("a: {external: true, name: b}", "b"),
        ("a: {external: {name: b}}", "b"),
    ],
)
def test_what_is_external_has_its_own_name_and_no_content(declared: str, name: str) -> None:
    found = files("configs: [a]", f"configs: {{{declared}}}")
    assert found == [StackFile(kind=CONFIG, name=name, external=True, place="compose.yml:5")]


def test_labels_travel_with_the_content() -> None:
    assert files("configs: [a]", "configs: {a: {content: x, labels: {b: 1}}}")[0].labels == {"b": "1"}


def test_what_no_service_uses_is_neither_read_nor_sent() -> None:
    assert files("tty: true", "configs: {a: {file: ./none}}\nsecrets: {a: {environment: NONE}}") == []


def test_what_several_services_use_is_sent_once() -> None:
    text = """\
    services:
      a: {image: a, configs: [x], secrets: [x]}
      b: {image: b, configs: [{source: x, target: /y}]}
    configs: {x: {content: 1}}
    secrets: {x: {content: 2}}
    """
    stack = loaded(text).stack
    assert [(file.kind, file.content) for file in stack.files] == [(CONFIG, b"1"), (SECRET, b"2")]
    assert [file.source for each in stack.services for file in each.container.files] == ["shop_x"] * 3


@pytest.mark.parametrize(
    ("kind", "use", "mount"),
    [
        (SECRET, "a", FileMount(kind=SECRET, source="shop_a", target="/run/secrets/a")),
        (SECRET, "{source: a, target: b}", FileMount(kind=SECRET, source="shop_a", target="/run/secrets/b")),
        (SECRET, "{source: a, target: /b}", FileMount(kind=SECRET, source="shop_a", target="/b")),
        (CONFIG, "a", FileMount(kind=CONFIG, source="shop_a", target="/a")),
        (CONFIG, "{source: a, target: etc/a}", FileMount(kind=CONFIG, source="shop_a", target="/etc/a")),
        (
            CONFIG,
            "{source: a, uid: '101', gid: 102, mode: 0400}",
            FileMount(kind=CONFIG, source="shop_a", target="/a", uid=101, gid=102, mode=0o400),
        ),
    ],
)  # fmt: skip
def test_a_file_lies_where_it_was_asked_for(kind: FileKind, use: str, mount: FileMount) -> None:
    assert mounts(f"{kind}s: [{use}]", f"{kind}s: {{a: {{content: x}}}}") == [mount]


@pytest.mark.parametrize(
    ("written", "mode"),
    [
        ("0440", 0o440),
        ("'0440'", 0o440),
        ("'440'", 0o440),
        ("0o440", 0o440),
        ("'0o1440'", 0o1440),
        ("0", 0),
        ("288", 0o440),
        ("'${MODE:-440}'", 0o440),
    ],
)
def test_modes_are_octal_in_every_form_that_yaml_has(written: str, mode: int) -> None:
    use = f"configs: [{{source: a, mode: {written}}}]"
    assert mounts(use, "configs: {a: {content: x}}")[0].mode == mode


def test_a_decimal_mode_is_warned_of() -> None:
    text = shop("configs: [{source: a, mode: 440}]", "configs: {a: {content: x}}")
    assert loaded(text).warnings == (
        "compose.yml:4: services.web.configs[0].mode is decimal: 440 is the mode 0670; "
        "an octal mode begins with 0",
    )


@pytest.mark.parametrize(
    ("uses", "declares", "lines"),
    [
        (
            "secrets: [db_pasword]",
            "secrets: {db_password: {content: x}}",
            [
                "error: compose.yml:4: services.web uses the secret 'db_pasword', which is not in the file's "
                "secrets",
                "hint: did you mean db_password?",
            ],
        ),
        (
            "configs: [a]",
            "configs: {a: {file: ./b.txt}}",
            [
                "error: compose.yml:5: configs.a: the file './b.txt' does not exist",
                "  it was looked for at /srv/app/b.txt",
                "hint: make that file; its path starts in the project folder",
            ],
        ),
        (
            "configs: [a]",
            "configs: {a: {file: ./folder}}",
            [
                "error: compose.yml:5: configs.a: the file './folder' is not a regular file",
                "  it was looked for at /srv/app/folder",
                "hint: make that file; its path starts in the project folder",
            ],
        ),
        (
            "secrets: [a]",
            "secrets: {a: {environment: NONE}}",
            [
                "error: compose.yml:5: secrets.a is the content of the variable 'NONE', which is not set",
                "hint: set it in the environment or in an env file",
            ],
        ),
        (
            "secrets: [a]",
            "secrets: {a: {file: ./large}}",
            [
                "error: compose.yml:5: secrets.a: the file './large' has 600 KiB, more than the 500 KiB that "
                "travel with a stack",
                "hint: keep it in a named volume, at an absolute path that each node has, or build it into "
                "the image",
            ],
        ),
        (
            "secrets: [{source: a, uid: nobody}]",
            "secrets: {a: {content: x}}",
            [
                "error: compose.yml:4: services.web.secrets[0].uid shall be a number, not 'nobody'",
                "hint: the image alone knows its names: write the number, as in its /etc/passwd",
            ],
        ),
        (
            "secrets: [a, {source: b, target: a}]",
            "secrets: {a: {content: x}, b: {content: x}}",
            [
                "error: compose.yml:4: services.web mounts '/run/secrets/a' twice",
                "  the first time at compose.yml:4",
                "hint: remove one of the two",
            ],
        ),
        (
            "configs: [a, b]",
            "configs: {a: {content: x, name: n}, b: {content: y, name: n}}",
            [
                "error: compose.yml:5: two configs have the full name n, and they differ",
                "  the other one is at compose.yml:5",
                "hint: give them different names",
            ],
        ),
    ],
)
def test_a_mistake_with_a_file_says_what_to_do(uses: str, declares: str, lines: list[str]) -> None:
    assert mistake(uses, declares, {"folder/x": "x", "large": "x" * 600 * 1024}) == lines


def test_a_file_outside_the_project_is_not_read() -> None:
    error, folder, hint = mistake("configs: [a]", "configs: {a: {file: ../b.txt}}")
    assert error == "error: compose.yml:5: configs.a: the file '../b.txt' is outside the project folder"
    assert folder == "  the project folder is /srv/app"
    assert "--project-directory" in hint


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        ("", "configs.a does not say where its content comes from"),
        ("{name: x}", "configs.a does not say where its content comes from"),
        ("{external: false}", "configs.a does not say where its content comes from"),
        ("{file: x, content: y}", "configs.a has both file and content"),
        ("{content: y, external: true}", "configs.a has both content and external"),
        ("{external: {}}", "configs.a.external shall be true, false, or a mapping with a name"),
        ("{content: x, template_driver: golang}", "configs.a.template_driver is not supported"),
        ("{content: x, name: 'a b'}", "configs.a.name is wrong: 'a b' is not a name"),
        ("{contents: x}", "configs.a.contents is not a key of a config"),
    ],
)
def test_a_declaration_is_checked_also_when_nobody_uses_it(declared: str, problem: str) -> None:
    assert f"error: compose.yml:5: {problem}" in mistake("tty: true", f"configs: {{a: {declared}}}")


@pytest.mark.parametrize("mode", ["rw", "0999", "'888'", "17777", "-1", "'0x1'", "4096"])
def test_what_is_no_mode_is_refused(mode: str) -> None:
    (error, _) = mistake(f"configs: [{{source: a, mode: {mode}}}]", "configs: {a: {content: x}}")
    assert error.startswith("error: compose.yml:4: services.web.configs[0].mode is ")


def test_all_files_together_fit_into_a_message() -> None:
    keys = [f"c{number}" for number in range(30)]
    declares = "".join(f"  {key}: {{file: ./{key}}}\n" for key in keys)
    disk = dict.fromkeys(keys, "x" * FILE_BYTES_MAX)
    assert mistake(f"configs: [{', '.join(keys)}]", f"configs:\n{declares}", disk) == [
        "error: compose.yml:30: the configs and secrets of the stack are larger than 12 MiB together",
        "hint: keep some of them in named volumes, or build them into images",
    ]
