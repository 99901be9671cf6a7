"""Which data is live: what is sent in test mode, and what is of a connected account of Stripe's, is kept apart.

Each mode of an app but `live` has a tenant of its own, the mode's app. So whatever reads or counts live data leaves the
rest out by construction, and test data has every view that live data has.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

import msgspec

from tenure.entry import Entry

LIVE: Final = "live"
TEST: Final = "test"
CONNECTED: Final = "connected"
MODES: Final = (LIVE, TEST, CONNECTED)
APART: Final = (TEST, CONNECTED)
"""The modes that have an app of their own."""
LABELS: Final = {LIVE: "Live data", TEST: "Test data", CONNECTED: "Connected accounts"}
"""What people read."""


def app_of(app: str, mode: str) -> str:
    """The id of the app in which this mode of an app is kept: the same in every process, and of every installation."""
    if mode == LIVE:
        return app
    return f"app_{blake2b(f'{app}:{mode}'.encode(), digest_size=8, person=b'mode').hexdigest()}"


def parts(entry: Entry, modes: Mapping[int, str]) -> list[Entry]:
    """The entry of each mode that a request has elements of, with its receipt; `modes`: by index, where not live.

    What was refused as a whole is live.
    """
    if not modes:
        return [entry]
    found = [_part(entry, mode, modes) for mode in MODES]
    return [part for part in found if part.events or part.identifies or part.refusals] or [entry]


def _part(entry: Entry, mode: str, modes: Mapping[int, str]) -> Entry:
    return msgspec.structs.replace(
        entry,
        app=app_of(entry.app, mode),
        events=[event for event in entry.events if modes.get(event.index, LIVE) == mode],
        identifies=[identify for identify in entry.identifies if modes.get(identify.index, LIVE) == mode],
        refusals=[refusal for refusal in entry.refusals if modes.get(_index(refusal.index), LIVE) == mode],
    )


def _index(index: int | None) -> int:
    return -1 if index is None else index
