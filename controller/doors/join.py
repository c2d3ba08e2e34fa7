"""The bootstrap door: certificates for machines that have a token, or an old certificate."""

from __future__ import annotations

import re
from collections import OrderedDict
from ipaddress import ip_address
from typing import Any

from bayplan.errors import ProblemError, ProblemKind, refuse
from bayplan.token import JoinRole, JoinToken
from bayplan.v1 import join_pb2, join_pb2_grpc
from controller.authority import Authority, requested_key_hash
from controller.decide.labels import check_labels
from controller.doors.gate import Context, Gate, answers
from controller.events import JoinAsked
from controller.records import Node

#: Attempts to join from one address: this many at once, then one in JOIN_INTERVAL_MS.
JOIN_BURST = 20
JOIN_INTERVAL_MS = 1_000
#: Addresses whose attempts are remembered; the oldest go first.
JOIN_ADDRESSES_MAX = 10_000
#: Letters of an advertised address.
ADDRESS_CHARS_MAX = 255

_NODE_NAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9._-]{0,61}[a-zA-Z0-9])?", re.ASCII)


class Limiter:
    """A token bucket for each address (https://en.wikipedia.org/wiki/Token_bucket)."""

    def __init__(self) -> None:
        self._full_at_ms: OrderedDict[str, int] = OrderedDict()

    def admits(self, address: str, now_ms: int) -> bool:
        """Whether one more attempt is allowed now; it is counted if so. `now_ms` is monotonic."""
        full_at = max(self._full_at_ms.get(address, 0), now_ms)
        if full_at - now_ms >= JOIN_BURST * JOIN_INTERVAL_MS:
            return False
        self._full_at_ms[address] = full_at + JOIN_INTERVAL_MS
        self._full_at_ms.move_to_end(address)
        while len(self._full_at_ms) > JOIN_ADDRESSES_MAX:
            self._full_at_ms.popitem(last=False)
        return True


class JoinDoor(join_pb2_grpc.JoinServiceServicer):
    """JoinService. `controller_address` is host:port of the main listener, as agents shall dial it."""

    def __init__(self, gate: Gate, authority: Authority, controller_address: str) -> None:
        self._gate = gate
        self._authority = authority
        self._controller_address = controller_address
        self._limiter = Limiter()

    @answers
    async def GetTrustBundle(self, request: join_pb2.GetTrustBundleRequest, context: Context) -> Any:
        """The CA's certificate, which is no secret."""
        return join_pb2.GetTrustBundleResponse(ca_pem=self._authority.ca_pem)

    @answers
    async def Join(self, request: join_pb2.JoinRequest, context: Context) -> Any:
        """Makes a node and its certificate."""
        caller = _address_of(context.peer())
        if not self._limiter.admits(caller, self._gate.clock().mono_ms):
            raise refuse(
                ProblemKind.UNAUTHORISED, "too many attempts to join from this address", hint="wait a second"
            )
        token = JoinToken.parse(request.token)
        if token.role is not JoinRole.AGENT:
            raise refuse(ProblemKind.UNAUTHORISED, "this token is not for agents")
        key_id = requested_key_hash(request.csr_pem)
        _check_request(request)
        node: Node = await self._gate.ask(
            lambda ticket: JoinAsked(
                ticket=ticket,
                token_id=token.id,
                secret_hash=token.secret_hash(),
                key_id=key_id,
                name=request.name,
                address=request.address or caller,
                labels=dict(sorted(request.labels.items())),
            )
        )
        return join_pb2.JoinResponse(
            node_id=node.id,
            name=node.name,
            certificate_pem=self._certificate(request.csr_pem, node.id),
            ca_pem=self._authority.ca_pem,
            controller_address=self._controller_address,
            cluster_id=self._authority.cluster_id,
        )

    @answers
    async def Renew(self, request: join_pb2.RenewRequest, context: Context) -> Any:
        """A new certificate for a node that still exists."""
        node_id = self._authority.verify_renewal(request.certificate_pem, request.csr_pem, request.signature)
        state = await self._gate.read()
        if node_id not in state.nodes:
            raise refuse(
                ProblemKind.UNAUTHORISED,
                "this node was removed from the cluster",
                hint="join it anew with a token of `bayplan join-token`",
            )
        return join_pb2.RenewResponse(
            certificate_pem=self._certificate(request.csr_pem, node_id), ca_pem=self._authority.ca_pem
        )

    def _certificate(self, csr_pem: bytes, node_id: str) -> bytes:
        return self._authority.issue_agent(csr_pem, node_id, self._gate.clock().wall_ms)


def _check_request(request: join_pb2.JoinRequest) -> None:
    """Raises ProblemError when a node's name, address or labels cannot be taken."""
    if not _NODE_NAME.fullmatch(request.name):
        raise refuse(
            ProblemKind.INVALID,
            f"node name {request.name[:80]!r} must be 1 to 63 letters, digits, '.', '-' and '_'",
            hint="give another one with --name",
        )
    check_labels(dict(request.labels))
    if len(request.address) > ADDRESS_CHARS_MAX:
        raise refuse(ProblemKind.INVALID, "the advertised address is too long")


def _address_of(peer: str) -> str:
    """The caller's address in gRPC's `ipv4:1.2.3.4:5` or `ipv6:%5B::1%5D:5`."""
    host = peer.partition(":")[2].rpartition(":")[0].removeprefix("%5B").removesuffix("%5D")
    host = host.strip("[]")
    try:
        return str(ip_address(host))
    except ValueError as error:
        raise ProblemError(
            refuse(ProblemKind.INVALID, f"the caller's address {peer!r} is not understood").problem
        ) from error
