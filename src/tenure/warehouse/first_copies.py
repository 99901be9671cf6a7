"""What the warehouse knows of events by their ids: which copy it keeps, and by whose word."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tenure.identity import Names, Sender, family

if TYPE_CHECKING:
    from clickhouse_connect.driver.external import ExternalData

NOBODY: Final = bytes(16)
"""In `displaced_by`: the copy counts."""
UNKNOWN: Final = Sender("", None)
"""Nothing is left that says whose an id was."""

_FIRST_COPIES = """
SELECT event_id, precedence, customer_key, toUnixTimestamp64Milli(occurred_at), displaced_by, receipt, position,
    content, family, verified, app
FROM first_copy WHERE event_id IN (SELECT event_id FROM ids) ORDER BY precedence DESC LIMIT 1 BY event_id
"""
# Rows of older releases do not say who sent the copy that is kept.
_SENDERS = """
SELECT event_id, dialect, verified FROM event FINAL
WHERE (customer_key, occurred_at) IN (
    SELECT customer_key, occurred_at FROM first_copy WHERE event_id IN (SELECT event_id FROM ids))
AND event_id IN (SELECT event_id FROM ids)
"""
# Nothing but arrivals is left of what is erased. Those of older releases still do not say whether they were verified.
_ARRIVED = """
SELECT event_id, argMin((dialect, verified, verified OR path != ''), (received_at, receipt, position)) AS sent
FROM arrival WHERE event_id IN (SELECT event_id FROM ids) GROUP BY event_id
"""
_STRUCTURE = "event_id FixedString(16)"

Ask = Callable[[str, "ExternalData"], Sequence[Sequence[Any]]]
"""Answers a query to which a table `ids` is sent."""


class FirstCopy(NamedTuple):
    """The copy of an event that the warehouse keeps."""

    precedence: int
    customer_key: bytes
    occurred_at: int
    displaced_by: bytes = NOBODY
    """The id of a verified copy that took its place, or of the copy that it is a retry of: it is kept no more."""
    receipt: bytes = b""
    position: int = 0
    content: bytes = b""
    sender: Sender | None = None
    """None: the row is of an older release."""
    app: str = ""

    @property
    def counts(self) -> bool:
        """Whether an event is stored for it."""
        return self.displaced_by == NOBODY

    @property
    def is_retry(self) -> bool:
        """Whether a retry window made a duplicate of it: alone of what is not kept, it says whose it is."""
        return not self.counts and self.receipt != NOBODY


class Retries(NamedTuple):
    """What the retry windows that some copies are received in come to."""

    instead: Mapping[bytes, bytes] = {}
    """By id: the copy that each of these copies is a duplicate of. None of these is to be stored."""
    again: Mapping[bytes, tuple[Any, ...] | None] = {}
    """By id: the rows in `event` of copies that are duplicates no more; None: the block brings it."""
    known: frozenset[bytes] = frozenset()
    """The ids that `retry_copy` has already, of those that were looked at."""


class Known(NamedTuple):
    """What there is of some ids."""

    copies: Mapping[bytes, FirstCopy] = {}
    owners: Mapping[bytes, Sender] = {}
    """Whose the ids of older releases are, of those that are stored or erased."""
    erased: frozenset[bytes] = frozenset()
    retries: Retries = Retries()

    def id_of(self, names: Names) -> bytes:
        """The id of an element."""
        return names.of(names.trusted, self.owners.get(names.old))

    def rival_of(self, names: Names) -> bytes:
        """The id of the same element with the other trust; the same where an element has no other."""
        return names.of(not names.trusted, self.owners.get(names.old))


NOTHING_KNOWN: Final = Known()


def look_up(
    ask: Ask,
    events: Sequence[Names],
    elements: Sequence[Names] = (),
    erased: Callable[[Iterable[bytes]], set[bytes]] = lambda _: set(),
) -> Known:
    """What the warehouse knows of some events, and of other elements. `erased` tells which of some ids are erased.

    Raises what `ask` raises.
    """
    every = [*events, *elements]
    ids = {one for names in every for one in names.usual}
    copies = copies_of(ask, {one for names in events for one in names.usual})
    gone = erased(ids)
    told = {names.old for names in elements if not names.keeps_old}  # of these no first copy tells
    owners = _owners(ask, {names.old for names in every}, copies, gone, told)
    # Only where the old id of a verified copy is another's does it have a new one.
    more = {names.verified for names in every if names.of(True, owners.get(names.old)) == names.verified} - ids
    copies |= copies_of(ask, more)
    gone |= erased(more)
    return Known(copies, owners, frozenset(gone))


def copies_of(ask: Ask, ids: Iterable[bytes]) -> dict[bytes, FirstCopy]:
    """By id: the copy that the warehouse keeps. Raises what `ask` raises."""
    found = {}
    for event_id, order, key, at, instead, receipt, position, content, of, verified, app in _ask(
        ask, _FIRST_COPIES, ids
    ):
        sender = Sender(of, bool(verified)) if of else None
        found[bytes(event_id)] = FirstCopy(int(order), bytes(key), int(at), bytes(instead), bytes(receipt),
                                           int(position), bytes(content), sender, str(app))  # fmt: skip
    return found


def _owners(
    ask: Ask, old: set[bytes], copies: Mapping[bytes, FirstCopy], gone: set[bytes], told: set[bytes]
) -> dict[bytes, Sender]:
    owners: dict[bytes, Sender] = {}
    for one in old & copies.keys():
        if (sender := copies[one].sender) is not None:
            owners[one] = sender
    unsaid = (old & copies.keys()) - owners.keys()
    for event_id, dialect, verified in _ask(ask, _SENDERS, unsaid):
        owners[bytes(event_id)] = Sender(family(dialect), bool(verified))
    unsaid = (old & (copies.keys() | gone)) - owners.keys()
    for event_id, (dialect, verified, is_sure) in _ask(ask, _ARRIVED, unsaid | told):
        owners[bytes(event_id)] = Sender(family(dialect), bool(verified) if is_sure else None)
    return dict.fromkeys(unsaid, UNKNOWN) | owners


def _ask(ask: Ask, sql: str, ids: Iterable[bytes]) -> Sequence[Sequence[Any]]:
    from clickhouse_connect.driver.external import ExternalData

    data = b"".join(ids)
    if not data:
        return []
    return ask(sql, ExternalData(file_name="ids", data=data, fmt="RowBinary", structure=_STRUCTURE))


class Standing(NamedTuple):
    """What stands for an event: its own first copy, or the verified one that took its place."""

    event_id: bytes
    copy: FirstCopy
    is_retry: bool = False
    """Whether the event is a retry of it."""


def standing(ask: Ask, ids: Iterable[bytes]) -> dict[bytes, Standing]:
    """By id: what stands for each of these events, where anything does. Raises what `ask` raises."""
    found = copies_of(ask, ids)
    instead = copies_of(ask, {copy.displaced_by for copy in found.values() if not copy.counts})
    stands = {one: Standing(one, copy) for one, copy in found.items() if copy.counts}
    return stands | {
        one: Standing(copy.displaced_by, instead[copy.displaced_by], copy.is_retry)
        for one, copy in found.items()
        if not copy.counts and copy.displaced_by in instead
    }
