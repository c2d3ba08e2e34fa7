"""The CA: what its certificates say, whom it believes, and how it lies on disk."""

import os
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from bayplan.errors import ProblemError, ProblemKind
from bayplan.tls import Identity, PeerRole
from controller.authority import Authority, requested_key_hash

NOW_MS = 1_800_000_000_000
NOW = datetime.fromtimestamp(NOW_MS / 1_000, UTC)
DAY_MS = 86_400_000


def authority(cluster_id="c1"):
    return Authority.create(cluster_id, NOW_MS)


def new_key():
    return ec.generate_private_key(ec.SECP256R1())


def request(key, common_name="anybody"):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
    built = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return built.public_bytes(serialization.Encoding.PEM)


def sign(key, data):
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


def parsed(pem):
    return x509.load_pem_x509_certificate(pem)


def extension(certificate, kind):
    return certificate.extensions.get_extension_for_class(kind).value


def refusal(call, *arguments):
    with pytest.raises(ProblemError) as caught:
        call(*arguments)
    return caught.value.problem


def test_an_agents_certificate_is_only_for_clients_and_names_the_node():
    ca = authority()
    leaf = parsed(ca.issue_agent(request(new_key(), "controller"), "n1", NOW_MS))
    leaf.verify_directly_issued_by(ca.certificate)
    names = extension(leaf, x509.SubjectAlternativeName)
    assert list(names) == [x509.UniformResourceIdentifier("spiffe://c1/agent/n1")]
    assert list(extension(leaf, x509.ExtendedKeyUsage)) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not extension(leaf, x509.BasicConstraints).ca
    assert "controller" not in leaf.subject.rfc4514_string()


def test_certificates_begin_an_hour_early_and_end_after_their_life():
    ca = authority()
    agent = parsed(ca.issue_agent(request(new_key()), "n1", NOW_MS))
    controller = parsed(ca.issue_controller("k1", [], NOW_MS).certificate_pem)
    lives = {pem: (c.not_valid_after_utc - NOW).days for pem, c in [("a", agent), ("k", controller)]}
    assert lives == {"a": 7, "k": 90}
    assert {(NOW - c.not_valid_before_utc).seconds for c in (agent, controller, ca.certificate)} == {3_600}
    assert (ca.certificate.not_valid_after_utc - NOW).days == 3_650


def test_a_controllers_certificate_has_its_names_and_both_usages():
    leaf = parsed(authority().issue_controller("k1", ["10.0.0.1", "h1.lan", "::1"], NOW_MS).certificate_pem)
    names = extension(leaf, x509.SubjectAlternativeName)
    assert names.get_values_for_type(x509.DNSName) == ["bayplan-controller", "localhost", "h1.lan"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "10.0.0.1", "::1"]
    assert set(extension(leaf, x509.ExtendedKeyUsage)) == {
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.CLIENT_AUTH,
    }


def test_the_root_may_sign_leaves_only_and_is_named_by_its_key():
    ca = authority()
    constraints = extension(ca.certificate, x509.BasicConstraints)
    assert (constraints.ca, constraints.path_length) == (True, 0)
    leaf = parsed(ca.issue_agent(request(new_key()), "n1", NOW_MS))
    issuer = extension(leaf, x509.AuthorityKeyIdentifier).key_identifier
    assert issuer == extension(ca.certificate, x509.SubjectKeyIdentifier).digest


def test_a_request_that_is_damaged_of_another_kind_or_signed_by_another_key_is_refused():
    ca = authority()
    good = request(new_key())
    der = bytearray(x509.load_pem_x509_csr(good).public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    forged = x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM)
    others = [
        request(rsa.generate_private_key(65_537, 2_048)),
        request(ec.generate_private_key(ec.SECP384R1())),
    ]
    for bad in (b"", b"\xff" * 99, good[:100], forged, *others):
        assert refusal(ca.issue_agent, bad, "n1", NOW_MS).kind is ProblemKind.INVALID
        assert refusal(requested_key_hash, bad).kind is ProblemKind.INVALID


def test_the_requested_key_hash_is_the_keys_and_not_the_requests():
    key = new_key()
    assert request(key) != request(key)
    assert requested_key_hash(request(key)) == requested_key_hash(request(key, "other"))
    assert requested_key_hash(request(key)) != requested_key_hash(request(new_key()))


def test_a_node_renews_with_its_old_key_even_after_its_certificate_expired():
    ca, old, new = authority(), new_key(), new_key()
    expired = ca.issue_agent(request(old), "n1", NOW_MS - 30 * DAY_MS)
    csr = request(new)
    assert ca.verify_renewal(expired, csr, sign(old, csr)) == "n1"


def test_a_renewal_without_the_old_key_or_from_elsewhere_is_refused():
    ca, old, new = authority(), new_key(), new_key()
    csr, mine = request(new), ca.issue_agent(request(old), "n1", NOW_MS)
    twin = authority().issue_agent(request(old), "n1", NOW_MS)
    controllers = ca.issue_controller("k1", [], NOW_MS)
    controllers_key = serialization.load_pem_private_key(controllers.key_pem, None)
    cases = [
        (mine, csr, sign(new, csr)),
        (mine, request(new_key()), sign(old, csr)),
        (mine, csr, b""),
        (twin, csr, sign(old, csr)),
        (ca.ca_pem, csr, sign(old, csr)),
        (controllers.certificate_pem, csr, sign(controllers_key, csr)),
        (b"garbage", csr, sign(old, csr)),
    ]
    for case in cases:
        assert refusal(ca.verify_renewal, *case).kind is ProblemKind.UNAUTHORISED


def test_a_saved_ca_is_the_same_after_loading(tmp_path):
    ca = authority("prod-1")
    ca.save(tmp_path / "data" / "ca")
    loaded = Authority.load(tmp_path / "data" / "ca")
    assert (loaded.cluster_id, loaded.ca_pem) == ("prod-1", ca.ca_pem)
    parsed(loaded.issue_agent(request(new_key()), "n1", NOW_MS)).verify_directly_issued_by(ca.certificate)


def test_the_cas_key_is_the_owners_alone(tmp_path):
    old = os.umask(0)
    try:
        authority().save(tmp_path / "ca")
    finally:
        os.umask(old)
    assert (tmp_path / "ca").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "ca" / "ca.key").stat().st_mode & 0o777 == 0o600


def test_a_second_ca_never_replaces_the_first(tmp_path):
    first = authority()
    first.save(tmp_path / "ca")
    with pytest.raises(OSError, match="not empty"):
        authority().save(tmp_path / "ca")
    assert Authority.load(tmp_path / "ca").ca_pem == first.ca_pem
    assert [path.name for path in tmp_path.iterdir()] == ["ca"]


def test_a_missing_ca_says_how_to_make_one(tmp_path):
    problem = refusal(Authority.load, tmp_path / "ca")
    assert problem.kind is ProblemKind.NOT_FOUND
    assert "bayplan init" in problem.hint


def test_a_damaged_ca_is_named_by_its_place(tmp_path):
    authority().save(tmp_path / "a")
    authority().save(tmp_path / "b")
    (tmp_path / "a" / "ca.key").write_bytes((tmp_path / "b" / "ca.key").read_bytes())
    (tmp_path / "b" / "ca.pem").write_bytes(b"\x00")
    for folder in (tmp_path / "a", tmp_path / "b"):
        problem = refusal(Authority.load, folder)
        assert (problem.kind, problem.place) == (ProblemKind.INVALID, str(folder))


@pytest.mark.parametrize("name", ["", "../n1", "n1/../k", "N1", "n 1", "a" * 64, "n1\n"])
def test_an_id_that_would_break_the_spiffe_id_is_a_bug(name):
    with pytest.raises(ValueError, match="not fit"):
        authority().issue_agent(request(new_key()), name, NOW_MS)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "spiffe://c1/agent/",
        "spiffe://c1/user/x",
        "spiffe://c1/agent/a/b",
        "spiffe://c1/agent/a\n",
        "https://c1/agent/a",
    ],
)
def test_only_our_own_spiffe_ids_name_somebody(uri):
    assert Identity.parse(uri) is None
    assert Identity.parse("spiffe://c1/agent/a") == Identity(PeerRole.AGENT, "a", "c1")
