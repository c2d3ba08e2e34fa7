"""The join token: `BPL1-<a|c>-<CA key hash>-<id>-<secret>-<check>`.

It pins the cluster CA's key, so a machine knows the true controller before it shows the secret; the
check tells a typing error from a wrong token. All parts are lower-case base32. Pure: who makes the
secret and who keeps which hash is the authority's and the join door's business.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from enum import StrEnum

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bayplan.errors import ProblemKind, refuse

#: Sizes before base32: multiples of 5 bytes need no padding. 160 bits of pin and of secret.
PIN_BYTES = 20
ID_BYTES = 5
SECRET_BYTES = 20
#: 20 bits: one typing error in a million passes, and then the token is simply unknown.
CHECK_CHARS = 4
#: A text above this is not parsed at all.
TOKEN_CHARS_MAX = 200

_PREFIX = "BPL1"
_FORM = re.compile(r"BPL1-([ac])-([a-z2-7]{32})-([a-z2-7]{8})-([a-z2-7]{32})-([a-z2-7]{4})", re.ASCII)
_HINT = "copy the whole line that `bayplan join-token` prints on the controller's host"


class JoinRole(StrEnum):
    """What the bearer becomes."""

    AGENT = "a"
    CONTROLLER = "c"


@dataclass(frozen=True, slots=True)
class JoinToken:
    """A parsed token. `str()` gives the whole secret text; the repr hides it."""

    role: JoinRole
    ca_pin: str
    id: str
    secret: str = field(repr=False)

    def __str__(self) -> str:
        body = f"{_PREFIX}-{self.role}-{self.ca_pin}-{self.id}-{self.secret}"
        return f"{body}-{_check(body)}"

    def secret_hash(self) -> str:
        """What is stored in place of the secret, hex. Plain SHA-256: 160 random bits need no slow hash."""
        return hashlib.sha256(self.secret.encode()).hexdigest()

    def matches(self, secret_hash: str) -> bool:
        """Whether the stored hash is this token's, in constant time."""
        return hmac.compare_digest(self.secret_hash().encode(), secret_hash.encode())

    def pinned_ca(self, bundle_pem: bytes) -> bytes | None:
        """The CA certificate in a PEM bundle that has the pinned key. Raises ValueError if unreadable."""
        for certificate in x509.load_pem_x509_certificates(bundle_pem):
            pem = certificate.public_bytes(Encoding.PEM)
            if hmac.compare_digest(self.ca_pin, ca_pin(pem)):
                return pem
        return None

    @classmethod
    def parse(cls, text: str) -> JoinToken:
        """The token in a text. Raises ProblemError (INVALID), whose words never repeat the secret."""
        text = text.strip()
        form = _FORM.fullmatch(text) if len(text) <= TOKEN_CHARS_MAX else None
        if form is None:
            raise refuse(
                ProblemKind.INVALID,
                "this is not a join token",
                f"a token looks like {_PREFIX}-a-<32 characters>-<8>-<32>-<4>, without blanks; "
                f"this text has {len(text)} characters",
                hint=_HINT,
            )
        role, pin, token_id, secret, check = form.groups()
        if not hmac.compare_digest(check, _check(text.rpartition("-")[0])):
            raise refuse(
                ProblemKind.INVALID,
                "the join token is damaged: its check characters do not fit",
                "a character was lost or changed on the way",
                hint=_HINT,
            )
        return cls(JoinRole(role), pin, token_id, secret)


def ca_pin(ca_pem: bytes) -> str:
    """The hash of a CA's public key (truncated SHA-256 of its SubjectPublicKeyInfo). Raises ValueError."""
    key = x509.load_pem_x509_certificate(ca_pem).public_key()
    info = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base32(hashlib.sha256(info).digest()[:PIN_BYTES])


def base32(data: bytes) -> str:
    """Lower-case base32 without padding: letters and digits that survive reading aloud."""
    return base64.b32encode(data).decode().rstrip("=").lower()


def _check(body: str) -> str:
    return base32(hashlib.sha256(body.encode()).digest())[:CHECK_CHARS]
