"""Log lines by structlog: JSON for machines or coloured text for people, one event a line, on standard output."""

from __future__ import annotations

import logging
import sys
from typing import Final

import structlog
import structlog.tracebacks

from gateway.config.model import Logs

TRACEBACKS: Final = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)
"""Where and why, and never what stood in the variables: among them are credentials and people's ids."""


def set_up(logs: Logs) -> None:
    """Configure logging for this process."""
    level = logging.getLevelNamesMapping()[logs.level.upper()]
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if logs.format == "console":
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            TRACEBACKS if logs.format == "json" else structlog.dev.set_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(),
        cache_logger_on_first_use=True,
    )
