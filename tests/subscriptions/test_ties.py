"""Statements of one time: the source's order decides, else the place in the request, else the first receipt."""

from __future__ import annotations

import json
import random
from datetime import date
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.entry import Entry, Replay
from tenure.event import Event, Refusal
from tenure.loader import rows, subscription_facts
from tenure.receipt import at as receipt_at
from tenure.subscriptions.fact import Fact, known
from tenure.subscriptions.ledger import levels
from tenure.subscriptions.mrr import mrr
from tenure.subscriptions.rules import Rules
from tenure.subscriptions.sources import facts
from tenure.subscriptions.sources.stripe_chain import marks
from tenure.subscriptions.spells import spells
from tenure.subscriptions.state import State, timeline
from tenure.wire import registry, stripe
from tests.subscriptions.stripe.webhooks import item, items, seconds, webhook

NOW = 1_800_000_000_000_000
UNTIL = date(2027, 1, 1)


def of_request(dialect: str, events: list[Event], received_at: int = NOW) -> list[Fact]:
    """The facts of the events of one request, as they are stored."""
    numbered = [
        event if event.index else msgspec.structs.replace(event, index=place) for place, event in enumerate(events)
    ]
    entry = Entry(app="app", receipt=receipt_at(received_at), received_at=received_at, dialect=dialect, verified=True,
                  key_prefix="sk", events=numbered)  # fmt: skip
    return stored(entry)


def stored(entry: Entry) -> list[Fact]:
    """The facts that an entry is stored as."""
    column = 10
    return [msgspec.json.decode(row[column], type=Fact) for copy in rows.block([entry]).copies for row in copy.facts]


def last(found: list[Fact]) -> State:
    """The state at the end, the same in whatever order the facts are loaded."""
    state = timeline(found)[-1].state
    for seed in range(5):
        shuffled = found * 2
        random.Random(seed).shuffle(shuffled)
        assert timeline(shuffled)[-1].state == state
    return state


def worth(found: list[Fact]) -> int:
    """The MRR in the end."""
    return int(mrr(last(found), Rules()))


def sent(path: str, body: dict[str, Any]) -> tuple[str, list[Event]]:
    """The events that the body of a request is decoded into, with their dialect."""
    operation = registry.find(path, {})
    assert operation is not None
    return operation.dialect, operation.decode(json.dumps(body).encode(), NOW // 1_000).events


def statement(amount: int, **fields: Any) -> dict[str, Any]:
    return {
        "uid": "u1", "subscription": "s1", "effective_at": "2026-05-01T00:00:00Z", "status": "active",
        "currency": "USD", "items": [{"amount": amount, "interval": "month", "plan": "pro"}],
    } | fields  # fmt: skip


def webhooks(bodies: list[dict[str, Any]], order: list[int] | None = None) -> list[Fact]:
    """What webhooks say, delivered one after the other in an order."""
    found = []
    for place, number in enumerate(range(len(bodies)) if order is None else order):
        found += of_request("stripe", stripe.decode(json.dumps(bodies[number]).encode(), 0).events, NOW + place)
    return found


def changed(number: int, before: dict[str, Any], after: dict[str, Any], created: str = "2026-03-20") -> dict[str, Any]:
    """An update from one set of fields to another, with the former values of those that changed."""
    body = webhook(created, id=f"evt_{number * 7919 % 1000}", **after)
    former = webhook(created, **before)["data"]["object"]
    changes = {name: value for name, value in former.items() if body["data"]["object"][name] != value}
    body["data"]["previous_attributes"] = changes
    return body


def test_of_one_request_the_later_statement_counts() -> None:
    """Native statements of one time, 900 and then 1000 and 900 again: the last one, though two say the same."""
    dialect, events = sent("/v1/subscriptions", {"subscriptions": [statement(900), statement(1000)]})
    assert worth(of_request(dialect, events)) == 1000
    dialect, events = sent("/v1/subscriptions", {"subscriptions": [statement(amount) for amount in (900, 1000, 900)]})
    assert worth(of_request(dialect, events)) == 900


def test_of_one_batch_of_a_client_the_later_event_counts() -> None:
    """Windback's 2900 and then 4900 of one second come to 4900."""
    events = [
        Event(index=place, name="subscription_upgraded", email="a@b.example", occurred_at=1_777_000_000_000,
              properties=json.dumps({"mrr": amount, "currency": "USD"}))
        for place, amount in enumerate((2900, 4900))
    ]  # fmt: skip
    began = Event(index=0, name="subscription_started", email="a@b.example", occurred_at=1_776_000_000_000,
                  properties=json.dumps({"mrr": 1900, "currency": "USD"}))  # fmt: skip
    assert worth(of_request("windback", [began], NOW - 5) + of_request("windback", events)) == 4900


def test_of_two_requests_the_one_received_first_comes_first() -> None:
    """Where nothing else tells them apart."""
    dialect, (one,) = sent("/v1/subscriptions", {"subscriptions": [statement(900)]})
    _, (other,) = sent("/v1/subscriptions", {"subscriptions": [statement(1000)]})
    assert worth(of_request(dialect, [one], NOW) + of_request(dialect, [other], NOW + 1)) == 1000
    assert worth(of_request(dialect, [one], NOW + 1) + of_request(dialect, [other], NOW)) == 900


def test_a_sequence_goes_before_any_receipt() -> None:
    """In statements, and in events of that name that somebody tracks."""
    for numbers, amount in (((2, 1), 900), ((1, 2), 1000)):
        told = [statement(each, sequence=number) for each, number in zip((900, 1000), numbers, strict=True)]
        dialect, events = sent("/v1/subscriptions", {"subscriptions": told})
        assert worth(of_request(dialect, events)) == amount
        tracked = [
            {"uid": "u1", "event": "subscription_updated",
             "properties": {name: each[name] for name in ("subscription", "status", "currency", "items", "sequence")}
             | {"source": "native"}}
            for each in told
        ]  # fmt: skip
        assert worth([fact for element in tracked for fact in _tracked(element)]) == amount


def _tracked(element: dict[str, Any]) -> list[Fact]:
    event = Event(index=0, name=element["event"], uid="u1", occurred_at=1_777_000_000_000,
                  properties=json.dumps(element["properties"]))  # fmt: skip
    return list(facts("native", event, NOW).facts)


SEATS = [{"items": items(item(quantity))} for quantity in (5, 9, 12)]
NO_CANCEL = {"cancel_at_period_end": False, "cancel_at": None, "canceled_at": None}
CANCEL = {"cancel_at_period_end": True, "cancel_at": seconds("2026-04-01"), "canceled_at": seconds("2026-03-20")}


@pytest.mark.parametrize("order", [[0, 1, 2], [0, 2, 1], [2, 1, 0], [1, 2, 0], [2, 0, 1]])
def test_stripes_changes_of_one_second_follow_each_other(order: list[int]) -> None:
    """By what was before each: seats, a bill that failed and was paid, and an end that was asked for and withdrawn."""
    created = webhook("2026-03-01", "created", **SEATS[0])
    assert worth(webhooks([created, changed(1, SEATS[0], SEATS[1]), changed(2, SEATS[1], SEATS[2])], order)) == 36_000
    late, paid = {"status": "past_due"}, {"status": "active"}
    told = [webhook("2026-03-01", "created"), changed(1, paid, late), changed(2, late, paid)]
    assert last(webhooks(told, order)).status == "active"
    told = [webhook("2026-03-01", "created"), changed(1, NO_CANCEL, CANCEL), changed(2, CANCEL, NO_CANCEL)]
    found = webhooks(told, order)
    assert worth(found) == 3000
    assert [spell.end for spell in spells(found, Rules(), UNTIL)] == [None]


def test_a_part_of_what_was_before_is_enough() -> None:
    """Of lists and objects, the lines of a list by id or place, and a quantity beside the items of old versions."""
    one, two, three = (webhook("2026-03-20", id=f"evt_{name}", items=items(item(quantity)))
                       for name, quantity in (("z", 9), ("a", 12), ("m", 10)))  # fmt: skip
    one["data"]["previous_attributes"] = {"items": {"data": [{"id": "si_1", "quantity": 5}]}}
    two["data"]["previous_attributes"] = {"items": {"data": [{"quantity": 9}]}}
    three["data"]["previous_attributes"] = {"quantity": 12}
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        assert worth(webhooks([one, two, three], order)) == 30_000


def test_without_what_was_before_receipt_decides() -> None:
    """A relay that leaves `previous_attributes` out sends in order, or nobody can tell."""
    told = [webhook("2026-03-20", id=f"evt_{name}", **seats) for name, seats in zip("zay", SEATS, strict=True)]
    assert worth(webhooks(told)) == 36_000
    assert worth(webhooks(told, [2, 1, 0])) == 15_000


def test_where_a_link_is_missing_the_rest_is_in_order() -> None:
    """Of 5 → 9 → 12 → 3, the step to 9 was lost, and what was before it is known: 12 follows before 3 all the same."""
    three = {"items": items(item(3))}
    told = [webhook("2026-03-01", "created", **SEATS[0]), changed(1, SEATS[2], three), changed(2, SEATS[1], SEATS[2])]
    assert worth(webhooks(told)) == 9000


def test_one_second_has_a_life() -> None:
    """Created, changed and deleted within a second, in any order of delivery, ends deleted."""
    told = [webhook("2026-03-01", "created", status="incomplete"), webhook("2026-03-01"),
            webhook("2026-03-01", "deleted", status="canceled", ended_at=seconds("2026-03-01"))]  # fmt: skip
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        assert last(webhooks(told, order)).status == "canceled"
        assert last(webhooks(told[:2], [each for each in order if each < 2])).status == "active"


walks = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from(["active", "past_due", "trialing"]), st.booleans()),
    min_size=2, max_size=8,
)  # fmt: skip


@given(walks, st.data())
def test_any_delivery_of_one_chain_ends_in_one_state(walk: list[tuple[int, str, bool]], data: st.DataObject) -> None:
    """Whatever the changes of one second are, and in whatever order they are delivered and loaded."""
    states = [
        {"items": items(item(quantity)), "status": status, **(CANCEL if ends else NO_CANCEL)}
        for quantity, status, ends in walk
    ]
    told = [webhook("2026-03-01", "created", **states[0])]
    told += [changed(number + 1, one, states[number + 1]) for number, one in enumerate(states[:-1])]
    in_order = webhooks(told)
    delivered = webhooks(told, data.draw(st.permutations(range(len(told)))))
    assert timeline(delivered)[-1].state == timeline(in_order)[-1].state
    by_day = [(level.day, level.parts) for level in levels(in_order, Rules(), UNTIL)]
    assert [(level.day, level.parts) for level in levels(delivered, Rules(), UNTIL)] == by_day
    assert mrr(timeline(in_order)[-1].state, Rules()) in (0, 3000 * walk[-1][0])


@given(st.permutations(range(6)), st.permutations(range(6)))
def test_receipts_loaded_in_any_order_give_the_same(delivered: list[int], loaded: list[int]) -> None:
    """Contradicting statements of one time: what the order of loading is does not matter, the receipts do."""
    found: list[Fact] = []
    for place, number in enumerate(delivered):
        dialect, events = sent("/v1/subscriptions", {"subscriptions": [statement(100 + number)]})
        found += of_request(dialect, events, NOW + place)
    assert known([found[place] for place in loaded] + found[::2]) == found


def test_a_replayed_element_has_the_place_of_its_first_receipt() -> None:
    """What was in quarantine and came again after its repair does not overtake what was said since."""
    dialect, events = sent("/v1/subscriptions", {"subscriptions": [statement(900)]})
    _, later = sent("/v1/subscriptions", {"subscriptions": [statement(1000)]})
    replay = Replay(receipt=receipt_at(NOW - 1_000_000), received_at=NOW - 1_000_000, part=0, repair="r",
                    refusal=Refusal(index=0, code="x", message=""))  # fmt: skip
    again = Entry(app="app", receipt=receipt_at(NOW + 9), received_at=NOW + 9, dialect=dialect, verified=True,
                  key_prefix="sk", events=events, replay=replay)  # fmt: skip
    assert worth(of_request(dialect, later) + stored(again)) == 1000


def test_places_sort_as_precedences_do() -> None:
    """Larger for earlier, as text of one length that sorts earlier for earlier."""
    precedences = [rows.precedence(time, bytes(16)) - index for time in (1, NOW) for index in (0, 1, 65_535)]
    places = [subscription_facts.place(each) for each in precedences]
    assert places == sorted(places)
    assert {len(place) for place in places} == {32}
    assert rows.ordered_at(precedences[-1]) == NOW


def test_marks_of_anything() -> None:
    """What is no object has none, and lines that are gone or new are laid over nothing."""
    assert marks("[]") == marks("{") == ("", "")
    was, becomes = marks('{"a": [{"id": "x", "n": 1}], "previous_attributes": {"a": [{"id": "y", "n": 2}, 3]}}')
    assert was == marks('{"a": [{"id": "y", "n": 2}, 3]}').becomes != becomes
