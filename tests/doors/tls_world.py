"""A small world of clusters whose servers listen on loopback with real certificates."""

import asyncio
import time
from contextlib import asynccontextmanager

import grpc
import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent import identity
from agent.identity import Membership, NodeIdentity
from bayplan.errors import ProblemError, ProblemKind, refuse
from bayplan.rpc_errors import abort_with
from bayplan.tls import (
    BOOTSTRAP_MESSAGE_BYTES_MAX,
    CONTROLLER_DNS_NAME,
    KeyPair,
    bootstrap_credentials,
    peer_identity,
    server_credentials,
    server_options,
)
from bayplan.token import JoinToken
from bayplan.v1 import join_pb2, join_pb2_grpc
from controller.authority import Authority, requested_key_hash

DAY_MS = 86_400_000
WHO = "/bayplan.v1.Test/Who"


def wall_ms():
    return time.time_ns() // 1_000_000


def cluster(cluster_id="c1"):
    """A CA; two of the same id have the same names and different keys."""
    return Authority.create(cluster_id, wall_ms())


def controller_keys(authority):
    return authority.issue_controller("k1", ["127.0.0.1"], wall_ms())


def agent_keys(authority, node_id="n1", issued_ms=None):
    """An agent's certificate and key; `issued_ms` in the past makes an expired one."""
    key = ec.generate_private_key(ec.SECP256R1())
    csr_pem = identity.certificate_request(key)
    pem = authority.issue_agent(csr_pem, node_id, wall_ms() if issued_ms is None else issued_ms)
    return KeyPair(pem, identity.key_to_pem(key), authority.ca_pem)


def member(ca, bootstrap_address, keys):
    """The node n1 with these keys."""
    membership = Membership(
        node_id="n1",
        name="host1",
        cluster_id=ca.cluster_id,
        controller_address="127.0.0.1:1",
        bootstrap_address=bootstrap_address,
    )
    return NodeIdentity(membership, keys)


def nameless_keys(ca, usage):
    """A certificate with a controller's DNS name and no SPIFFE id, which only the CA's own key can make."""
    key = ec.generate_private_key(ec.SECP256R1())
    model = x509.load_pem_x509_certificate(controller_keys(ca).certificate_pem)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(model.subject)
        .issuer_name(model.issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(model.not_valid_before_utc)
        .not_valid_after(model.not_valid_after_utc)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(CONTROLLER_DNS_NAME)]), critical=False)
        .sign(ca._key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    return KeyPair(pem, identity.key_to_pem(key), ca.ca_pem)


@asynccontextmanager
async def listening(server, credentials):
    """Start a server on loopback; gives host:port."""
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


def main_port(read_keys):
    """The main port with a service whose one call answers who calls; gives host:port."""
    server = grpc.aio.server(options=server_options())
    methods = {"Who": grpc.unary_unary_rpc_method_handler(_who)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bayplan.v1.Test", methods),))
    return listening(server, server_credentials(read_keys))


def join_port(door):
    """A door on a bootstrap port; gives host:port."""
    keys = controller_keys(door.authority)
    server = grpc.aio.server(options=server_options(BOOTSTRAP_MESSAGE_BYTES_MAX))
    join_pb2_grpc.add_JoinServiceServicer_to_server(door, server)
    return listening(server, bootstrap_credentials(lambda: keys))


async def _who(request, context):
    return str(peer_identity(context)).encode()


async def who(channel):
    """Who the server takes us for; AioRpcError if it does not let us in."""
    async with channel:
        return (await channel.unary_unary(WHO)(b"", timeout=10)).decode()


class JoinDoor(join_pb2_grpc.JoinServiceServicer):
    """The join service with a real authority and a dict for a store. Remembers every token it sees."""

    def __init__(self, authority, bundle_pem=None):
        self.authority = authority
        self.bundle_pem = bundle_pem or authority.ca_pem
        self.hashes = {}
        self.nodes = {}
        self.tokens_seen = []
        self.stuck = asyncio.Event()
        self.stuck.set()
        self.seen = asyncio.Event()

    def new_token(self, *arguments):
        token = self.authority.new_token(*arguments)
        self.hashes[token.id] = token.secret_hash()
        return str(token)

    async def GetTrustBundle(self, request, context):
        return join_pb2.GetTrustBundleResponse(ca_pem=self.bundle_pem)

    async def Join(self, request, context):
        self.tokens_seen.append(request.token)
        try:
            answer = self._admit(request)
        except ProblemError as error:
            await abort_with(context, error)
        self.seen.set()
        await self.stuck.wait()
        return answer

    def _admit(self, request):
        token = JoinToken.parse(request.token)
        key_hash = requested_key_hash(request.csr_pem)
        if key_hash not in self.nodes:
            if not token.matches(self.hashes.pop(token.id, "")):
                raise refuse(
                    ProblemKind.UNAUTHORISED, "this token is unknown, used or expired", hint="a new one"
                )
            self.nodes[key_hash] = f"n{len(self.nodes) + 1}"
        node_id = self.nodes[key_hash]
        return join_pb2.JoinResponse(
            node_id=node_id,
            name=request.name,
            certificate_pem=self.authority.issue_agent(request.csr_pem, node_id, wall_ms()),
            ca_pem=self.authority.ca_pem,
            controller_address="127.0.0.1:1",
            cluster_id=self.authority.cluster_id,
        )

    async def Renew(self, request, context):
        try:
            node_id = self.authority.verify_renewal(
                request.certificate_pem, request.csr_pem, request.signature
            )
        except ProblemError as error:
            await abort_with(context, error)
        pem = self.authority.issue_agent(request.csr_pem, node_id, wall_ms())
        return join_pb2.RenewResponse(certificate_pem=pem, ca_pem=self.authority.ca_pem)
