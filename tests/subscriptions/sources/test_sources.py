"""What each source's events say of a subscription: golden pairs, any input at all, and whole stories.

`<dialect>.json` has cases: a sentence of reason, an event, and what the fact it makes `says` (times as text; what every
fact has, and what it does not say, left out) or the `problem`. Neither: the event says nothing. An event without a time
happened at `NOON`. To add a case write the reason and the event, run with TENURE_UPDATE_GOLDEN=1, and read the rest.
"""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.event import Event
from tenure.subscriptions import statement
from tenure.subscriptions.fact import SAID, Fact
from tenure.subscriptions.sources import facts, reading, whisperr, windback
from tenure.subscriptions.state import timeline
from tenure.wire import registry, times
from tenure.wire.json import canonical, parse
from tests.subscriptions.histories import TIMES, at
from tests.wire.test_any_input import any_json

NOON = "2026-06-14T12:00:00.000Z"
RECEIVED_AT = 1_781_438_700_000_000
HERE = Path(__file__).parent
BOOKS = ("native", "whisperr", "windback")
CASES = [(dialect, place, case) for dialect in BOOKS
         for place, case in enumerate(json.loads((HERE / f"{dialect}.json").read_text()))]  # fmt: skip
ALWAYS = {"source", "customer", "subscription", "also", "effective_at", "received_at"}


def event(name: str, properties: Any = None, occurred_at: str | None = NOON, **fields: Any) -> Event:
    ms = None if occurred_at is None else times.parse(occurred_at).ms
    return Event(index=0, name=name, occurred_at=ms, uid="u1", properties=canonical(properties or {}), **fields)


def outcome(dialect: str, given: Event) -> dict[str, Any]:
    """What a case says of its event beside the reason."""
    found = facts(dialect, given, RECEIVED_AT)
    told: dict[str, Any] = {}
    for fact in found.facts:
        assert (fact.customer, fact.received_at) == ("", RECEIVED_AT)
        assert fact.effective_at == (RECEIVED_AT // 1_000 if given.occurred_at is None else given.occurred_at)
        whose = [fact.source, fact.subscription]
        said = _plain(fact)
        assert (said.pop("id", ""), *whose) == (given.message_id or "", *_expected_subscription(dialect, given))
        told = {"says": {name: value for name, value in said.items() if name not in ALWAYS}}
    return told if found.problem is None else told | {"problem": found.problem}


def _expected_subscription(dialect: str, given: Event) -> list[str]:
    properties = json.loads(given.properties)
    return [properties["source"], properties["subscription"]] if dialect == "native" else [dialect, "uid:u1"]


def _plain(value: Any) -> Any:
    """As JSON, times as text."""
    if isinstance(value, msgspec.Struct):
        value = msgspec.to_builtins(value)
    if isinstance(value, dict):
        return {
            name: times.rfc3339(each) if name in TIMES and each is not None else _plain(each)
            for name, each in value.items()
        }
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize(("dialect", "place", "case"), CASES, ids=[f"{name}-{place}" for name, place, _ in CASES])
def test_event(dialect: str, place: int, case: dict[str, Any]) -> None:
    """An event says what a person read it to say."""
    found = outcome(dialect, event(**case["event"]))
    if os.environ.get("TENURE_UPDATE_GOLDEN") == "1":
        path = HERE / f"{dialect}.json"
        cases = json.loads(path.read_text())
        cases[place] = {"why": case["why"], "event": case["event"]} | found
        path.write_text(json.dumps(cases, indent=1, ensure_ascii=False) + "\n")
    else:
        assert {name: value for name, value in case.items() if name not in ("why", "event")} == found
    assert case["why"].endswith(".")


def test_every_name_and_every_problem_is_in_the_book() -> None:
    """Each billing name of each source has a case, and each problem is shown by one."""
    shown = {(dialect, case["event"]["name"]) for dialect, _, case in CASES}
    wanted = {("whisperr", name) for name in whisperr.NAMES} | {("windback", name) for name in windback.NAMES}
    assert wanted | {("native", statement.NAME)} <= shown
    assert {case["problem"] for _, _, case in CASES if "problem" in case} == set(reading.PROBLEMS)


def test_other_dialects_say_nothing_and_files_speak_as_natives() -> None:
    """A name counts in the dialect whose name it is; a file's statements are read as sent ones."""
    said = {"source": "native", "subscription": "s", "status": "active"}
    assert facts("import", event(statement.NAME, said), 0) == facts("native", event(statement.NAME, said), 0)
    for dialect in ("churnkey", "customerscore", "no such dialect", "windback"):
        assert facts(dialect, event(statement.NAME, said), 0) == reading.NOTHING
    assert facts("native", event("membership_started", {}), 0) == reading.NOTHING


NAMES = sorted({*whisperr.NAMES, *windback.NAMES, statement.NAME})
FIELDS = ["price", "currency", "plan_period", "plan_id", "access_source", "current_period_ends_at", "access_ends_at",
          "trial_ends_at", "trial_length_days", "end_reason", "store_cancel_reason", "mrr", "plan_name", "plan",
          "cancel_reason", *statement.FIELDS]  # fmt: skip
PLAUSIBLE: list[Any] = [9.99, 0, 4900, 2**63, 1e300, 5e-324, -0.0, "9.99", "0." + "0" * 30, "USD", "jpy", "P1M",
                        "P0M", "P1001D", "2026-06-14", 10**14, "active", "lifetime", "billing"]  # fmt: skip
properties = any_json | st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(PLAUSIBLE) | any_json, max_size=6)


@given(
    dialect=st.sampled_from(["whisperr", "windback", "native", "import"]),
    name=st.sampled_from(NAMES),
    properties=properties,
    occurred_at=st.none() | st.integers(times.EARLIEST, times.LATEST),
    message_id=st.none() | st.text(max_size=1_024),
    received_at=st.integers(0, 2**53),
)
def test_any_properties_make_a_valid_fact_or_none(
    properties: Any, dialect: str, received_at: int, **given: Any
) -> None:
    """Whatever an event holds, nothing is raised, and each fact is one that reads back as itself."""
    text = canonical(parse(json.dumps(properties).encode()))
    found = facts(dialect, Event(index=0, properties=text, uid="u", **given), received_at)
    assert found.problem is None or found.problem in reading.PROBLEMS
    for fact in found.facts:
        assert msgspec.json.decode(msgspec.json.encode(fact), type=Fact) == fact
        assert fact.said
        timeline([fact])


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '"x"', '{"price":1e999999999,"currency":"USD"}'])
def test_properties_that_are_no_object(text: str) -> None:
    """What is no JSON object, which no dialect makes, is no reason to fail."""
    for dialect, name in (
        ("whisperr", "renewal_succeeded"),
        ("windback", "subscription_renewed"),
        ("native", NAMES[0]),
    ):
        facts(dialect, Event(index=0, name=name, uid="u", properties=text), RECEIVED_AT)


@given(
    amount=st.integers(0, 2**63 - 1),
    currency=st.sampled_from(["JPY", "USD", "KWD", "CLF"]),
    in_text=st.booleans(),
    extra=st.text("0", max_size=5),
)
def test_amounts_in_units_are_exact(amount: int, currency: str, in_text: bool, extra: str) -> None:
    """Any amount written in units comes back in smallest units as itself, with zeros at its end or without."""
    digits = {"JPY": 0, "USD": 2, "KWD": 3, "CLF": 4}[currency]
    written = format(Decimal(amount).scaleb(-digits), "f")
    written += ("." if extra and "." not in written else "") + extra
    in_text = in_text or len(written) > 15
    assert reading.smallest_units(written if in_text else Decimal(written), currency) == amount


NO_AMOUNTS = [
    "1e5", " 1", "1.", ".5", "+1", "", None, 1.5, True, [], 2**63,
    Decimal("NaN"), Decimal("Infinity"), Decimal("1e15"), Decimal("0.1234567890123456"),
]  # fmt: skip


@pytest.mark.parametrize("value", NO_AMOUNTS)
def test_what_is_no_amount(value: Any) -> None:
    """Other spellings of numbers, floats, and what is beyond 64 bits are refused."""
    with pytest.raises(reading.Problem, match=reading.INVALID_AMOUNT):
        reading.smallest_units(value, "USD")


@pytest.mark.parametrize("value", ["0.001", Decimal("1E-999999999"), Decimal("5e-324"), "12345678901234567890.001"])
def test_what_is_not_exact(value: Any) -> None:
    """More decimals than the currency has are refused, at once, however many they are."""
    with pytest.raises(reading.Problem):
        reading.smallest_units(value, "USD")


MONEY = {"price": 10, "currency": "USD", "plan_period": "P1M", "plan_id": "pro"}
LIFE = [
    event("trial_started", MONEY | {"trial_length_days": 7}, "2026-01-01T00:00:00Z"),
    event("trial_converted", {"current_period_ends_at": "2026-02-08"}, "2026-01-08T00:00:05Z"),
    event("billing_issue_started", {}, "2026-02-08T00:00:00Z"),
    event("billing_recovered", {}, "2026-02-10T00:00:00Z"),
    event("auto_renew_disabled", {"access_ends_at": "2026-03-08"}, "2026-02-20T00:00:00Z"),
    event("auto_renew_enabled", {}, "2026-02-21T00:00:00Z"),
    event("renewal_succeeded", MONEY | {"price": 12}, "2026-03-08T00:00:00Z"),
    event("auto_renew_disabled", {"access_ends_at": "2026-04-08"}, "2026-03-10T00:00:00Z"),
    event("membership_ended", {"end_reason": "voluntary"}, "2026-04-08T00:00:00Z"),
    event("billing_issue_started", {}, "2026-04-09T00:00:00Z"),
]


def story(dialect: str, events: list[Event]) -> list[tuple[int, str, int | None]]:
    """When the status or the amount changes, and to what."""
    told = [fact for each in events for fact in facts(dialect, each, RECEIVED_AT).facts]
    found: list[tuple[int, str, int | None]] = []
    for span in timeline(told):
        amount = span.state.items[0].amount if span.state.items else None
        if not found or found[-1][1:] != (span.state.status, amount):
            found.append((span.start, span.state.status, amount))
    return found


@given(seed=st.integers())
def test_a_whisperr_membership_from_trial_to_end(seed: int) -> None:
    """The vendor's events in any order and twice tell one life; a payment problem after the end revives nothing."""
    events = LIFE * 2
    Random(seed).shuffle(events)
    assert story("whisperr", events) == [
        (at("2026-01-01"), "trialing", 1000),
        (at("2026-01-08T00:00:05"), "active", 1000),
        (at("2026-02-08"), "past_due", 1000),
        (at("2026-02-10"), "active", 1000),
        (at("2026-03-08"), "active", 1200),
        (at("2026-04-08"), "canceled", 1200),
    ]


def test_a_windback_subscription_and_its_bills() -> None:
    """A bill is late and paid; after the end neither brings the subscription back, and the reason may come later."""
    mrr = {"mrr": 4900, "currency": "USD", "plan": "pro"}
    events = [
        event("invoice_paid", {}, "2025-12-01T00:00:00Z"),
        event("subscription_started", mrr, "2026-01-01T00:00:00Z"),
        event("invoice_overdue", {}, "2026-02-01T00:00:00Z"),
        event("invoice_paid", {}, "2026-02-03T00:00:00Z"),
        event("cancel_flow_submitted", mrr | {"cancel_reason": "too_expensive"}, "2026-03-01T00:00:00Z"),
        event("churn_recorded", mrr, "2026-03-02T00:00:00Z"),
        event("invoice_overdue", {}, "2026-04-01T00:00:00Z"),
        event("invoice_paid", {}, "2026-04-02T00:00:00Z"),
        event("cancel_reason_reported", {"cancel_reason": "missing_features"}, "2026-04-03T00:00:00Z"),
    ]
    assert story("windback", events) == [
        (at("2026-01-01"), "active", 4900),
        (at("2026-02-01"), "past_due", 4900),
        (at("2026-02-03"), "active", 4900),
        (at("2026-03-02"), "canceled", 4900),
    ]
    told = [fact for each in events for fact in facts("windback", each, RECEIVED_AT).facts]
    last = [span for span in timeline(told) if span.start >= at("2026-03-02")]
    assert {(span.state.cause, span.state.reason) for span in last} == {("voluntary", "missing_features")}


def test_what_the_route_takes_is_what_the_source_reads() -> None:
    """A statement with every field becomes a fact that says every field, and reading it again changes nothing."""
    body = (HERE.parents[1] / "wire/golden/native/subscription-everything.input.json").read_bytes()
    operation = registry.find("/v1/subscriptions", {})
    assert operation is not None
    (sent,) = operation.decode(body, RECEIVED_AT // 1_000).events
    (fact,) = facts("native", sent, RECEIVED_AT).facts
    assert set(fact.said) == set(SAID)
    assert (fact.source, fact.subscription, fact.id) == ("erp", "1234", "inv-7")
    said = json.loads(sent.properties)
    assert canonical(statement.read(said)) == sent.properties
