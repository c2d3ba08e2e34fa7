"""For all tests."""

import signal

# Before any test module imports grpc: bayplan sets what gRPC reads at its first import.
import bayplan  # noqa: F401

# Started in the background of a shell the tests ignore Ctrl-C, and so would every program that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
