"""The agent daemon: makes its node hold the containers that the controller assigned."""

# Before any module of this package imports grpc: bayplan sets what gRPC reads at its first import.
from bayplan import __version__ as __version__
