"""Structured logs on standard error: JSON lines, or readable lines on a terminal.

A line may name an app, a receipt, a key's public prefix, a field; never a key, and nothing out of a body.
"""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import Processor

from tenure.settings import Settings


def configure(settings: Settings, role: str) -> None:
    """Set up logging for this process; `role` is on every line."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    console = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Processor = structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer] if not console else [*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(role=role)
    # Libraries' own warnings, in the same form.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    # Warns of each connection to the warehouse beyond those that it keeps open: no fault, only many questions at once.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
