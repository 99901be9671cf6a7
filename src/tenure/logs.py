"""Structured logs on standard error: JSON lines, or readable lines on a terminal.

A line may name an app, a receipt, a key's public prefix, a field; never a key, and nothing out of a body.
"""

from __future__ import annotations

import logging
import sys
import threading
from contextlib import suppress
from types import TracebackType
from typing import TextIO, cast

import structlog
from structlog.typing import Processor

from tenure.settings import Settings

log = structlog.get_logger()


class Sink:
    """A stream that never raises: on a full disk a line is lost, and what it tells of goes on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, if the disk lets us."""
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, if the disk lets us."""
        with suppress(OSError):
            self._stream.flush()


def configure(settings: Settings, role: str) -> None:
    """Set up logging for this process; `role` is on every line."""
    sink = cast(TextIO, Sink(sys.stderr))
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
        logger_factory=structlog.PrintLoggerFactory(sink),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(role=role)
    # Libraries' own warnings, in the same form; and whatever Python itself would print of an error.
    handler = logging.StreamHandler(sink)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(capture=True)
    sys.excepthook = _crashed
    threading.excepthook = _thread_crashed
    # Warns of each connection to the warehouse beyond those that it keeps open: no fault, only many questions at once.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


def _crashed(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    """An error that ends the process."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, where)
        return
    log.critical("process failed", exc_info=(kind, error, where))


def _thread_crashed(crash: threading.ExceptHookArgs) -> None:
    """An error that ends a thread, and nothing else."""
    if crash.exc_value is not None and not issubclass(crash.exc_type, SystemExit):
        name = crash.thread.name if crash.thread else ""
        log.error("thread failed", thread=name, exc_info=(crash.exc_type, crash.exc_value, crash.exc_traceback))
