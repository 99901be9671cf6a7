"""What the retry windows of a block's events come to, by what was loaded before: which copies are duplicates.

`retry_copy` has every copy that was loaded, and the rule (`retries.duplicates`) tells which copies of one event are
stored. A block may bring a copy that was received before others that are loaded: then a stored one may become a
duplicate, and a duplicate may be stored again. It has the content of the one that it was a duplicate of.

Which copy is stored, `first_copy` says. The precedence in its rows of these copies goes up by one with each change, so
that the last one counts; `_own` tells what it was.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.external import ExternalData

from tenure import churn_event
from tenure.entry import Entry
from tenure.identity import KINDS, event_names
from tenure.loader import rows, subscription_facts
from tenure.loader.backfill import stored_event
from tenure.loader.columns import COLUMNS
from tenure.loader.displaced import Displaced
from tenure.loader.rows import Copy, Pair
from tenure.retries import Received, Window, duplicates, since, windows
from tenure.subscriptions import sources
from tenure.warehouse.first_copies import Ask, FirstCopy, Known, Retries, copies_of

Reinstated = Callable[[Collection[bytes]], set[bytes]]
"""Which of some copies are reinstated."""

_MICROSECONDS = 1_000_000
_COPIES = """
SELECT retry_key, retry_copy.precedence, event_id, verified, seconds FROM retry_copy INNER JOIN sent USING (retry_key)
WHERE retry_key IN (SELECT retry_key FROM sent) AND retry_copy.precedence <= sent.most
"""
_ERASED = "SELECT event_id FROM erased_event WHERE event_id IN (SELECT event_id FROM ids)"
_EVENT = list(COLUMNS["event"])
# Its own row may be there already: a block that was broken off put it there.
_CONTENT = f"""
SELECT {", ".join(name for name in _EVENT if not name.endswith("_at"))} FROM event FINAL
WHERE customer_key IN (SELECT key FROM sent)
    AND event_id IN (SELECT own FROM sent UNION DISTINCT SELECT displaced_by FROM sent)
"""  # noqa: S608 - names of ours
_RECEIVED = """
SELECT event_id, toUnixTimestamp64Micro(received_at) FROM arrival FINAL
WHERE (app, receipt) IN (SELECT app, receipt FROM sent) AND event_id IN (SELECT own FROM sent)
"""
_STRUCTURE = (
    "app String, key FixedString(16), own FixedString(16), displaced_by FixedString(16), receipt FixedString(16)"
)


def settled(
    client: Client, entries: Sequence[Entry], known: Known, erased: Set[bytes], reinstated: Reinstated
) -> tuple[Known, set[bytes]]:
    """`known`, with what the retry windows of some entries come to; and the ids of retries of what is erased.

    `erased` are the ids of those of their events that are. Raises ClickHouseError, and what `reinstated` raises.
    """
    brought, windows_of = _brought(entries, known)
    if not brought:
        return known, set()
    loaded = _loaded(client, brought, windows_of)
    new = {one for found in brought.values() for one in found}
    ids = new | {one for found in loaded.values() for one in found}
    copies = dict(known.copies) | copies_of(_asking(client), ids - known.copies.keys())
    absent = ids - new - copies.keys()
    gone = erased | _erased(client, absent)
    stay = reinstated(ids)
    instead: dict[bytes, bytes] = {}
    back: set[bytes] = set()
    for key, group in loaded.items():
        since_when = min(one.at for one in brought[key].values()) - windows_of[key].longest * _MICROSECONDS
        there = [one for event_id, one in (brought[key] | group).items() if event_id not in absent - gone]
        for one, of in duplicates(there, stay, since_when, lambda one: one not in copies or copies[one].counts).items():
            if one in erased or not (one in new or one in copies):
                continue
            if of is not None:
                instead[one] = of
            elif one in copies and copies[one].is_retry:
                back.add(one)
    taken = {one for one, of in instead.items() if of in gone and one in new and one not in copies}
    again = stored_again(client, {one: copies[one] for one in back - new}) | dict.fromkeys(back & new)
    found = Retries({one: of for one, of in instead.items() if one not in taken}, again,
                    frozenset(one for group in loaded.values() for one in group))  # fmt: skip
    return known._replace(copies=copies, retries=found), taken


def _brought(entries: Sequence[Entry], known: Known) -> tuple[dict[bytes, dict[bytes, Received]], dict[bytes, Window]]:
    """The copies that some entries bring, by their key and id; and the windows, by the key."""
    found: defaultdict[bytes, dict[bytes, Received]] = defaultdict(dict)
    windows_of: dict[bytes, Window] = {}
    for entry in entries:
        if not any(own := windows(entry)):
            continue
        for event, names, window in zip(entry.events, event_names(entry), own, strict=True):
            if window is not None:
                heard, event_id = rows.precedence_heard(entry, event.index), known.id_of(names)
                found[window.key][event_id] = Received(heard, event_id, names.trusted, window.seconds)
                windows_of[window.key] = window
    return dict(found), windows_of


def _loaded(
    client: Client, brought: Mapping[bytes, Mapping[bytes, Received]], windows_of: Mapping[bytes, Window]
) -> dict[bytes, dict[bytes, Received]]:
    """The loaded copies with the same keys, from so long before the first that is brought on that what that one changes
    can be told."""
    found: dict[bytes, dict[bytes, Received]] = {key: {} for key in brought}
    data = b""
    for key, copies in brought.items():
        first = min(one.at for one in copies.values()) - 3 * windows_of[key].longest * _MICROSECONDS
        data += key + since(first).to_bytes(16, "little")
    sent = _sent(data, "retry_key FixedString(16), most UInt128")
    for key, order, event_id, verified, seconds in client.query(_COPIES, external_data=sent).result_rows:
        found[bytes(key)][bytes(event_id)] = Received(int(order), bytes(event_id), bool(verified), int(seconds))
    return found


def stored_again(client: Client, copies: Mapping[bytes, FirstCopy]) -> dict[bytes, tuple[Any, ...] | None]:
    """The rows in `event` of retries that are to be stored after all; of those alone whose content is there still.

    Raises ClickHouseError.
    """
    if not copies:
        return {}
    data = b"".join(bytes([len(copy.app)]) + copy.app.encode() + copy.customer_key + own + copy.displaced_by
                    + copy.receipt for own, copy in copies.items())  # fmt: skip
    names = [name for name in _EVENT if not name.endswith("_at")]
    said = {}
    for row in client.query(_CONTENT, external_data=_sent(data, _STRUCTURE)).result_rows:
        values = dict(zip(names, row, strict=True))
        said[bytes(values["event_id"])] = values
    arrived = client.query(_RECEIVED, external_data=_sent(data, _STRUCTURE)).result_rows
    received = {bytes(event_id): int(at) for event_id, at in arrived}
    made: dict[bytes, tuple[Any, ...] | None] = {}
    for own, copy in copies.items():
        content = said.get(own) or said.get(copy.displaced_by)
        if content is not None and own in received:
            differs = {
                "event_id": own, "customer_key": copy.customer_key, "occurred_at": copy.occurred_at,
                "received_at": received[own], "receipt": copy.receipt, "position": copy.position,
                "verified": copy.sender is not None and bool(copy.sender.verified),
            }  # fmt: skip
            made[own] = tuple((content | differs)[name] for name in _EVENT)
    return made


def copies_again(known: Known, first: Mapping[bytes, Copy]) -> dict[bytes, Copy]:
    """The copies that are duplicates no more, as the block that finds that out stores them. Pure."""
    found = {}
    for event_id, told in known.retries.again.items():
        row = first[event_id].row if told is None and event_id in first else told
        if row is None:
            continue
        was = known.copies[event_id]
        order, version = _own(was), was.precedence if was.counts else was.precedence + 1
        row = (*row[:-2], order, 0)
        found[event_id] = Copy(event_id, order, was.content, row[1], row[2], row, _facts(row), None, version)
    return found


def _own(copy: FirstCopy) -> int:
    """The precedence of a copy: its last 16 bits are those of its place in the request."""
    return copy.precedence - (copy.precedence + copy.position + 1) % (1 << 16)


def _facts(row: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """What a row in `event` says of subscriptions."""
    values = dict(zip(_EVENT, row, strict=True))
    if not values["verified"]:
        return []
    event = stored_event(values["position"], values["name"], values["occurred_at"], values["message_id"],
                         values["properties"], values["context"], *(values[kind] for kind in KINDS))  # fmt: skip
    order = values["precedence"]
    said = subscription_facts.Said(values["app"], values["customer_key"], values["event_id"], values["received_at"],
                                   values["receipt"], values["position"], order, order)  # fmt: skip
    return subscription_facts.rows(said, sources.facts(values["dialect"], event, rows.ordered_at(order)).facts)


def give_way(found: Displaced, known: Known, first: Mapping[bytes, Copy]) -> Displaced:
    """What gives way, and the retries with it. Pure."""
    instead = known.retries.instead
    there = {one: known.copies[one] for one in instead if one in known.copies}
    apps = {one: copy.app for one, copy in there.items()}
    apps |= {one: str(first[one].row[0]) for one in instead if one in first}
    return Displaced(
        found.pairs | {one: Pair(app, churn_event.DIALECT, instead[one]) for one, app in apps.items()},
        found.stored | {one: copy._replace(precedence=_own(copy)) for one, copy in there.items() if copy.counts},
        found.ids | instead.keys(),
        found.places | {(copy.app, copy.customer_key) for copy in there.values()},
    )


def first_copy_rows(known: Known, first: Mapping[bytes, Copy]) -> list[tuple[Any, ...]]:
    """Rows for `first_copy`: which copy each of these is a retry of, where that is not said yet. Pure."""
    made: list[tuple[Any, ...]] = []
    for one, of in known.retries.instead.items():
        was, copy = known.copies.get(one), first.get(one)
        if was is not None and was.displaced_by != of:
            verified = was.sender is not None and bool(was.sender.verified)
            made.append((one, was.app, was.precedence + 1, was.receipt, was.position, was.content, was.customer_key,
                         was.occurred_at, churn_event.DIALECT, verified, of))  # fmt: skip
        elif was is None and copy is not None:
            app, receipt, position, verified = copy.row[0], copy.row[15], copy.row[16], copy.row[18]
            made.append((one, app, copy.precedence + 1, receipt, position, copy.content, copy.customer_key,
                         copy.occurred_at, churn_event.DIALECT, verified, of))  # fmt: skip
    return made


def reinstated(client: Client, event_ids: Collection[bytes]) -> Known:
    """What there is of copies that are reinstated, and that they are stored again. Raises ClickHouseError."""
    copies = copies_of(_asking(client), event_ids)
    again = stored_again(client, {one: copy for one, copy in copies.items() if copy.counts or copy.is_retry})
    return Known(copies, retries=Retries(again=again))


def _erased(client: Client, ids: Collection[bytes]) -> set[bytes]:
    if not ids:
        return set()
    sent = ExternalData(file_name="ids", data=b"".join(ids), fmt="RowBinary", structure="event_id FixedString(16)")
    return {bytes(row[0]) for row in client.query(_ERASED, external_data=sent).result_rows}


def _sent(data: bytes, structure: str) -> ExternalData:
    return ExternalData(file_name="sent", data=data, fmt="RowBinary", structure=structure)


def _asking(client: Client) -> Ask:
    return lambda sql, sent: client.query(sql, external_data=sent).result_rows
