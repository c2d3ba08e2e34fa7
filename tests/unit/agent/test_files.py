"""Configs and secrets in the agent's core: asked for, written, waited for, collected."""

from __future__ import annotations

import msgspec
import pytest

from agent import commands as do
from agent import events as ev
from agent import files
from agent.decide.converge import RECONNECT_GRACE_MS
from agent.files import FILES_ASK_AGAIN_MS
from bayplan.lifecycle import TaskState
from bayplan.limits import FILE_BYTES_MAX
from bayplan.model import Assignments, ContainerSpec, Desired, FileKind, FileMount
from bayplan.session import Files
from tests.unit.agent.world import World, assignment, container, mount, ready, remembered

CONFIG = mount("shop_nginx", "d1")
SECRET = mount("shop_key", "d2", FileKind.SECRET)


def mounting(*mounts: FileMount) -> ContainerSpec:
    return ContainerSpec(image="web:1", files=mounts)


def stored(*mounts: FileMount) -> tuple[ev.StoredFile, ...]:
    return tuple(ev.StoredFile.of(mount) for mount in mounts)


def rebooted(*mounts: FileMount) -> World:
    """An agent without a controller after a reboot: its container is there and does not run."""
    kept = remembered(assignment("t1"))
    specs = {"s1": mounting(CONFIG, SECRET)}
    kept = msgspec.structs.replace(kept, assignments=msgspec.structs.replace(kept.assignments, specs=specs))
    world = World(remembered=kept)
    world.post(ev.FilesListed(files=stored(*mounts)))
    world.list_engine(container("t1", ev.Phase.EXITED))
    return world


# --- waiting and coming ---------------------------------------------------------------------------------


def test_a_task_waits_for_the_contents_it_mounts() -> None:
    world = ready()
    world.run("t1", spec=mounting(CONFIG, SECRET))
    assert world.state("t1") is TaskState.PREPARING
    assert world.told["t1"].message == "waits for config shop_nginx, secret shop_key"
    assert (world.asked, world.engine) == ([("d1", "d2")], {})
    world.contents = {"d1": b"1", "d2": b"2"}
    world.give("d2")
    assert world.state("t1") is TaskState.PREPARING
    assert world.told["t1"].message == "waits for config shop_nginx"
    world.give("d1")
    assert world.state("t1") is TaskState.RUNNING
    assert world.told["t1"].message == ""
    assert world.disk == set(stored(CONFIG, SECRET))


def test_one_content_is_a_file_for_each_owner_and_asked_for_once() -> None:
    world = ready()
    world.contents = {"d1": b"1"}
    theirs = mount("shop_nginx", "d1", uid=33, gid=33, mode=0o4400)
    world.run("t1", "t2", spec=mounting(CONFIG, theirs))
    assert world.alive() == {"t1", "t2"}
    assert world.asked == [("d1",)]
    assert sorted((file.uid, file.gid, file.mode) for file in world.disk) == [(0, 0, 0o444), (33, 33, 0o400)]
    assert len(world.done(do.WriteFile)) == 2


def test_a_content_that_does_not_come_is_asked_for_again_after_a_while() -> None:
    world = ready()
    world.run("t1", spec=mounting(CONFIG))
    asked_ms = world.mono_ms
    world.wait(FILES_ASK_AGAIN_MS - 10)
    assert world.asked == [("d1",)]
    assert world.core.wake_at() == asked_ms + FILES_ASK_AGAIN_MS
    world.wait(20)
    assert world.asked == [("d1",)] * 2


def test_a_new_session_is_asked_anew_and_a_lost_one_not_at_all() -> None:
    world = ready()
    world.run("t1", spec=mounting(CONFIG))
    world.cut()
    world.wait(3 * FILES_ASK_AGAIN_MS)
    assert world.asked == [("d1",)]
    world.connect()
    assert world.asked == [("d1",)] * 2
    world.cut()
    world.connect()
    assert world.asked == [("d1",)] * 3


def test_nothing_is_asked_for_a_task_that_is_withdrawn_or_ended() -> None:
    world = ready()
    world.run("t1", "t2", spec=mounting(CONFIG))
    world.assign(assignment("t2", Desired.STOP), spec=mounting(CONFIG))
    world.wait(3 * FILES_ASK_AGAIN_MS)
    assert world.asked == [("d1",)]
    world.contents = {"d1": b"1"}
    world.give("d1")
    assert world.disk == set()


def test_contents_that_are_held_are_neither_asked_for_nor_written_again() -> None:
    world = World()
    world.post(ev.FilesListed(files=stored(CONFIG)))
    world.list_engine()
    world.connect()
    world.run("t1", spec=mounting(CONFIG))
    assert world.alive() == {"t1"}
    assert (world.asked, world.done(do.WriteFile)) == ([], [])


def test_a_content_that_comes_while_it_is_written_is_not_written_twice() -> None:
    world = ready(auto=False)
    world.run("t1", spec=mounting(CONFIG))
    world.contents = {"d1": b"1"}
    world.give("d1")
    world.give("d1")
    world.wait(3 * FILES_ASK_AGAIN_MS)
    assert len(world.done(do.WriteFile)) == 1
    assert world.asked == [("d1",)]


def test_files_that_someone_took_away_are_asked_for_again() -> None:
    world = ready()
    world.contents = {"d1": b"1"}
    world.run("t1", spec=mounting(CONFIG))
    world.auto = False
    world.run("t1", "t2", spec=mounting(CONFIG))
    world.post(ev.FilesListed())
    world.fail("t2", ev.FaultKind.UNANSWERED)
    world.auto = True
    world.wait(5_000)
    assert world.alive() == {"t1", "t2"}
    assert world.asked == [("d1",)] * 2


# --- without a controller -------------------------------------------------------------------------------


def test_after_a_reboot_a_task_whose_files_are_all_here_starts_alone() -> None:
    world = rebooted(CONFIG, SECRET)
    world.wait(RECONNECT_GRACE_MS + 1_000)
    assert world.alive() == {"t1"}


def test_after_a_reboot_a_task_with_a_secret_waits_for_the_controller() -> None:
    world = rebooted(CONFIG)
    world.wait(RECONNECT_GRACE_MS + 60_000)
    assert world.alive() == set()
    assert world.core.state.tasks["t1"].status.message == "waits for secret shop_key"
    world.connect()
    assert world.state("t1") is TaskState.FAILED  # told as ended: the controller replaces it


# --- refusals -------------------------------------------------------------------------------------------


def test_a_node_that_cannot_keep_secrets_rejects_their_tasks_without_asking() -> None:
    world = World()
    world.post(ev.FilesListed(refused={FileKind.SECRET: "/run is not in memory: move it"}))
    world.list_engine()
    world.connect()
    world.contents = {"d1": b"1"}
    world.run("t1", spec=mounting(SECRET))
    assert world.state("t1") is TaskState.REJECTED
    assert world.told["t1"].message == "secret shop_key: /run is not in memory: move it"
    assert world.asked == []
    world.run("t2", spec=mounting(CONFIG))
    assert world.state("t2") is TaskState.RUNNING


def test_a_content_that_cannot_be_written_rejects_those_who_wait_for_it() -> None:
    world = ready(auto=False)
    world.run("t1", "t2", spec=mounting(CONFIG))
    world.contents = {"d1": b"1"}
    world.give("d1")
    world.post(ev.FileNotWritten(file=stored(CONFIG)[0], reason="No space left on device"))
    assert world.state("t1") is world.state("t2") is TaskState.REJECTED
    message = "config shop_nginx cannot be kept on this node: No space left on device"
    assert world.told["t1"].message == message


@pytest.mark.parametrize("contents", [{}, {"": b""}, {"d1": b"x" * (FILE_BYTES_MAX + 1)}, {"../d1": b"x"}])
def test_whatever_a_files_message_holds_only_what_was_wanted_and_fits_is_written(
    contents: dict[str, bytes],
) -> None:
    world = ready()
    world.run("t1", spec=mounting(CONFIG))
    world.hear(Files(contents=contents))
    assert world.disk == set()
    too_large = "d1" in contents
    assert world.state("t1") is (TaskState.REJECTED if too_large else TaskState.PREPARING)


@pytest.mark.parametrize(
    "broken",
    [
        mount("shop_nginx", ""),
        mount("shop_nginx", "../../etc/shadow"),
        mount("shop_nginx", "d1", uid=2**32 - 1),
    ],
)
def test_a_mount_that_makes_no_file_rejects_its_task(broken: FileMount) -> None:
    world = ready()
    world.run("t1", spec=mounting(broken))
    assert world.state("t1") is TaskState.REJECTED
    assert world.told["t1"].message.startswith("config shop_nginx: ")
    assert world.asked == []


def test_a_node_holds_so_many_files_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "FILES_HELD_MAX", 20)
    world = ready()
    many = tuple(mount(f"c{number}", f"d{number}") for number in range(21))
    world.contents = {each.digest: b"x" for each in many}
    world.run("t1", spec=mounting(*many))
    assert world.state("t1") is TaskState.REJECTED
    assert world.told["t1"].message.endswith("this node holds 20 configs and secrets already")
    assert len(world.disk) <= 20


# --- collecting -----------------------------------------------------------------------------------------


def test_a_content_goes_with_the_last_task_that_mounts_it() -> None:
    world = ready()
    world.contents = {"d1": b"1", "d2": b"2"}
    world.run("t1", "t2", spec=mounting(CONFIG))
    world.run("t2", spec=mounting(CONFIG))
    assert world.disk == set(stored(CONFIG))
    world.run()
    assert world.disk == set()


def test_nothing_is_collected_before_the_controller_has_named_the_tasks() -> None:
    world = World()
    world.post(ev.FilesListed(files=stored(CONFIG)))
    world.list_engine()
    world.open_link()
    assert world.done(do.RemoveFile) == []
    world.connect()
    world.run()
    assert [command.file for command in world.done(do.RemoveFile)] == list(stored(CONFIG))


def test_a_content_whose_task_left_while_it_was_written_goes_too() -> None:
    world = ready(auto=False)
    world.run("t1", spec=mounting(CONFIG))
    world.contents = {"d1": b"1"}
    world.give("d1")
    world.run()
    world.auto = True
    world.obey(world.done(do.WriteFile)[0])
    assert len(world.done(do.RemoveFile)) == 1
    assert world.disk == set()


def test_a_content_that_was_listed_on_its_way_out_is_not_held() -> None:
    world = ready()
    world.contents = {"d1": b"1"}
    world.run("t1", "t2", spec=mounting(CONFIG))
    world.auto = False
    world.run()
    for task_id in ("t1", "t2"):
        world.die(task_id, 0)
        world.post(ev.ContainerStopped(container=world.engine[task_id]))
        world.post(ev.ContainerRemoved(task_id=task_id))
    (removal,) = world.done(do.RemoveFile)
    world.run("t3", spec=mounting(CONFIG))
    world.post(ev.FilesListed(files=stored(CONFIG)))
    assert [command.task_id for command in world.done(do.CreateContainer)] == ["t1", "t2"]
    world.auto = True
    world.obey(removal)
    assert world.alive() == {"t3"}
    assert world.asked == [("d1",)] * 2


def test_a_content_wanted_again_while_it_goes_is_asked_for_once_it_is_gone() -> None:
    world = ready()
    world.contents = {"d1": b"1"}
    world.run("t1", spec=mounting(CONFIG))
    world.auto = False
    world.run()
    for kind in (do.StopContainer, do.RemoveContainer):
        world.obey(world.done(kind)[-1])
    world.run("t2", spec=mounting(CONFIG))
    world.wait(3 * FILES_ASK_AGAIN_MS)
    assert world.asked == [("d1",)]
    world.auto = True
    world.obey(world.done(do.RemoveFile)[-1])
    assert world.alive() == {"t2"}
    assert world.asked == [("d1",)] * 2


# --- keeping secrets ------------------------------------------------------------------------------------


def test_a_content_is_in_no_change_no_state_and_no_repr() -> None:
    world = ready()
    world.contents = {"d2": b"canary"}
    world.run("t1", spec=mounting(SECRET))
    assert world.alive() == {"t1"}
    assert b"canary" not in msgspec.json.encode(world.changes)
    assert "canary" not in repr(world.commands)
    assert "canary" not in repr(ev.Heard(link=1, message=Files(contents=world.contents)))
    assert "canary" not in repr([vars(part) for part in (world.core.state, world.core.state.files)])


def test_a_task_without_files_takes_no_notice_of_them() -> None:
    world = ready()
    world.hear(Assignments(revision=9, tasks=(assignment("t1"),), specs={"s1": mounting()}))
    assert world.alive() == {"t1"}
    assert world.asked == []
