"""For all tests."""

# Before any test module imports grpc: bayplan sets what gRPC reads at its first import.
import bayplan  # noqa: F401
