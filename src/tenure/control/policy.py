"""What an app lets its senders do: the origins that its browsers may send from, how often a key may send, and what is a
retry."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from tenure.entry import RETRY_SECONDS
from tenure.errors import TenureError

DEFAULT_LIMITS: Mapping[str, int | None] = MappingProxyType(
    {"churnkey": None, "windback": None, "customerscore": 200, "whisperr": None, "native": None, "stripe": None}
)
"""Requests a minute that one key may send to each dialect, unless its app says otherwise; None: as many as it likes."""

DIALECTS = tuple(DEFAULT_LIMITS)
MAX_PER_MINUTE = 1_000_000

_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)(?::([0-9]{1,5}))?")
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Policy(msgspec.Struct, frozen=True):
    """The rules of one app."""

    origins: frozenset[str] | None = None
    """Origins that a browser may send from, as browsers write them; None: any."""
    limits: Mapping[str, int | None] = {}
    """The limits that differ from the defaults, by dialect."""
    retry_seconds: int = RETRY_SECONDS
    """How long a request that says nothing of when or what it is of can be a retry of one before it; 0: never."""

    def limit(self, dialect: str) -> int | None:
        """Requests a minute that one key may send to a dialect; None: no limit."""
        return self.limits.get(dialect, DEFAULT_LIMITS.get(dialect))


def origin(text: str) -> str:
    """An origin as browsers write it: lower case, without a default port. Raises TenureError when it is none."""
    found = _ORIGIN.fullmatch(text.lower())
    port = int(found[3]) if found and found[3] else None
    if found is None or (port is not None and not 0 < port < 65536):
        raise TenureError(
            f"{text!r} is no origin; write scheme://host or scheme://host:port, such as https://example.com"
        )
    scheme, host = found[1], found[2]
    return f"{scheme}://{host}" if port in (None, _DEFAULT_PORTS.get(scheme)) else f"{scheme}://{host}:{port}"
