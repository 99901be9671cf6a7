"""Limits of requests, and what becomes of the elements that cannot be used."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tenure.errors import BadRequest
from tenure.event import MAX_QUARANTINED_PAYLOAD, MAX_REFUSED_PAYLOAD, Decoded
from tenure.wire import codes, registry

NOW = 1_781_438_700_000

CHURNKEY = {"event": "Login", "uid": 1}
WINDBACK = {"event": "login", "customer_email": "jane@example.com"}
CUSTOMERSCORE = {"name": "login", "timestamp": NOW, "identification": {"customer": "c"}}
STATEMENT = {"uid": "u1", "subscription": "sub_1", "status": "active"}
NATIVE = {"event": "login", "uid": 1}
WHISPERR = {"external_user_id": "u", "event_type": "login", "context": {"$message_id": "m"}}


def body_of(path: str, elements: list[Any]) -> bytes:
    around: dict[str, Any] = {"trackerKey": "CS-1"} if path == "/api/tracker/track" else {}
    field = "subscriptions" if path == "/v1/subscriptions" else "events"
    body = elements if path.endswith("bulk") else {**around, field: elements}
    return json.dumps(body).encode()


def decode(path: str, body: bytes) -> Decoded:
    operation = registry.find(path, {})
    assert operation is not None
    return operation.decode(body, NOW)


BATCHES = [
    ("/v1/api/events/bulk", CHURNKEY, 100),
    ("/api/v1/track", WINDBACK, 100),
    ("/api/tracker/track", CUSTOMERSCORE, 100),
    ("/v1/events/batch", WHISPERR, 500),
    ("/v1/ingest", NATIVE, 1_000),
    ("/v1/subscriptions", STATEMENT, 1_000),
]


@pytest.mark.rule("batch-limit")
@pytest.mark.parametrize(("path", "element", "limit"), BATCHES)
def test_takes_as_many_as_the_vendor_and_no_more(path: str, element: dict[str, Any], limit: int) -> None:
    """The largest batch is taken whole, with its indexes in order; one more is refused whole."""
    decoded = decode(path, body_of(path, [element] * limit))
    assert [event.index for event in decoded.events] == list(range(limit))
    with pytest.raises(BadRequest) as refused:
        decode(path, body_of(path, [element] * (limit + 1)))
    assert refused.value.code == codes.TOO_MANY_EVENTS


@pytest.mark.rule("partial-acceptance")
@pytest.mark.parametrize(("path", "element", "limit"), BATCHES)
def test_a_bad_element_never_costs_a_good_one(path: str, element: dict[str, Any], limit: int) -> None:
    """With a single good element among bad ones, it is taken; Whisperr and the native dialect report the others."""
    decoded = decode(path, body_of(path, [{}, *[7] * (limit - 2), element]))
    assert [event.index for event in decoded.events] == [limit - 1]
    assert [bad.index for bad in decoded.refusals] == list(range(limit - 1))
    assert {bad.reported for bad in decoded.refusals} == {
        path in ("/v1/events/batch", "/v1/ingest", "/v1/subscriptions")
    }


@pytest.mark.parametrize(("path", "element", "limit"), BATCHES)
def test_a_refused_element_is_kept_up_to_a_limit(path: str, element: dict[str, Any], limit: int) -> None:
    """The payload of a refusal is the element's canonical text, cut: later where the sender was not told of it."""
    decoded = decode(path, body_of(path, [element, "x" * 300_000, {"b": 1, "a": 2}]))
    cut, small = (bad.payload for bad in decoded.refusals)
    limits = {True: MAX_REFUSED_PAYLOAD, False: MAX_QUARANTINED_PAYLOAD}
    assert cut == '"' + "x" * (limits[decoded.refusals[0].reported] - 1)
    assert small == '{"a":2,"b":1}'


@pytest.mark.rule("exact-names")
@pytest.mark.parametrize(
    ("path", "element", "name"),
    [
        ("/v1/api/events/bulk", CHURNKEY, "event"),
        ("/api/v1/track", WINDBACK, "event"),
        ("/api/tracker/track", CUSTOMERSCORE, "name"),
        ("/v1/ingest", NATIVE, "event"),
    ],
)
@pytest.mark.parametrize("text", ["x", "x" * 256, "\U0001f600" * 256, " Post  Created ", "a\u0000b", "Événement"])
def test_names_are_kept_exactly(path: str, element: dict[str, Any], name: str, text: str) -> None:
    """Any text of 1 to 256 characters is a name, with its case and spaces."""
    decoded = decode(path, body_of(path, [{**element, name: text}]))
    assert decoded.events[0].name == text


@pytest.mark.rule("name-length", "whisperr")
@pytest.mark.rule("id-length", "whisperr")
def test_the_longest_whisperr_ids_and_names() -> None:
    """128 characters are taken, whatever characters they are in an id."""
    event = {**WHISPERR, "external_user_id": "é" * 128, "event_type": "x" * 128}
    assert len(decode("/v1/events/batch", body_of("/v1/events/batch", [event])).events) == 1


def test_every_code_has_a_sentence() -> None:
    """Each stable reason is explained once."""
    constants = {value for name, value in vars(codes).items() if name.isupper() and isinstance(value, str)}
    assert constants == set(codes.SENTENCES)
