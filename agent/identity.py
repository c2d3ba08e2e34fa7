"""Who this host is in its cluster: its certificate and where its controller is, on disk.

Three files in the data folder: `node.pem` (certificate and key in one file, so they always fit),
`ca.pem`, and `node.json`, written last: without it the host has not joined. Renews the certificate;
when that is due, the session decides.
"""

from __future__ import annotations

import asyncio
import fcntl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import grpc.aio
import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bayplan.errors import ProblemError, ProblemKind, refuse
from bayplan.files import PUBLIC_MODE, make_secret_folder, write_whole
from bayplan.model import Good, Model
from bayplan.rpc_errors import problem_error_of
from bayplan.tls import Identity, KeyPair, PeerRole, open_channel
from bayplan.v1 import join_pb2, join_pb2_grpc

#: How long one renewal may take.
RENEW_DEADLINE_S = 15.0

NODE_FILE = "node.json"
_KEYS_FILE = "node.pem"
_CA_FILE = "ca.pem"
_LOCK_FILE = "lock"
_KEY_BEGIN = b"-----BEGIN PRIVATE KEY-----"


class Membership(Model, frozen=True, kw_only=True):
    """What `node.json` holds. Controllers' addresses are host:port; `generic` counts goods by kind, `named`
    are others. `address`: as it was advertised at the join; empty: that on the way to the controller."""

    node_id: str
    name: str
    cluster_id: str
    controller_address: str
    bootstrap_address: str
    generic: dict[str, int] = {}
    named: tuple[Good, ...] = ()
    address: str = ""

    @property
    def controller_host(self) -> str:
        """The host of `controller_address`, without brackets."""
        return self.controller_address.rpartition(":")[0].strip("[]")


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """This host as a member of its cluster."""

    membership: Membership
    keys: KeyPair

    @property
    def expires_ms(self) -> int:
        """When the certificate expires, in Unix milliseconds."""
        return _validity_ms(self.keys)[1]

    @property
    def renewal_due_ms(self) -> int:
        """When to renew the certificate: at half its life, in Unix milliseconds."""
        return sum(_validity_ms(self.keys)) // 2


def load(data_dir: Path) -> NodeIdentity:
    """The identity on disk. Raises ProblemError: NOT_FOUND before a join, INVALID when damaged."""
    try:
        membership = msgspec.json.decode((data_dir / NODE_FILE).read_bytes(), type=Membership)
        certificate_pem, begin, key_pem = (data_dir / _KEYS_FILE).read_bytes().partition(_KEY_BEGIN)
        keys = KeyPair(certificate_pem, begin + key_pem, (data_dir / _CA_FILE).read_bytes())
        check_certificate(keys, membership)
    except FileNotFoundError as error:
        raise refuse(
            ProblemKind.NOT_FOUND,
            "this host has not joined a cluster",
            f"{error.filename} does not exist",
            hint="run `bayplan join --token TOKEN HOST:PORT`; "
            "`bayplan join-token` on the controller's host prints the line",
        ) from error
    except OSError as error:
        raise refuse(ProblemKind.REFUSED, "this host's identity cannot be read", str(error)) from error
    except (ValueError, msgspec.MsgspecError) as error:
        raise refuse(
            ProblemKind.INVALID,
            "this host's identity is damaged",
            str(error),
            hint="join again with a new token: `bayplan join-token` on the controller's host",
            place=str(data_dir),
        ) from error
    return NodeIdentity(membership, keys)


def occupy(data_dir: Path) -> BinaryIO:
    """Mark the folder as an agent's that runs, for as long as the file is open and its process lives."""
    file = (data_dir / _LOCK_FILE).open("wb")
    with suppress(OSError):  # another agent runs there, and the engine's names keep them apart
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return file


def in_use(data_dir: Path) -> bool:
    """Whether an agent runs on the folder."""
    with (data_dir / _LOCK_FILE).open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def save(identity: NodeIdentity, data_dir: Path) -> None:
    """Write or replace the identity; a crash leaves a working one or none. Raises OSError."""
    make_secret_folder(data_dir)
    write_whole(data_dir / _CA_FILE, identity.keys.ca_pem, PUBLIC_MODE)
    write_whole(data_dir / _KEYS_FILE, identity.keys.certificate_pem + identity.keys.key_pem)
    node_json = msgspec.json.format(msgspec.json.encode(identity.membership), indent=2)
    write_whole(data_dir / NODE_FILE, node_json + b"\n", PUBLIC_MODE)


async def renew(identity: NodeIdentity, data_dir: Path, deadline_s: float = RENEW_DEADLINE_S) -> NodeIdentity:
    """A new certificate with a new key, saved; the old certificate may have expired.

    Raises ProblemError: UNREACHABLE, TIMEOUT, or UNAUTHORISED when the node exists no more. The old
    identity then stays as it was.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    csr_pem = certificate_request(key)
    request = join_pb2.RenewRequest(
        certificate_pem=identity.keys.certificate_pem,
        csr_pem=csr_pem,
        signature=load_key(identity.keys.key_pem).sign(csr_pem, ec.ECDSA(hashes.SHA256())),
    )
    address = identity.membership.bootstrap_address
    try:
        async with open_channel(address, identity.keys.ca_pem) as channel:
            response = await join_pb2_grpc.JoinServiceStub(channel).Renew(request, timeout=deadline_s)
    except grpc.aio.AioRpcError as error:
        raise problem_error_of(error, f"the controller at {address}") from error
    keys = KeyPair(response.certificate_pem, key_to_pem(key), response.ca_pem)
    renewed = NodeIdentity(identity.membership, keys)
    await asyncio.to_thread(check_and_save, renewed, data_dir)
    return renewed


def check_and_save(identity: NodeIdentity, data_dir: Path) -> None:
    """Save an identity that a controller gave, if it holds together. Raises ProblemError."""
    try:
        check_certificate(identity.keys, identity.membership)
    except ValueError as error:
        raise refuse(ProblemKind.REFUSED, "the controller's answer is no identity", str(error)) from error
    try:
        save(identity, data_dir)
    except OSError as error:
        raise unwritable(error, data_dir) from error


def check_certificate(keys: KeyPair, membership: Membership) -> None:
    """Raise ValueError unless the certificate, the key, the CA and the membership belong together."""
    certificate = x509.load_pem_x509_certificate(keys.certificate_pem)
    if certificate.public_key() != load_key(keys.key_pem).public_key():
        raise ValueError("the key is not the certificate's")
    issuers = x509.load_pem_x509_certificates(keys.ca_pem)
    if not any(_is_issued_by(certificate, issuer) for issuer in issuers):
        raise ValueError("the certificate is not from the CA in ca.pem")
    wanted = Identity(PeerRole.AGENT, membership.node_id, membership.cluster_id).spiffe_id
    if _uris(certificate) != [wanted]:
        raise ValueError(f"the certificate is not for {wanted}")


def certificate_request(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A certificate request in PEM. The authority takes only the key from it."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bayplan agent")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


def load_key(key_pem: bytes) -> ec.EllipticCurvePrivateKey:
    """A private key of our kind. Raises ValueError."""
    key = serialization.load_pem_private_key(key_pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("not an elliptic-curve key")
    return key


def key_to_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key as it lies on disk."""
    form, encryption = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, encryption)


def _is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _uris(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)


def _validity_ms(keys: KeyPair) -> tuple[int, int]:
    """From when until when the certificate is valid, in Unix milliseconds."""
    certificate = x509.load_pem_x509_certificate(keys.certificate_pem)
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return int(begins.timestamp() * 1_000), int(ends.timestamp() * 1_000)


def unwritable(error: OSError, data_dir: Path) -> ProblemError:
    """The problem of a data folder in which nothing can be written."""
    return refuse(
        ProblemKind.REFUSED,
        "this host's identity cannot be written",
        str(error),
        hint="run as root, and look at the folder's owner, mode and free space",
        place=str(data_dir),
    )
