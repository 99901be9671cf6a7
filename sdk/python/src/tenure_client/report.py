"""What the client tells its user about events: reports as they happen, and counts at any time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "auth",
    "conflict",
    "disk",
    "invalid",
    "queue_full",
    "redirect",
    "rejected",
    "retry",
    "too_large",
    "unsent",
]


@dataclass(frozen=True)
class Report:
    """One thing that went other than planned. `docs/clients.md` has a table of the kinds."""

    kind: Kind
    message: str
    count: int
    """How many events it is about."""
    message_ids: tuple[str | int, ...] = ()
    status: int | None = None
    """HTTP status, where there was an answer."""
    code: str | None = None
    """The server's code of the refusal."""
    field: str | None = None
    retry_in: float | None = None
    """Seconds until the next attempt."""


@dataclass(frozen=True)
class Counts:
    """Events since the client was made. With a shared file, `queued` counts what all its processes have queued."""

    delivered: int
    queued: int
    dropped: int
    """Never to be sent again; each was reported."""
