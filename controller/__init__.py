"""The controller daemon: holds the cluster's state, decides, and tells the agents."""

# Before any module of this package imports grpc: bayplan sets what gRPC reads at its first import.
from bayplan import __version__ as __version__
