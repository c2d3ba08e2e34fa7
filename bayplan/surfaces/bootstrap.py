"""What gRPC's xDS clients read to find the server (https://github.com/grpc/proposal/blob/master/A27-xds-global-load-balancing.md)."""

from __future__ import annotations

from typing import Any


def bootstrap(address: str, node: str, zone: str = "") -> dict[str, Any]:
    """The contents of the file that GRPC_XDS_BOOTSTRAP names."""
    return {
        "xds_servers": [
            {
                "server_uri": address,
                "channel_creds": [{"type": "insecure"}],
                "server_features": ["xds_v3"],
            }
        ],
        "node": {"id": node, "locality": {"zone": zone}},
    }
