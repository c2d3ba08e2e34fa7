"""Who speaks on a connection, and the gRPC credentials and options that all connections share.

A certificate names its bearer by a SPIFFE id, `spiffe://<cluster>/<role>/<id>`. Two kinds of
listeners: the main port asks for a certificate (mTLS); the bootstrap port shows its own only, for
machines that have none yet. Knows neither files nor the CA: certificates arrive as PEM.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import grpc
import grpc.aio

#: Every controller's certificate has this DNS name, so clients verify it whatever address they dial.
CONTROLLER_DNS_NAME = "bayplan-controller"

#: A silent connection is asked after this time, and is dead this much later. Sessions have their pulses,
#: which show a cut link sooner: asked every 5 s, thousands of connections took more than all that is said in
#: them, and a machine that stood still for 3 s lost them all.
KEEPALIVE_PERIOD_MS = 30_000
KEEPALIVE_TIMEOUT_MS = 20_000
#: Clients may ask this often; below KEEPALIVE_PERIOD_MS, so that a late timer is not punished.
KEEPALIVE_PERIOD_MS_MIN = 1_000
#: A socket that has not finished its TLS handshake by then is closed: later than an agent gives up.
HANDSHAKE_TIMEOUT_MS = 20_000
#: Calls in flight on one connection; more wait at the client.
CONNECTION_STREAMS_MAX = 100
#: New calls need a new connection, and so a certificate that is still valid; calls in flight go on.
CONNECTION_AGE_MS_MAX = 12 * 3_600_000
#: One message: the whole desired set of a large node fits several times.
MESSAGE_BYTES_MAX = 16 * 1024 * 1024
#: One message on the bootstrap port, where anybody may speak.
BOOTSTRAP_MESSAGE_BYTES_MAX = 64 * 1024
#: Pauses between a client's attempts to connect, and how long one attempt may take.
RECONNECT_MS_MIN = 250
RECONNECT_MS_MAX = 5_000
CONNECT_TIMEOUT_MS = 5_000

_SPIFFE_ID = re.compile(r"spiffe://([a-z0-9._-]{1,63})/(agent|controller)/([a-z0-9._-]{1,63})", re.ASCII)

Options = list[tuple[str, int | str]]


class PeerRole(StrEnum):
    """What a certificate makes its bearer."""

    AGENT = "agent"
    CONTROLLER = "controller"


@dataclass(frozen=True, slots=True)
class Identity:
    """The bearer of a certificate."""

    role: PeerRole
    id: str
    cluster: str

    @property
    def spiffe_id(self) -> str:
        """The identity as the URI in a certificate."""
        return f"spiffe://{self.cluster}/{self.role}/{self.id}"

    @classmethod
    def parse(cls, spiffe_id: str) -> Identity | None:
        """The identity in a URI; None when it is not one of ours."""
        match = _SPIFFE_ID.fullmatch(spiffe_id)
        return match and cls(PeerRole(match[2]), id=match[3], cluster=match[1])


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate, its private key, and the CA that its bearer trusts, all in PEM."""

    certificate_pem: bytes
    key_pem: bytes = field(repr=False)
    ca_pem: bytes


def peer_identity(context: grpc.aio.ServicerContext[Any, Any]) -> Identity | None:
    """Who calls, from the verified certificate and nothing else; None when there is none of ours."""
    names = list(context.auth_context().get("peer_spiffe_id", ()))
    return Identity.parse(names[0].decode(errors="replace")) if len(names) == 1 else None


def server_credentials(read_keys: Callable[[], KeyPair]) -> grpc.ServerCredentials:
    """The main port: both sides show certificates of the cluster's CA.

    `read_keys` is asked at every handshake, on gRPC's own thread, and must not block; it returns the
    same object until the certificate changes.
    """
    return _rotating_credentials(read_keys, ask_clients=True)


def bootstrap_credentials(read_keys: Callable[[], KeyPair]) -> grpc.ServerCredentials:
    """The bootstrap port: only the server shows a certificate. `read_keys` as for server_credentials."""
    return _rotating_credentials(read_keys, ask_clients=False)


def _rotating_credentials(read_keys: Callable[[], KeyPair], ask_clients: bool) -> grpc.ServerCredentials:
    served = read_keys()

    def configuration(keys: KeyPair) -> grpc.ServerCertificateConfiguration:
        pairs = [(keys.key_pem, keys.certificate_pem)]
        return grpc.ssl_server_certificate_configuration(pairs, keys.ca_pem if ask_clients else None)

    def changed() -> Any:  # None: no change. The types' stubs do not know that.
        nonlocal served
        keys = read_keys()
        if keys is served:
            return None
        served = keys
        return configuration(keys)

    return grpc.dynamic_ssl_server_credentials(configuration(served), changed, ask_clients)


def open_channel(
    address: str, ca_pem: bytes, keys: KeyPair | None = None, connect_ms: int = CONNECT_TIMEOUT_MS
) -> grpc.aio.Channel:
    """A channel to a controller at host:port, whose certificate must come from `ca_pem`.

    With `keys` for the main port, without for the bootstrap port. An attempt to connect ends after
    `connect_ms`. A channel keeps its certificate: after a renewal open a new one.
    """
    credentials = grpc.ssl_channel_credentials(
        ca_pem, keys.key_pem if keys else None, keys.certificate_pem if keys else None
    )
    given = channel_options(connect_ms=connect_ms)
    options = [*given, ("grpc.ssl_target_name_override", CONTROLLER_DNS_NAME)]
    return grpc.aio.secure_channel(address, credentials, options)


def channel_options(
    message_bytes_max: int = MESSAGE_BYTES_MAX, connect_ms: int = CONNECT_TIMEOUT_MS
) -> Options:
    """What every client's channel is opened with, the unix socket's too."""
    return [
        *_common_options(message_bytes_max),
        ("grpc.initial_reconnect_backoff_ms", RECONNECT_MS_MIN),
        ("grpc.max_reconnect_backoff_ms", RECONNECT_MS_MAX),
        ("grpc.min_reconnect_backoff_ms", connect_ms),
        # Else a new channel may get an old channel's connection, and with it the old certificate.
        ("grpc.use_local_subchannel_pool", 1),
        # Else a proxy that the environment names for the web would get the cluster's calls.
        ("grpc.enable_http_proxy", 0),
        # Else a reader that stalls buffers 6 MB instead of 80 KB per watch.
        ("grpc.http2.bdp_probe", 0),
    ]


def server_options(message_bytes_max: int = MESSAGE_BYTES_MAX) -> Options:
    """What every server is made with; the bootstrap port takes BOOTSTRAP_MESSAGE_BYTES_MAX."""
    return [
        *_common_options(message_bytes_max),
        ("grpc.http2.min_ping_interval_without_data_ms", KEEPALIVE_PERIOD_MS_MIN),
        ("grpc.http2.max_ping_strikes", 0),
        # Else a second controller binds the same port without an error.
        ("grpc.so_reuseport", 0),
        ("grpc.server_handshake_timeout_ms", HANDSHAKE_TIMEOUT_MS),
        ("grpc.max_concurrent_streams", CONNECTION_STREAMS_MAX),
        ("grpc.max_connection_age_ms", CONNECTION_AGE_MS_MAX),
    ]


def _common_options(message_bytes_max: int) -> Options:
    return [
        ("grpc.keepalive_time_ms", KEEPALIVE_PERIOD_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.max_receive_message_length", message_bytes_max),
        ("grpc.max_send_message_length", message_bytes_max),
    ]
