"""bayplan: a container orchestrator with a service registry."""

import os

__version__ = "0.1.0"

# gRPC reads these once, at its first import. Its fork handlers crash the children of a process that runs
# uvloop, and its log lines repeat what callers get as status codes.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
