"""These servers run on the loop of the daemons, too."""

from tests.doors.conftest import pytest_asyncio_loop_factories

__all__ = ["pytest_asyncio_loop_factories"]
