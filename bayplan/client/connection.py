"""Reaching the controller: which socket a host names, the first touch of it, the channel."""

from __future__ import annotations

import socket

import grpc

from bayplan.errors import ProblemKind, refuse

#: Where the controller listens when nobody says otherwise.
DEFAULT_HOST = "unix:///run/bayplan/controller.sock"
#: The first and the longest pause between two tries to reach a controller, in seconds.
RETRY_MIN_S, RETRY_MAX_S = 0.1, 2.0
#: The deadline of the first touch of the socket, in seconds.
CONNECT_S = 5.0
#: The largest message taken from the controller, in bytes.
MESSAGE_MAX_BYTES = 64 * 1024 * 1024

_OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_MAX_BYTES),
    ("grpc.max_send_message_length", MESSAGE_MAX_BYTES),
    ("grpc.initial_reconnect_backoff_ms", int(RETRY_MIN_S * 1_000)),
    ("grpc.min_reconnect_backoff_ms", int(RETRY_MIN_S * 1_000)),
    ("grpc.max_reconnect_backoff_ms", int(RETRY_MAX_S * 1_000)),
    ("grpc.default_authority", "localhost"),
)


def open_channel(host: str) -> grpc.Channel:
    """The channel to the controller that a host names. Raises ProblemError when nobody is there."""
    path = socket_path(host)
    touch(path)
    return grpc.insecure_channel(f"unix://{path}", options=_OPTIONS)


def socket_path(host: str) -> str:
    """The path of the unix socket that a host names. Raises ProblemError for anything else."""
    if host.startswith("unix://"):
        return host.removeprefix("unix://")
    if host.startswith("/"):
        return host
    raise refuse(
        ProblemKind.INVALID,
        f"cannot connect to {host!r}: this version speaks to the controller through its unix socket only",
        hint="run bayplan on the controller's host, with -H unix:///path/to/controller.sock "
        "or without -H and BAYPLAN_HOST",
    )


def touch(path: str) -> None:
    """Connects to the socket once, because its errno tells the user more than gRPC does."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(CONNECT_S)
            probe.connect(path)
    except PermissionError:
        raise refuse(
            ProblemKind.UNAUTHORISED,
            f"no permission to use the controller's socket {path}",
            hint="run it as root, or join the group: sudo usermod -aG bayplan $USER, then log in again",
        ) from None
    except OSError as error:
        raise refuse(
            ProblemKind.UNREACHABLE,
            f"cannot reach the controller at unix://{path}",
            (error.strerror or str(error)).lower(),
            hint="is bayplan-controller running on this host? `systemctl status bayplan-controller`; "
            "a new cluster begins with `bayplan init`",
        ) from None
