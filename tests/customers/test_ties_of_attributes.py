"""Attributes said of one time: the sender's sequence decides, else the place in the request, else the first receipt."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from tenure.customers.facts import Fact, by_attribute, first_copies, fold
from tenure.entry import Entry, of
from tenure.loader import rows
from tenure.loader.columns import COLUMNS
from tenure.receipt import at as receipt_at
from tenure.wire import registry

NOW = 1_800_000_000_000_000


def request(path: str, body: dict[str, Any], received_at: int = NOW) -> Entry:
    """The entry of a request with a secret key."""
    operation = registry.find(path, {})
    assert operation is not None
    decoded = operation.decode(json.dumps(body).encode(), NOW // 1_000)
    assert not decoded.refusals
    return of(decoded, app="app", receipt=receipt_at(received_at), received_at=received_at, dialect=operation.dialect,
              verified=True, key_prefix="sk")  # fmt: skip


def value(entries: list[Entry], name: str = "seats") -> str | None:
    """The value in force, the same in whatever order, and however often, the entries are loaded."""
    found = set()
    for seed in range(6):
        loaded = entries * 2
        random.Random(seed).shuffle(loaded)
        made = rows.block(loaded).facts
        columns = list(COLUMNS["fact"])
        facts = [Fact(*(row[columns.index(field)] for field in Fact._fields)) for row in made]
        found.add(fold(by_attribute(first_copies(facts))["", name])[-1].value)
    (only,) = found
    return only


def churnkey(seats: Any) -> dict[str, Any]:
    return {"event": "x", "customerId": "c1", "eventDate": "2024-05-01", "customerData": {"seats": seats}}


@pytest.mark.parametrize(("first", "second"), [(9, 10), (10, 9), ("b", "a"), (True, 1)])
def test_of_one_day_what_was_received_later_counts(first: Any, second: Any) -> None:
    """Seats of 9, then 10, of the vendor's own date without a time: 10, and never by the text of the value."""
    path = "/v1/api/events/new"
    told = [request(path, churnkey(first)), request(path, churnkey(second), NOW + 1)]
    assert value(told) == json.dumps(second)


def test_of_one_request_the_later_element_counts() -> None:
    """Also an unset after a set, and an increment before one."""
    at = {"customer_id": "c1", "occurred_at": "2024-05-01T00:00:00Z"}
    events = [at | {"traits": {"seats": 9, "plan": "b"}}, at | {"traits": {"seats": 10, "plan": "a"}}]
    assert value([request("/v1/ingest", {"events": events})]) == "10"
    assert value([request("/v1/ingest", {"events": events})], "plan") == '"a"'
    events = [at | {"traits": {"seats": 9}}, at | {"unset": ["seats"]}]
    assert value([request("/v1/ingest", {"events": events})]) is None
    events = [at | {"traits": {"seats": 1}}, at | {"increment": {"seats": 5}}, at | {"traits": {"seats": 2}}]
    assert value([request("/v1/ingest", {"events": events})]) == "2"


def test_a_sequence_goes_before_receipt() -> None:
    """In one request, and in several; one without comes before those with one."""
    at = {"customer_id": "c1", "occurred_at": "2024-05-01T00:00:00Z"}
    sequences = (9, {"sequence": 3}), (10, {"sequence": 2}), (11, {}), (9, {"sequence": 1})
    told = [at | {"traits": {"seats": seats}} | more for seats, more in sequences]
    assert value([request("/v1/ingest", {"events": told})]) == "9"
    assert value([request("/v1/ingest", {"events": [each]}, NOW + place) for place, each in enumerate(told)]) == "9"
