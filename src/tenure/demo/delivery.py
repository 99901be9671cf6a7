"""How calls travel: packed into requests, some sent twice because an answer got lost, a few of them wrong.

Every element that is sent twice carries its own time or message id, so that the second copy is known as one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random
from typing import NamedTuple

from tenure.demo.call import Call, Channel
from tenure.demo.faults import bad_element, bad_request

RETRIED = 0.012
"""Share of the requests that are sent a second time."""
SPOILED = 0.003
"""Share of the batches that hold an element which cannot be used."""
REFUSED = 0.0005
"""Share of the requests that are followed by one which cannot be used at all."""


class Request(NamedTuple):
    """One request as it is received."""

    received_at: int
    """Microseconds since 1970 UTC."""
    receipt: str
    path: str
    body: bytes
    bad: int
    """How many of its elements are meant to be refused; 1 for a request that is refused as a whole."""
    retry: bool
    """A copy of an earlier request."""


def deliver(rng: Random, calls: Iterable[Call]) -> list[Request]:
    """The requests that bring these calls, in the order of receipt."""
    requests: list[Request] = []
    for batch in _batches(calls):
        requests += _send(rng, batch)
    return sorted(requests)


def _batches(calls: Iterable[Call]) -> Iterator[list[Call]]:
    """Calls of one channel that a client sends together, in the order of time."""
    waiting: dict[Channel, list[Call]] = {}
    for call in sorted(calls):
        batch = waiting.setdefault(call.channel, [])
        if batch and (len(batch) >= call.channel.limit or call.at - batch[0].at > call.channel.wait_ms):
            yield batch
            batch = waiting[call.channel] = []
        batch.append(call)
    yield from waiting.values()


def _send(rng: Random, batch: list[Call]) -> Iterator[Request]:
    channel, at = batch[0].channel, batch[-1].at
    elements = [call.element for call in batch]
    bad = bad_element(rng, channel, at) if rng.random() < SPOILED and len(elements) < channel.limit else None
    if bad is not None:
        elements.insert(rng.randrange(len(elements) + 1), bad)
    body = channel.before + b",".join(elements) + channel.after
    received_at = at * 1_000 + rng.randint(30_000, 900_000)
    yield _request(rng, received_at, channel.path, body, bad=int(bad is not None))
    if channel.retried and rng.random() < RETRIED:
        again = received_at + rng.randint(2_000_000, 40_000_000)
        yield _request(rng, again, channel.path, body, bad=int(bad is not None), retry=True)
    if rng.random() < REFUSED:
        refused, body = bad_request(rng)
        yield _request(rng, received_at + 100_000, refused.path, body, bad=1)


def _request(rng: Random, received_at: int, path: str, body: bytes, *, bad: int, retry: bool = False) -> Request:
    return Request(received_at, uuid7(received_at // 1_000, rng.getrandbits(74)), path, body, bad, retry)


def uuid7(at: int, random: int) -> str:
    """A UUIDv7 (RFC 9562) as 32 hex digits from a time in ms since 1970 UTC and 74 random bits."""
    return f"{at << 80 | 0x7 << 76 | (random >> 62) << 64 | 0b10 << 62 | random & (1 << 62) - 1:032x}"
