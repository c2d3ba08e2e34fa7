"""The controller's services as plain calls: values in, values out, problems raised.

The one place of the client that knows gRPC. Knows nothing of terminals.
"""

from bayplan.client.answers import ClusterNow, CopiesNow, Copy, InstancesNow, JoinToken, LogBatch, StackNow
from bayplan.client.client import Client
from bayplan.client.connection import DEFAULT_HOST

__all__ = [
    "DEFAULT_HOST",
    "Client",
    "ClusterNow",
    "CopiesNow",
    "Copy",
    "InstancesNow",
    "JoinToken",
    "LogBatch",
    "StackNow",
]
