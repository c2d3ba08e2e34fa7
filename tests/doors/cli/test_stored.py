"""`secret` and `config`: Docker's columns and keys, contents sent as they are, secrets never shown."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

import pytest

from bayplan.limits import FILE_BYTES_MAX
from bayplan.model import FileKind
from tests.doors.cli.canned_controller import World, service, stored, task
from tests.doors.cli.cli_world import Cli

BYTES = b"\x00\xff\n raw \n"


@pytest.fixture
def kept(world: World) -> World:
    """Two secrets, one of them in use, and a config."""
    world.shop()
    world.files = [
        stored(FileKind.SECRET, "key", b"hunter2", used_by=("shop_api", "shop_web"), stack="shop", version=3),
        stored(FileKind.SECRET, "spare", b"hunter3"),
        stored(FileKind.CONFIG, "conf", b"line one\nline two\n", labels={"team": "shop"}),
    ]
    return world


def test_create_sends_a_files_bytes_as_they_are(world: World, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(BYTES)
    answer = cli("secret", "create", "-l", "team=shop", "key", "raw")
    assert answer.code == 0
    assert answer.out.strip() == world.files[0].digest[:12]
    (request,) = world.asked
    assert (request.name, request.content, dict(request.labels)) == ("key", BYTES, {"team": "shop"})


def test_create_takes_standard_input(world: World, cli: Cli) -> None:
    assert cli("config", "create", "conf", "-", stdin="from a pipe\n").code == 0
    assert world.asked[0].content == b"from a pipe\n"


def test_what_cannot_be_sent_is_refused_here(world: World, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * (FILE_BYTES_MAX + 1))
    for file, says in (("large", "is larger than 500KiB"), ("missing", "No such file")):
        answer = cli("secret", "create", "key", file)
        assert answer.code == 125
        assert says in answer.err
    assert cli("secret", "create", "-l", "nonsense", "key", "large").code == 125
    assert world.asked == []


def test_ls_has_dockers_columns_first(kept: World, cli: Cli) -> None:
    lines = cli("secret", "ls").out.splitlines()
    assert lines[0] == (
        "ID             NAME    DRIVER   CREATED       UPDATED         VERSION   SIZE   USED BY"
    )
    assert lines[1].split()[1:] == [
        "key",
        "2",
        "hours",
        "ago",
        "3",
        "minutes",
        "ago",
        "3",
        "7B",
        "shop_api,shop_web",
    ]
    assert [line.split()[1] for line in lines[1:]] == ["key", "spare"]
    assert "DRIVER" not in cli("config", "ls").out


def test_ids_name_a_secret_as_well(kept: World, cli: Cli) -> None:
    first = cli("secret", "ls", "-q").out.split()[0]
    assert cli("secret", "inspect", "--format", "{{.Spec.Name}}", first).out == "key\n"


def test_a_secret_is_inspected_without_its_content(kept: World, cli: Cli) -> None:
    text = cli("secret", "inspect", "key").out
    (found,) = json.loads(text)
    assert found["Spec"] == {"Name": "key", "Labels": {}}
    assert found["Version"] == {"Index": 3}
    for shown in (text, cli("secret", "inspect", "--pretty", "key").out):
        assert "hunter2" not in shown
        assert base64.b64encode(b"hunter2").decode() not in shown


def test_a_config_is_inspected_with_its_content(kept: World, cli: Cli) -> None:
    (found,) = json.loads(cli("config", "inspect", "conf").out)
    assert base64.b64decode(found["Spec"]["Data"]) == b"line one\nline two\n"
    assert cli("config", "inspect", "--pretty", "conf").out.splitlines()[-3:] == [
        "Data:",
        "line one",
        "line two",
    ]


def test_rm_removes_what_it_can_and_ends_with_1_for_the_rest(kept: World, cli: Cli) -> None:
    answer = cli("secret", "rm", "key", "spare")
    assert (answer.code, answer.out) == (1, "spare\n")
    assert answer.err == "error: secret key is mounted by shop_api\n"


def test_rm_of_an_unknown_one_removes_none_and_offers_the_nearest(kept: World, cli: Cli) -> None:
    answer = cli("secret", "rm", "spare", "kye")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == "error: no secret kye\nhint: did you mean key?\n"
    assert len(kept.files) == 3


def test_update_names_the_services_that_roll_and_waits_for_them(kept: World, cli: Cli) -> None:
    def rolls(world: World) -> None:
        for name, replicas in (("shop_api", 1), ("shop_web", 2)):
            world.put(service(name, replicas, version=2))
        world.tasks = [task(name, version=2) for name in ("shop_api.1", "shop_web.1", "shop_web.2")]
        time.sleep(0.3)
        world.changed()

    kept.after_deploy = rolls
    answer = cli("secret", "update", "key", "-", stdin="new")
    assert answer.code == 0
    assert answer.out.splitlines() == [
        "key is now version 4",
        "Updating service shop_api",
        "Updating service shop_web",
    ]
    assert "shop_web 2/2 ready" in answer.err
    assert kept.asked[0].content == b"new"


def test_a_dry_update_tells_who_would_roll(kept: World, cli: Cli) -> None:
    answer = cli("secret", "update", "--dry-run", "key", "-", stdin="new")
    assert answer.out == "Would update secret key, mounted by shop_api, shop_web\n"
    assert kept.asked == []
