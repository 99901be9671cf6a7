"""What holds for any body at all, by generated input."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.errors import BadRequest
from tenure.event import Decoded, Event, Identify
from tenure.wire import registry
from tenure.wire.dialect import Operation
from tenure.wire.json import canonical, parse
from tests.wire.taken import taken

NOW = 1_781_438_700_000

every_operation = pytest.mark.parametrize("operation", registry.ALL, ids=lambda operation: operation.path)

FIELD_NAMES = [
    "event",
    "message_id",
    "auth_hash",
    "authHash",
    "customerEmail",
    "email",
    "id",
    "mrr",
    "provider",
    "cancel_reason",
    "tenure_days",
    "last_active_at",
    "customerId",
    "uid",
    "eventDate",
    "createdAt",
    "eventData",
    "customerData",
    "user",
    "data",
    "users",
    "userId",
    "customer_email",
    "customer_id",
    "customer_name",
    "properties",
    "timestamp",
    "occurred_at",
    "events",
    "name",
    "identification",
    "customer",
    "contact",
    "trackerKey",
    "external_user_id",
    "anonymous_id",
    "event_type",
    "context",
    "$message_id",
    "traits",
    "preferred_channel",
    "channels",
    "channel",
    "address",
    "opted_in",
    "verified",
    "kind",
]
PLAUSIBLE = ["login", "jane@example.com", "2026-06-14T12:00:00Z", "2026-06-14", 1_781_438_400, "1781438400000", {}, []]

anything = st.text(st.characters(exclude_categories=()), max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | anything | st.sampled_from(PLAUSIBLE)
any_json = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELD_NAMES) | anything, inner, max_size=8)
    ),
    max_leaves=25,
)

usable_text = st.sampled_from(["login", "jane@example.com", "u1"])
usable_times = st.sampled_from(["2026-06-14T12:00:00Z", 1_781_438_400_000])
objects = st.dictionaries(st.sampled_from(["channel", "uid", "data"]), scalars, max_size=2)
ELEMENTS = {
    "churnkey": {"event": usable_text, "uid": usable_text, "eventDate": usable_times, "users": st.just([])},
    "windback": {
        "event": usable_text,
        "customer_email": st.just("jane@example.com"),
        "timestamp": usable_times,
        "provider": usable_text,
        "mrr": st.just(4900),
        "cancel_reason": usable_text,
    },
    "customerscore": {
        "name": usable_text,
        "timestamp": usable_times,
        "identification": st.just({"customer": "c"}),
        "data": st.fixed_dictionaries({"customer": objects}),
    },
    "native": {"event": usable_text, "uid": usable_text, "traits": objects, "message_id": usable_text},
    "stripe": {
        "id": usable_text,
        "object": st.sampled_from(["event", "customer"]),
        "type": usable_text,
        "created": usable_times,
        "data": st.just({"object": {"customer": "cus_1"}}),
    },
    "whisperr": {
        "external_user_id": usable_text,
        "event_type": usable_text,
        "occurred_at": usable_times,
        "context": st.just({"$message_id": "m"}),
    },
}


def nearly(usable: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """Elements that are often good, and otherwise wrong in one or a few places."""
    good = st.fixed_dictionaries(usable)
    spoiled = st.builds(
        lambda element, changes: {**element, **changes},
        good,
        st.dictionaries(st.sampled_from([*usable, "properties", "extra"]), any_json, max_size=2),
    )
    return good | spoiled | any_json


def requests(operation: Operation) -> st.SearchStrategy[tuple[int, Any]]:
    """Nearly good bodies for the operation, each with the number of its elements."""
    element = nearly(ELEMENTS[operation.dialect])
    elements = st.lists(element, max_size=5)
    one = element.filter(lambda value: not (isinstance(value, dict) and "events" in value)).map(
        lambda value: (1, value)
    )
    around = {"trackerKey": "CS-1"} if operation.dialect == "customerscore" else {}
    batch = elements.map(lambda values: (len(values), {**around, "events": values}))
    if operation.path.endswith("bulk"):
        return elements.map(lambda values: (len(values), values))
    if operation.dialect == "windback":
        return one | batch
    if operation.dialect == "stripe":
        return one | elements.map(lambda values: (len(values), {"object": "list", "data": values}))
    return batch if operation.path in ("/api/tracker/track", "/v1/events/batch", "/v1/ingest") else one


def decoded(operation: Operation, body: bytes) -> Decoded | None:
    """What the operation makes of the body; None when it refuses it as a whole."""
    try:
        found = operation.decode(body, NOW)
    except BadRequest as refused:
        json.loads(operation.error(refused))
        return None
    reply = operation.reply(taken(operation, found, verified=False))
    assert 200 <= reply.status < 300
    msgspec.json.decode(reply.body)
    return found


def check_conservation(operation: Operation, count: int, found: Decoded) -> None:
    """Each element is taken or refused, never both (an identify's dropped values lie within a taken one)."""
    items: list[Event | Identify] = [*found.events, *found.identifies]
    accepted = {item.index for item in items}
    refused = {bad.index for bad in found.refusals}
    assert accepted | refused == set(range(count))
    if found.events:
        assert not accepted & refused
        assert len(refused) == len(found.refusals)
    for event in found.events:
        ids = (event.customer_id, event.uid, event.billing_id, event.email, event.anonymous_id)
        assert any(ids) or found.churn_event_id is not None
        assert canonical(msgspec.json.decode(event.properties)) == event.properties
        assert canonical(msgspec.json.decode(event.context)) == event.context
    msgspec.msgpack.encode(found)


@every_operation
@given(body=st.binary(max_size=200))
def test_any_bytes_are_taken_or_refused(operation: Operation, body: bytes) -> None:
    """No bytes raise anything but a refusal."""
    decoded(operation, body)


@every_operation
@given(value=any_json)
def test_any_json_is_taken_or_refused(operation: Operation, value: Any) -> None:
    """No JSON raises anything but a refusal."""
    decoded(operation, json.dumps(value).encode())


@every_operation
@given(data=st.data())
def test_every_element_is_accounted_for(operation: Operation, data: st.DataObject) -> None:
    """Of nearly good requests, each element is either taken or refused."""
    elements, value = data.draw(requests(operation))
    found = decoded(operation, json.dumps(value).encode())
    if found is not None:
        check_conservation(operation, elements, found)


@given(value=any_json)
def test_canonical_text_is_stable_and_strict(value: Any) -> None:
    """The canonical text is strict JSON, reads back as its value, and is its own canonical text."""
    text = canonical(value)
    assert msgspec.json.decode(text) == parse(text.encode())
    assert canonical(parse(text.encode())) == text


@given(value=any_json)
def test_reading_what_was_read_changes_nothing(value: Any) -> None:
    """Reading the canonical text of what was read gives the same value."""
    read = parse(json.dumps(value).encode())
    assert parse(canonical(read).encode()) == read


@given(path=st.text(max_size=40))
def test_any_path_finds_an_operation_or_none(path: str) -> None:
    """Looking up a path never fails."""
    found = registry.find(path, {})
    assert found is None or found.path in registry.ALL_PATHS
