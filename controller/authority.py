"""The cluster's certificate authority: makes certificates and join tokens.

The one place that rolls dice for secrets (`secrets`, key generation). Time is an argument. Knows no
RPC and no store: who may have a certificate, and which token is still good, others decide.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import secrets
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bayplan.errors import ProblemError, ProblemKind, refuse
from bayplan.files import PUBLIC_MODE, SECRET_FOLDER_MODE, sync_folder, write_whole
from bayplan.tls import CONTROLLER_DNS_NAME, Identity, KeyPair, PeerRole
from bayplan.token import ID_BYTES, SECRET_BYTES, JoinRole, JoinToken, base32, ca_pin

CA_LIFE_DAYS = 3_650
#: An agent renews at half of this; longer gone is no harm, an expired certificate may be renewed.
AGENT_LIFE_DAYS = 7
#: Made anew at each start of the controller.
CONTROLLER_LIFE_DAYS = 90
#: Certificates begin in the past, for machines whose clocks are behind.
BACKDATED_HOURS = 1

_CERTIFICATE_FILE = "ca.pem"
_KEY_FILE = "ca.key"
_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Authority:
    """The CA of one cluster. The cluster's id is the trust domain in its certificate."""

    certificate: x509.Certificate
    _key: ec.EllipticCurvePrivateKey
    cluster_id: str

    @classmethod
    def create(cls, cluster_id: str, wall_ms: int) -> Authority:
        """A new CA, in memory only. `cluster_id`: lower-case letters, digits, dots and dashes."""
        _check_name(cluster_id)
        key = ec.generate_private_key(ec.SECP256R1())
        name = _common_name(f"bayplan CA {cluster_id}")
        certificate = (
            _builder(name, name, key.public_key(), wall_ms, CA_LIFE_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(for_ca=True), critical=True)
            .add_extension(x509.SubjectAlternativeName([_uri(f"spiffe://{cluster_id}")]), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key, cluster_id)

    @classmethod
    def load(cls, directory: Path) -> Authority:
        """The CA that `save` wrote. Raises ProblemError: NOT_FOUND, or INVALID when it is damaged."""
        try:
            certificate = x509.load_pem_x509_certificate((directory / _CERTIFICATE_FILE).read_bytes())
            key = serialization.load_pem_private_key((directory / _KEY_FILE).read_bytes(), password=None)
            cluster_id = _uris(certificate)[0].removeprefix("spiffe://")
        except FileNotFoundError as error:
            raise refuse(
                ProblemKind.NOT_FOUND,
                "this host has no cluster",
                f"{error.filename} does not exist",
                hint="make one with `bayplan init`",
            ) from error
        except (ValueError, LookupError, x509.ExtensionNotFound) as error:
            raise _damaged(directory, str(error)) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise _damaged(directory, f"{_KEY_FILE} is not the key of {_CERTIFICATE_FILE}")
        return cls(certificate, key, cluster_id)

    def save(self, directory: Path) -> None:
        """Write the CA to a new folder, whole or not at all. Raises OSError, also if it is not empty."""
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".ca.") as temporary:
            fresh = Path(temporary, directory.name)
            fresh.mkdir(mode=SECRET_FOLDER_MODE)
            write_whole(fresh / _KEY_FILE, _key_pem(self._key))
            write_whole(fresh / _CERTIFICATE_FILE, self.ca_pem, PUBLIC_MODE)
            os.rename(fresh, directory)
        sync_folder(directory.parent)

    @property
    def ca_pem(self) -> bytes:
        """The CA's certificate."""
        return _pem(self.certificate)

    def issue_agent(self, csr_pem: bytes, node_id: str, wall_ms: int) -> bytes:
        """A node's certificate in PEM; of the request only the key counts. Raises ProblemError (INVALID)."""
        identity = Identity(PeerRole.AGENT, node_id, self.cluster_id)
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
        return self._issue(_requested_key(csr_pem), identity, usages, (), wall_ms, AGENT_LIFE_DAYS)

    def issue_controller(self, controller_id: str, hosts: Iterable[str], wall_ms: int) -> KeyPair:
        """A controller's certificate with a new key. `hosts`: further names and addresses for it."""
        key = ec.generate_private_key(ec.SECP256R1())
        identity = Identity(PeerRole.CONTROLLER, controller_id, self.cluster_id)
        names = [
            _host(name) for name in dict.fromkeys((CONTROLLER_DNS_NAME, "localhost", "127.0.0.1", *hosts))
        ]
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        pem = self._issue(key.public_key(), identity, usages, names, wall_ms, CONTROLLER_LIFE_DAYS)
        return KeyPair(certificate_pem=pem, key_pem=_key_pem(key), ca_pem=self.ca_pem)

    def verify_renewal(self, certificate_pem: bytes, csr_pem: bytes, signature: bytes) -> str:
        """The id of the node that asks to renew its certificate, which may have expired.

        `signature` is ECDSA with SHA-256 over `csr_pem` by the old certificate's key. Whether the node
        still exists is the caller's question. Raises ProblemError (UNAUTHORISED).
        """
        try:
            old = x509.load_pem_x509_certificate(certificate_pem)
            old.verify_directly_issued_by(self.certificate)
            identity = Identity.parse(_uris(old)[0])
            key = old.public_key()
            if not isinstance(key, ec.EllipticCurvePublicKey):
                raise TypeError("the certificate's key is not an elliptic-curve key")
            key.verify(signature, csr_pem, ec.ECDSA(hashes.SHA256()))
        except Exception as error:  # a stranger's bytes: whatever reading them raises, they prove nothing
            raise _renewal_refused("it is not this cluster's, or its key did not sign the request") from error
        if identity is None or identity.role is not PeerRole.AGENT or identity.cluster != self.cluster_id:
            raise _renewal_refused("it is not an agent's certificate of this cluster")
        return identity.id

    def new_token(self, role: JoinRole = JoinRole.AGENT) -> JoinToken:
        """A new join token that pins this CA."""
        token_id, secret = secrets.token_bytes(ID_BYTES), secrets.token_bytes(SECRET_BYTES)
        return JoinToken(role, ca_pin(self.ca_pem), base32(token_id), base32(secret))

    def _issue(
        self,
        key: ec.EllipticCurvePublicKey,
        identity: Identity,
        usages: list[x509.ObjectIdentifier],
        names: Iterable[x509.GeneralName],
        wall_ms: int,
        life_days: int,
    ) -> bytes:
        _check_name(identity.id)
        subject = _common_name(f"{identity.role} {identity.id}")
        # SKI and AKI tell this CA from another of the same name.
        issuer_key = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        certificate = (
            _builder(subject, self.certificate.subject, key, wall_ms, life_days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(for_ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectAlternativeName([_uri(identity.spiffe_id), *names]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        return _pem(certificate)


def requested_key_hash(csr_pem: bytes) -> str:
    """SHA-256 of a request's public key, hex: the same machine joining again has the same.

    Raises ProblemError (INVALID).
    """
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(_requested_key(csr_pem).public_bytes(encoding, form)).hexdigest()


def _requested_key(csr_pem: bytes) -> ec.EllipticCurvePublicKey:
    """The key of a certificate request that is signed with it and of our kind."""
    try:
        request = x509.load_pem_x509_csr(csr_pem)
        key = request.public_key()
        ours = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
        proven = ours and request.is_signature_valid
    except Exception as error:  # a stranger's bytes: whatever the parser raises, they are no request
        raise refuse(ProblemKind.INVALID, "the certificate request cannot be read", str(error)) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not ours:
        raise refuse(ProblemKind.INVALID, "the certificate request's key is not an ECDSA P-256 key")
    if not proven:
        raise refuse(ProblemKind.INVALID, "the certificate request is not signed with its own key")
    return key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, wall_ms: int, life_days: int
) -> x509.CertificateBuilder:
    """What all certificates have: names, key, time, serial number, subject key identifier."""
    now = datetime.fromtimestamp(wall_ms // 1_000, UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=BACKDATED_HOURS))
        .not_valid_after(now + timedelta(days=life_days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_usage(for_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not for_ca,
        key_cert_sign=for_ca,
        crl_sign=for_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _check_name(name: str) -> None:
    """Ids come from the controller itself, so one that breaks a certificate is a bug."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"not fit for a certificate's name: {name!r}")


def _common_name(text: str) -> x509.Name:
    # X.520 allows 64 characters; the name is for people only, the URI identifies.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _uri(text: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(text)


def _uris(certificate: x509.Certificate) -> list[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.UniformResourceIdentifier)


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _damaged(directory: Path, cause: str) -> ProblemError:
    return refuse(
        ProblemKind.INVALID,
        "the cluster's CA cannot be read",
        cause,
        hint="restore this folder from a backup; without it no machine can join or renew",
        place=str(directory),
    )


def _renewal_refused(cause: str) -> ProblemError:
    return refuse(
        ProblemKind.UNAUTHORISED,
        "this certificate cannot be renewed",
        cause,
        hint="join this machine again with a new token: `bayplan join-token` on the controller's host",
    )
