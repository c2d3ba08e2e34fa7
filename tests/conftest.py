"""For all tests."""

import signal

import hypothesis

# Before any test module imports grpc: bayplan sets what gRPC reads at its first import.
import bayplan  # noqa: F401

# How long an example takes says nothing on a busy machine; the number of examples bounds a test.
hypothesis.settings.register_profile("bayplan", deadline=None)
hypothesis.settings.load_profile("bayplan")

# Started in the background of a shell the tests ignore Ctrl-C, and so would every program that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
