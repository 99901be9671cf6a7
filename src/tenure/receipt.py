"""Receipt ids: UUIDv7 (RFC 9562) as 32 hex digits, so that they are unique and sort by time."""

from __future__ import annotations

import re

from uuid_utils import uuid7

PATTERN = re.compile(r"[0-9a-f]{32}")


def new() -> str:
    """A fresh receipt id."""
    return uuid7().hex


def is_receipt(text: str) -> bool:
    """Whether a text has the form of a receipt id."""
    return PATTERN.fullmatch(text) is not None
