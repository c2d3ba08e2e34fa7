"""The daemons' log."""

from __future__ import annotations

import subprocess
import sys

LINES = """
import logging, structlog
from bayplan.logs import configure
configure()
structlog.get_logger().info("one")
logging.getLogger("library").error("two")
print("it lives on")
"""


def test_a_full_disk_under_the_log_ends_nothing() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", LINES], stdout=subprocess.PIPE, stderr=full, text=True, check=False
        )
    assert done.stdout == "it lives on\n"
