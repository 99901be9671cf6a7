"""Which copies of an event are a client's retries, where nothing in the request says so: by a window of time. Pure.

Windback's clients send no id of a request, and send it again when the answer is lost. `docs/compatibility.md` states
the rule, and `docs/decisions/0041-retry-windows.md` says why it is this one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec

from tenure import churn_event
from tenure.entry import MAX_RETRY_SECONDS, Entry
from tenure.event import Event
from tenure.identity import content_hash

CHURN_SECONDS: Final = 24 * 60 * 60
"""The same cancellation of the same customer is told once in so many seconds: what Windback promises."""

_SECOND = 1_000_000
_LARGEST = (1 << 128) - 1


class Window(NamedTuple):
    """In which copies an event may be a retry: those with the same key, as long before it as its window is."""

    key: bytes
    """16 bytes that are equal in copies of which one may be a retry of the other."""
    seconds: int
    longest: int
    """The longest that a window of a copy with this key can be, in seconds."""


class Received(NamedTuple):
    """One received copy."""

    precedence: int
    """Larger for an earlier one (`loader.rows.precedence`)."""
    event_id: bytes
    verified: bool
    seconds: int

    @property
    def at(self) -> int:
        """Its place in the order of receipt, in microseconds."""
        return _LARGEST - self.precedence >> 64


def since(at: int) -> int:
    """The greatest precedence of what was received at a time (microseconds) or later."""
    return _LARGEST - (max(0, at) << 64)


def windows(entry: Entry) -> list[Window | None]:
    """The window of each event of a request, in their order; None where nothing but its receipt tells it from others,
    and that is meant: an id, an Idempotency-Key or a time of its own says what is a copy of what."""
    if entry.dialect != churn_event.DIALECT or entry.idempotency_key is not None:
        return [None] * len(entry.events)
    request = b""
    found: list[Window | None] = []
    for event in entry.events:
        if event.message_id is not None or event.precise or event.name == churn_event.REASON_REPORTED:
            found.append(None)
        elif event.name in churn_event.OPENING and entry.path != _TRACK:
            found.append(Window(_churn_key(entry, event), CHURN_SECONDS, CHURN_SECONDS))
        elif not entry.retry_seconds:
            found.append(None)
        else:
            request = request or _request(entry)
            # Of a replay, where in its request the element came first.
            place = event.index if entry.replay is None else entry.replay.refusal.index
            key = _digest((request, place))
            found.append(Window(key, entry.retry_seconds, MAX_RETRY_SECONDS))
    return found


_TRACK: Final = "/api/v1/track"


def _churn_key(entry: Entry, event: Event) -> bytes:
    """What it says, whoever says it; 0022 makes the same of what older releases stored."""
    return content_hash(entry.app, entry.dialect, event) + bytes(8)


def _request(entry: Entry) -> bytes:
    """A request as a whole, and the key that it came with."""
    said: list[object] = [(event.index, content_hash(entry.app, entry.dialect, event)) for event in entry.events]
    said += [(identify.index, identify.traits) for identify in entry.identifies]
    said += [(refusal.index, refusal.code, refusal.payload) for refusal in entry.refusals]
    return _digest((entry.app, entry.key or entry.key_prefix, said))


def _digest(parts: object) -> bytes:
    return blake2b(_encode(parts), digest_size=16, person=b"retry").digest()


_encode = msgspec.msgpack.Encoder().encode


def duplicates(
    copies: Iterable[Received],
    reinstated: Set[bytes] = frozenset(),
    settled_before: int = 0,
    is_stored: Callable[[bytes], bool] = lambda _: True,
) -> dict[bytes, bytes | None]:
    """By id: the copy that each of these copies of one event, no two of one id, is a duplicate of; None: it is stored.

    A copy is a duplicate if a stored one, verified if it is verified, was received before it and within its window. One
    that is not verified is a duplicate, too, of a verified one that was received within its window after it. A
    reinstated one is stored, and nothing is a duplicate of it.

    Copies from before the time `settled_before` (microseconds) are settled: `is_stored` tells how.
    """
    ordered = sorted(copies, key=lambda one: (-one.precedence, one.event_id))
    found: dict[bytes, bytes | None] = {one.event_id: None for one in ordered
                                        if one.event_id in reinstated and one.at >= settled_before}  # fmt: skip
    believed: list[Received] = []
    for one in _others(ordered, reinstated, verified=True):
        near = believed[-1] if believed and _follows(one, believed[-1]) else None
        if one.at >= settled_before:
            found[one.event_id] = near.event_id if near else None
            is_kept = near is None
        else:
            is_kept = is_stored(one.event_id)
        if is_kept:
            believed.append(one)
    times = [one.at for one in believed]
    last: Received | None = None
    for one in _others(ordered, reinstated, verified=False):
        near = _believed_near(one, believed, times) or (last if last is not None and _follows(one, last) else None)
        if one.at >= settled_before:
            found[one.event_id] = near.event_id if near else None
            is_kept = near is None
        else:
            is_kept = is_stored(one.event_id)
        if is_kept:
            last = one
    return found


def _others(ordered: Sequence[Received], reinstated: Set[bytes], *, verified: bool) -> Iterator[Received]:
    return (one for one in ordered if one.verified == verified and one.event_id not in reinstated)


def _follows(one: Received, other: Received) -> bool:
    """Whether one was received within its window after the other."""
    return 0 <= one.at - other.at <= one.seconds * _SECOND


def _believed_near(one: Received, believed: Sequence[Received], times: Sequence[int]) -> Received | None:
    """The verified copy in whose place one that is not verified would stand."""
    place = bisect_right(times, one.at)
    if place and _follows(one, believed[place - 1]):
        return believed[place - 1]
    if place < len(believed) and _follows(believed[place], one):
        return believed[place]
    return None
