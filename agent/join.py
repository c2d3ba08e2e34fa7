"""How a host becomes a node: with a join token, over the controller's bootstrap port.

The token pins the CA's key. So: take the certificate that the server shows, unverified; over a channel
that trusts only that one, ask for the CA; compare the CA's key with the pin; and only over a second
channel, which trusts only the pinned CA, send the token. A man in the middle never sees it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from agent import identity
from agent.goods import Goods
from agent.identity import Membership, NodeIdentity
from bayplan.errors import ProblemError, ProblemKind, refuse
from bayplan.files import make_secret_folder, write_whole
from bayplan.rpc_errors import problem_error_of
from bayplan.tls import CONNECT_TIMEOUT_MS, KeyPair, open_channel
from bayplan.token import JoinRole, JoinToken
from bayplan.v1 import join_pb2, join_pb2_grpc

#: How long one join may take, all steps together.
JOIN_DEADLINE_S = 30.0
#: The key of a join that has not ended; a repeated join uses it again and so becomes the same node.
PENDING_KEY_FILE = "pending.key"

#: Failures after which the controller may have made the node although no answer came.
_UNSETTLED = frozenset({ProblemKind.UNREACHABLE, ProblemKind.TIMEOUT})


@dataclass(frozen=True, slots=True)
class _Controller:
    """The other side of a join."""

    address: str
    token: JoinToken

    def __str__(self) -> str:
        return f"the controller at {self.address}"


async def join(
    token: str,
    address: str,
    name: str,
    labels: Mapping[str, str],
    advertise_address: str,
    data_dir: Path,
    deadline_s: float = JOIN_DEADLINE_S,
    goods: Goods | None = None,
) -> NodeIdentity:
    """Join the cluster whose bootstrap port is at `address` (host:port); saves and returns the identity.

    An empty `advertise_address` lets the controller take the one it sees. `goods` are countable goods of this
    host, which only its agent keeps. A host that is already a node of this cluster gets a new certificate for
    its key and stays that node. Raises ProblemError: INVALID
    (token or address malformed), UNREACHABLE, TIMEOUT, UNAUTHORISED (not the controller that the token
    is for; token used or expired), REFUSED (a node of another cluster; folder not writable).
    """
    controller = _Controller(address, _agent_token(token))
    host, port = _split(address)
    known_key = await asyncio.to_thread(_known_key, data_dir, controller.token)
    try:
        async with asyncio.timeout(deadline_s):
            shown_pem = await _shown_certificate(host, port, controller)
            ca_pem = await _pinned_ca(shown_pem, controller)
            key = await asyncio.to_thread(_new_pending_key, data_dir) if known_key is None else known_key
            request = join_pb2.JoinRequest(
                token=str(controller.token),
                csr_pem=identity.certificate_request(key),
                name=name,
                labels=labels,
                address=advertise_address,
            )
            response = await _send_join(request, ca_pem, controller)
    except TimeoutError as error:
        raise refuse(
            ProblemKind.TIMEOUT,
            f"{controller} did not answer within {deadline_s:g} s",
            hint="run the same command again: it continues where this one ended",
        ) from error
    except ProblemError as error:
        if known_key is None and error.problem.kind not in _UNSETTLED:
            await asyncio.to_thread(_forget_pending_key, data_dir)
        raise
    joined = _identity(response, key, controller, goods or Goods(), advertise_address)
    await asyncio.to_thread(identity.check_and_save, joined, data_dir)
    await asyncio.to_thread(_forget_pending_key, data_dir)
    return joined


def _agent_token(text: str) -> JoinToken:
    token = JoinToken.parse(text)
    if token.role is not JoinRole.AGENT:
        raise refuse(
            ProblemKind.INVALID,
            "this token is for a controller, not for an agent",
            hint="`bayplan join-token agent` prints the right one",
        )
    return token


def _split(address: str) -> tuple[str, int]:
    """Host and port; an IPv6 address stands in brackets. Raises ProblemError (INVALID)."""
    host, _, port = address.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not host or not port.isascii() or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise refuse(
            ProblemKind.INVALID,
            f"not an address of a controller: {address!r}",
            hint="write it as HOST:PORT, as `bayplan join-token` prints it",
        )
    return host, int(port)


async def _shown_certificate(host: str, port: int, controller: _Controller) -> bytes:
    """The certificate that the server shows, in PEM. Nothing is sent, and nothing is believed yet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_MS / 1_000):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
        shown_der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.transport.abort()
        return x509.load_der_x509_certificate(shown_der).public_bytes(Encoding.PEM)
    except (OSError, ValueError) as error:  # SSLError and TimeoutError are OSErrors
        cause = str(error) or f"no answer within {CONNECT_TIMEOUT_MS // 1_000} s"
        raise _unreachable(controller, cause) from error


async def _pinned_ca(shown_pem: bytes, controller: _Controller) -> bytes:
    """The CA certificate that the token pins. Raises ProblemError (UNAUTHORISED) if it is not there."""
    try:
        async with open_channel(controller.address, shown_pem) as channel:
            stub = join_pb2_grpc.JoinServiceStub(channel)
            response = await stub.GetTrustBundle(join_pb2.GetTrustBundleRequest())
        ca_pem = controller.token.pinned_ca(response.ca_pem)
    except grpc.aio.AioRpcError as error:
        raise _failed(error, controller) from error
    except ValueError:
        ca_pem = None
    if ca_pem is None:
        raise refuse(
            ProblemKind.UNAUTHORISED,
            f"{controller} is not of the cluster that the token is for",
            "the key of its CA is not the one that the token pins; the token was not sent",
            hint="check the address; if it is right, somebody is in between, or the token is an old one",
        )
    return ca_pem


async def _send_join(
    request: join_pb2.JoinRequest, ca_pem: bytes, controller: _Controller
) -> join_pb2.JoinResponse:
    """Send the token, to nobody but a server with a certificate of the pinned CA."""
    try:
        async with open_channel(controller.address, ca_pem) as channel:
            return await join_pb2_grpc.JoinServiceStub(channel).Join(request)
    except grpc.aio.AioRpcError as error:
        raise _failed(error, controller) from error


def _failed(error: grpc.aio.AioRpcError, controller: _Controller) -> ProblemError:
    """A failed call as a problem; the cause is worded for somebody who may have the wrong address."""
    found = problem_error_of(error, str(controller))
    unreachable = found.problem.kind is ProblemKind.UNREACHABLE
    return _unreachable(controller, *found.problem.details) if unreachable else found


def _unreachable(controller: _Controller, *causes: str) -> ProblemError:
    return refuse(
        ProblemKind.UNREACHABLE,
        f"cannot reach {controller}",
        *causes,
        hint="is it running, is this its join address, and does a firewall let us through?",
    )


def _identity(
    response: join_pb2.JoinResponse,
    key: ec.EllipticCurvePrivateKey,
    controller: _Controller,
    goods: Goods,
    address: str,
) -> NodeIdentity:
    membership = Membership(
        node_id=response.node_id,
        name=response.name,
        cluster_id=response.cluster_id,
        controller_address=response.controller_address,
        bootstrap_address=controller.address,
        generic=goods.counted,
        named=goods.named,
        address=address,
    )
    return NodeIdentity(
        membership, KeyPair(response.certificate_pem, identity.key_to_pem(key), response.ca_pem)
    )


def _known_key(data_dir: Path, token: JoinToken) -> ec.EllipticCurvePrivateKey | None:
    """The key of this host's membership, or of a join that did not end; None if there is neither."""
    try:
        known = identity.load(data_dir)
    except ProblemError:  # not joined, or damaged: joining is the cure
        with suppress(OSError, ValueError):
            return identity.load_key((data_dir / PENDING_KEY_FILE).read_bytes())
        return None
    if token.pinned_ca(known.keys.ca_pem) is None:
        raise refuse(
            ProblemKind.REFUSED,
            f"this host is already the node {known.membership.name} of another cluster",
            f"cluster {known.membership.cluster_id}, controller {known.membership.controller_address}",
            hint=f"stop the agent and remove {data_dir / identity.NODE_FILE} to let it join this one",
            place=str(data_dir),
        )
    return identity.load_key(known.keys.key_pem)


def _new_pending_key(data_dir: Path) -> ec.EllipticCurvePrivateKey:
    """A new key, on disk before it is used."""
    key = ec.generate_private_key(ec.SECP256R1())
    try:
        make_secret_folder(data_dir)
        write_whole(data_dir / PENDING_KEY_FILE, identity.key_to_pem(key))
    except OSError as error:
        raise identity.unwritable(error, data_dir) from error
    return key


def _forget_pending_key(data_dir: Path) -> None:
    with suppress(OSError):
        (data_dir / PENDING_KEY_FILE).unlink()
