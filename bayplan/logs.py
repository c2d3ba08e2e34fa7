"""How the daemons log: structlog to stderr, for people or as one JSON object a line."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from enum import StrEnum
from typing import TextIO, cast

import structlog


class LogFormat(StrEnum):
    CONSOLE = "console"
    JSON = "json"


class _Patient(io.TextIOBase):
    """A stream that loses what it cannot write: a full disk may not end the daemon whose log lies on it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


def configure(level: str = "info", log_format: str = LogFormat.CONSOLE) -> None:
    """Set the log up once, before anything is logged. Raises ValueError for an unknown level or format."""
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ValueError(f"unknown log level {level!r}")
    stream = cast("TextIO", _Patient(sys.stderr))
    renderer: structlog.typing.Processor
    if LogFormat(log_format) is LogFormat.JSON:
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    # Libraries log through the standard library; only their warnings matter here.
    logging.basicConfig(level=max(number, logging.WARNING), stream=stream, format="%(name)s: %(message)s")
