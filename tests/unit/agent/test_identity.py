"""The identity on disk: whole, checked when it is read, and private."""

import pytest

from agent import identity
from agent.identity import NodeIdentity
from bayplan.errors import ProblemError, ProblemKind
from controller.authority import Authority
from tests.doors.tls_world import agent_keys, cluster, member

HOUR_MS = 3_600_000
ISSUED_MS = 1_800_000_000_000


def joined(ca: Authority) -> NodeIdentity:
    return member(ca, "10.0.0.1:7401", agent_keys(ca, "n1", ISSUED_MS))


def problem_of_loading(folder):
    with pytest.raises(ProblemError) as caught:
        identity.load(folder)
    return caught.value.problem


def test_a_saved_identity_is_the_same_after_loading(tmp_path):
    saved = joined(cluster())
    identity.save(saved, tmp_path / "data")
    assert identity.load(tmp_path / "data") == saved


def test_the_key_is_the_owners_alone_and_never_shown(tmp_path):
    saved = joined(cluster())
    identity.save(saved, tmp_path)
    assert (tmp_path / "node.pem").stat().st_mode & 0o777 == 0o600
    assert "PRIVATE" not in repr(saved)
    assert b"PRIVATE" not in identity.load(tmp_path).keys.certificate_pem


def test_renewal_is_due_at_half_life():
    keys = joined(cluster())
    assert keys.expires_ms == ISSUED_MS + 7 * 24 * HOUR_MS
    assert keys.renewal_due_ms == ISSUED_MS + (7 * 24 - 1) * HOUR_MS // 2


def test_a_host_that_has_not_joined_is_told_how(tmp_path):
    problem = problem_of_loading(tmp_path)
    assert problem.kind is ProblemKind.NOT_FOUND
    assert problem.summary == "this host has not joined a cluster"
    assert "bayplan join" in problem.hint


def test_files_without_the_last_one_are_no_identity(tmp_path):
    identity.save(joined(cluster()), tmp_path)
    (tmp_path / "node.json").unlink()
    assert problem_of_loading(tmp_path).kind is ProblemKind.NOT_FOUND


@pytest.mark.parametrize("name", ["node.json", "node.pem", "ca.pem"])
@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"{}", b"-----BEGIN PRIVATE KEY-----\n"])
def test_a_damaged_file_is_told_with_its_place_and_the_way_out(tmp_path, name, content):
    identity.save(joined(cluster()), tmp_path)
    (tmp_path / name).write_bytes(content)
    problem = problem_of_loading(tmp_path)
    assert (problem.kind, problem.place) == (ProblemKind.INVALID, str(tmp_path))
    assert "join again" in problem.hint


@pytest.mark.parametrize("name", ["node.json", "node.pem", "ca.pem"])
def test_files_of_two_identities_do_not_mix(tmp_path, name):
    identity.save(joined(cluster("one")), tmp_path / "a")
    identity.save(joined(cluster("two")), tmp_path / "b")
    (tmp_path / "a" / name).write_bytes((tmp_path / "b" / name).read_bytes())
    assert problem_of_loading(tmp_path / "a").kind is ProblemKind.INVALID


def test_a_key_of_another_certificate_is_found_out(tmp_path):
    ca = cluster()
    identity.save(joined(ca), tmp_path)
    certificate, begin, _ = (tmp_path / "node.pem").read_bytes().partition(b"-----BEGIN PRIVATE KEY-----")
    assert begin
    (tmp_path / "node.pem").write_bytes(certificate + joined(ca).keys.key_pem)
    assert "not the certificate's" in problem_of_loading(tmp_path).details[0]


def test_a_cas_twin_of_the_same_name_is_told_apart(tmp_path):
    identity.save(joined(cluster("one")), tmp_path)
    (tmp_path / "ca.pem").write_bytes(cluster("one").ca_pem)
    assert "not from the CA" in problem_of_loading(tmp_path).details[0]


def test_a_folder_is_in_use_while_an_agent_runs_on_it(tmp_path):
    assert not identity.in_use(tmp_path)
    with identity.occupy(tmp_path):
        assert identity.in_use(tmp_path)
    assert not identity.in_use(tmp_path)
