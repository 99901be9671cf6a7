"""The options that both clients take, checked."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from typing import ClassVar, TypedDict
from urllib.parse import urlsplit

from tenure_client.errors import InvalidOptions
from tenure_client.report import Report

MAX_BODY = 5 * 1024 * 1024
"""Bytes that the server takes in one request, inflated."""


class Tuning(TypedDict, total=False):
    """The options that most programs leave as they are; `Options` says what each means."""

    batch_size: int
    batch_bytes: int
    flush_interval: float
    gzip_bytes: int
    timeout: float
    backoff_base: float
    backoff_max: float
    max_queue_bytes: int
    background: bool


@dataclass
class Options:
    """How a client behaves; times are in seconds. Raises `InvalidOptions` for a value out of its range."""

    base_url: str
    key: str
    queue_path: str | PathLike[str] | None = None
    """File in which events wait; None: in memory."""
    batch_size: int = 100
    """Events in one request, at most."""
    batch_bytes: int = 1024 * 1024
    """Bytes in one request before compression, at most; a larger event goes alone."""
    flush_interval: float = 1.0
    """How long an event may wait for others before the background sends it."""
    gzip_bytes: int = 1024
    """Bodies of at least so many bytes are compressed."""
    timeout: float = 10.0
    """How long a request may go without an answer."""
    backoff_base: float = 1.0
    """The first step of the back-off; it doubles with each failure."""
    backoff_max: float = 60.0
    max_queue_bytes: int = 64 * 1024 * 1024
    """Bytes of events that may wait, in memory or in the file."""
    background: bool = True
    """False: nothing is sent but in flush() and close()."""
    on_error: Callable[[Report], None] | None = None
    """Called for each report; without one, reports are logged."""

    RANGES: ClassVar[dict[str, tuple[float, float]]] = {
        "batch_size": (1, 1000),
        "batch_bytes": (1024, MAX_BODY),
        "flush_interval": (0, 3600),
        "gzip_bytes": (0, math.inf),
        "timeout": (0.01, 600),
        "backoff_base": (0.01, 3600),
        "backoff_max": (0.01, 3600),
        "max_queue_bytes": (1024, math.inf),
    }

    def __post_init__(self) -> None:
        url = urlsplit(self.base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise InvalidOptions("base_url must be an http or https URL, such as https://tenure.example.com.")
        check_key(self.key)
        for name, (least, most) in self.RANGES.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
                raise InvalidOptions(f"{name} must be a number from {least} to {most}.")

    @property
    def url(self) -> str:
        """Where events are sent."""
        return self.base_url.rstrip("/") + "/v1/ingest"


def check_key(key: str) -> None:
    """Raises `InvalidOptions` for what cannot be a key."""
    if not isinstance(key, str) or not key or not key.isascii() or not key.isprintable() or " " in key:
        raise InvalidOptions("key must be the text of a secret or publishable key, without spaces.")
