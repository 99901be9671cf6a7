"""Requests that were turned away before anything of them was kept: a key that is not known, of the wrong kind, or used
too often; a page of another origin. They are in no journal, so their last ones are counted here, for who asks "where is
my event?". Nothing of a body is noted, and of a key no more than is shown of every key: and only where it begins like
one of this installation.

A worker counts in memory and writes a small file now and then, which any process may read.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from hashlib import blake2b
from pathlib import Path

import msgspec

from tenure import state_file

NOTED = 200
"""Reasons that each worker notes: the last ones."""
SUFFIX = ".refused.json"

Reason = tuple[str, str, str, str, str]


class TurnedAway(msgspec.Struct, kw_only=True):
    """Requests that were turned away for one reason. Times are in milliseconds since 1970 UTC."""

    app: str = ""
    """Whose key it was, or whose it begins like; empty where that is not known."""
    dialect: str
    path: str
    status: int
    code: str
    field: str = ""
    message: str
    key_prefix: str = ""
    key_state: str = ""
    """`live` or `revoked`: what the key of this installation is that begins so; empty where none does."""
    count: int = 0
    first: int
    last: int = 0

    @property
    def reason(self) -> Reason:
        """What is the same of all of them."""
        return self.app, self.path, self.code, self.field, self.key_prefix

    @property
    def place(self) -> str:
        """A name for the reason that can stand in HTML."""
        return blake2b("\0".join(self.reason).encode(), digest_size=8).hexdigest()


class Door:
    """Notes whom one worker turned away. For one event loop."""

    def __init__(self, directory: Path, slot: int) -> None:
        self._path = directory / f"{slot}{SUFFIX}"
        self._noted: OrderedDict[Reason, TurnedAway] = OrderedDict(
            (noted.reason, noted) for noted in reversed(_read(self._path))
        )
        self._is_written = True

    def note(self, request: TurnedAway) -> None:
        """Count one more request; `count` and `last` are set here."""
        noted = self._noted.setdefault(request.reason, request)
        noted.message, noted.status, noted.key_state = request.message, request.status, request.key_state
        noted.count += 1
        noted.last = time.time_ns() // 1_000_000
        self._noted.move_to_end(request.reason)
        if len(self._noted) > NOTED:
            self._noted.popitem(last=False)
        self._is_written = False

    def write(self) -> None:
        """Bring the file up to date; cheap when nothing is new. It need not survive a power cut."""
        if self._is_written:
            return
        self._is_written = True
        state_file.write(self._path, msgspec.json.encode(list(reversed(self._noted.values()))), durable=False)


def turned_away(directory: Path, app: str) -> list[TurnedAway]:
    """What all workers noted of an app, and of keys that are no app's, last first."""
    noted = [one for path in directory.glob(f"*{SUFFIX}") for one in _read(path) if one.app in {"", app}]
    found: dict[Reason, TurnedAway] = {}
    for one in noted:
        same = found.setdefault(one.reason, one)
        if same is not one:
            same.count += one.count
            same.first = min(same.first, one.first)
            same.last = max(same.last, one.last)
    return sorted(found.values(), key=lambda one: one.last, reverse=True)


def _read(path: Path) -> list[TurnedAway]:
    return state_file.read(path, lambda body: msgspec.json.decode(body, type=list[TurnedAway])).value or []
