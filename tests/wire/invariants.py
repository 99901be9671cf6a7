"""What must hold of whatever a dialect makes of a body: one list, for the property tests and for the fuzzer."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from tenure import entry as entries
from tenure.churn_event import is_churn_event_id
from tenure.entry import Entry
from tenure.errors import NotFound, Refused
from tenure.event import MAX_QUARANTINED_PAYLOAD, MAX_REFUSED_PAYLOAD, Decoded, Event, Identify
from tenure.identity import event_ids, identifiers
from tenure.ingest.claims import check_claims
from tenure.loader import rows
from tenure.loader.columns import COLUMNS
from tenure.subscriptions.sources import facts
from tenure.wire import fields, times
from tenure.wire.dialect import Operation, Reply
from tenure.wire.json import canonical, parse
from tests.wire.taken import APP, taken

NOW = 1_781_438_700_000
"""When every body is received: 2026-06-14T12:05:00Z."""

BATCHES = {
    "/api/v1/track": "events", "/api/tracker/track": "events", "/v1/events/batch": "events", "/v1/ingest": "events",
    "/v1/subscriptions": "subscriptions",
}  # fmt: skip
"""Paths whose body is a list under a field (on the first, one event without it is taken too)."""
REFUSALS_ARE_COUNTED = ("/v1/events/batch", "/v1/ingest", "/v1/subscriptions")
"""Paths whose answer counts, or lists, what it does not take."""

MAX_MESSAGE = 400
"""Characters of a message: one to read, which cannot be long enough to carry a value."""
LIMITS = {
    "name": fields.NAME_LIMIT,
    "message_id": fields.ID_LIMIT,
    "customer_id": fields.ID_LIMIT,
    "uid": fields.ID_LIMIT,
    "billing_id": fields.ID_LIMIT,
    "email": fields.EMAIL_LIMIT,
    "anonymous_id": fields.ID_LIMIT,
    "user_id": fields.ID_LIMIT,
}
"""Characters of each text that an index or a key is made of; all of them are None or not blank."""


def outcome(operation: Operation, body: bytes, *, marker: str | None = None) -> Decoded | None:
    """What the operation makes of the body, after every check; None when it refuses it as a whole.

    Raises AssertionError, and whatever else than a refusal the operation raises. No message may hold `marker`.
    """
    try:
        decoded = operation.decode(body, NOW)
        check_claims(decoded, lambda _, auth_hash: auth_hash.startswith("1"))
        if decoded.churn_event_id and not is_churn_event_id(APP, decoded.churn_event_id):
            raise NotFound("this app has no churn event with that id")
    except Refused as refused:
        check_refused(operation, refused, marker)
        return None
    check_accounts(operation, body, decoded)
    for item in [*decoded.events, *decoded.identifies]:
        check_item(item, decoded)
    for event in decoded.events:
        check_facts(operation, event)
    for refusal in decoded.refusals:
        check_message(refusal.message, refusal.field, marker)
        assert len(refusal.payload) <= (MAX_REFUSED_PAYLOAD if refusal.reported else MAX_QUARANTINED_PAYLOAD)
    kept = taken(operation, decoded, verified=False).entry
    assert entries.decode(entries.encode(kept)) == kept
    check_reply(operation, decoded, operation.reply(taken(operation, decoded, verified=False)))
    check_ids(kept)
    check_rows(kept)
    return decoded


def elements_of(operation: Operation, value: Any) -> int:
    """How many elements a body has that the operation took."""
    if isinstance(value, list):
        return len(value)
    if operation.dialect == "stripe":
        return len(value["data"]) if value.get("object") == "list" else 1
    field = BATCHES.get(operation.path)
    return len(value[field]) if field is not None and field in value else 1


def check_accounts(operation: Operation, body: bytes, decoded: Decoded) -> None:
    """Each element is taken or refused, never both (an identify's dropped values lie within a taken one)."""
    events = [event.index for event in decoded.events]
    accepted = {*events, *(identify.index for identify in decoded.identifies)}
    refused = [refusal.index for refusal in decoded.refusals]
    assert accepted | set(refused) == set(range(elements_of(operation, parse(body))))
    assert len(set(events)) == len(events)
    if events:
        assert not accepted & set(refused)
        assert len(set(refused)) == len(refused)


def check_item(item: Event | Identify, decoded: Decoded) -> None:
    """Somebody is named, texts are within their limits and can be encoded, times exist, JSON is canonical."""
    assert identifiers(item)
    for name, limit in LIMITS.items():
        value = getattr(item, name, None)
        assert value is None or (value.strip() and len(value) <= limit and value.encode()), name
    at = item.occurred_at if isinstance(item, Event) else item.set_at
    assert at is None or times.EARLIEST <= at <= times.LATEST
    for name in ("properties", "context", "traits", "user_traits", "channels", "users"):
        text = getattr(item, name, None)
        if text is not None:
            assert canonical(msgspec.json.decode(text)) == text, name
            assert isinstance(json.loads(text), list if name in ("channels", "users") else dict), name


def check_facts(operation: Operation, event: Event) -> None:
    """What an event says of subscriptions can be read; a statement, all of it."""
    read = facts(operation.dialect, event, NOW * 1_000)
    if operation.path == "/v1/subscriptions":
        assert (len(read.facts), read.problem) == (1, None)


def check_refused(operation: Operation, refused: Refused, marker: str | None) -> None:
    """The answer is short JSON in the dialect's shape, and says nothing that the body said."""
    assert 400 <= refused.status < 500
    check_message(refused.message, refused.field, marker)
    body = operation.error(refused)
    assert json.loads(body)["message"] == refused.message
    assert marker is None or marker.encode() not in body


def check_message(message: str, field: str | None, marker: str | None) -> None:
    """Short, and without anything that the client gave as a value."""
    assert 0 < len(message) <= MAX_MESSAGE
    assert field is None or len(field) <= MAX_MESSAGE
    assert marker is None or (marker not in message and marker not in (field or ""))


def told(operation: Operation, reply: Reply) -> tuple[int, int]:
    """How many elements an answer says were taken, and how many not: its counts, or the one element it is about."""
    body = json.loads(reply.body)
    not_taken = len(body.get("errors", []))
    match operation.path:
        case "/v1/ingest" | "/v1/subscriptions":
            invalid = sum(result["status"] == "invalid" for result in body["results"])
            return len(body["results"]) - invalid, invalid
        case "/v1/events/batch":
            return body["accepted"], body["rejected"]
        case "/v1/api/events/bulk":
            return body["event_count"], not_taken
        case "/api/tracker/track":
            return body["received"], not_taken
    return 1, not_taken


def check_reply(operation: Operation, decoded: Decoded, reply: Reply) -> None:
    """The answer is a success in JSON, and counts what was taken."""
    assert 200 <= reply.status < 300
    accepted, not_taken = told(operation, reply)
    items = {item.index for item in (*decoded.events, *decoded.identifies)}
    if operation.path in (*REFUSALS_ARE_COUNTED, "/v1/api/events/bulk", "/api/tracker/track"):
        assert accepted == len(items)
    if not operation.path.startswith("/v1/events/") and operation.path != "/v1/identify":
        assert not_taken == len(decoded.refusals)


def check_ids(kept: Entry) -> None:
    """A retry gives the events the ids that they had, as far as something in them tells that it is one."""
    ids = event_ids(kept)
    again = event_ids(msgspec.structs.replace(kept, receipt="f" * 32))
    for event, one, other in zip(kept.events, ids, again, strict=True):
        assert (one == other) is (event.message_id is not None or event.precise)
    without = {one for event, one in zip(kept.events, ids, strict=True) if event.message_id is None}
    assert len(without) == sum(event.message_id is None for event in kept.events)
    keyed = msgspec.structs.replace(kept, idempotency_key="key")
    assert event_ids(keyed) == event_ids(msgspec.structs.replace(keyed, receipt="f" * 32))


def check_rows(kept: Entry) -> None:
    """Every value of every row fits its column, and every element has its arrival."""
    block = rows.block([kept])
    events, firsts = rows.event_rows(rows.first_copies(block.copies), {})
    made = {"event": events, "first_copy": firsts, "arrival": block.arrivals, "quarantine": block.quarantined,
            "identify": block.identifies, "identifier": [*block.identifiers.values()]}  # fmt: skip
    for table, found in made.items():
        columns = COLUMNS[table]
        for row in found:
            assert len(row) == len(columns)
            for (name, kind), value in zip(columns.items(), row, strict=True):
                assert fits(kind, value), (table, name)
    assert len(block.arrivals) == len(kept.events) + len(kept.identifies) + len(kept.refusals)


def fits(kind: str, value: Any) -> bool:
    """Whether a column of this ClickHouse type holds the value exactly."""
    if inner := re.fullmatch(r"(Nullable|LowCardinality)\((.+)\)", kind):
        return (value is None and inner[1] == "Nullable") or fits(inner[2], value)
    if size := re.fullmatch(r"FixedString\((\d+)\)", kind):
        return isinstance(value, bytes) and len(value) == int(size[1])
    if bits := re.fullmatch(r"UInt(\d+)", kind):
        return isinstance(value, int) and 0 <= value < 1 << int(bits[1])
    if unit := re.fullmatch(r"DateTime64\(([36]), 'UTC'\)", kind):
        per_ms = 1_000 if unit[1] == "6" else 1
        return isinstance(value, int) and times.EARLIEST * per_ms <= value < (times.LATEST + 1) * per_ms
    if kind.startswith("Enum8("):
        return f"'{value}' =" in kind
    if kind == "Bool":
        return isinstance(value, bool)
    return kind == "String" and isinstance(value, str) and value.encode().decode() == value
