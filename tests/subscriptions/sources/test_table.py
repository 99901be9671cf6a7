"""The table of `docs/billing.md` of what each source tells, walked row by row: ties, silence and late messages.

A row without a case here fails, and so does a case without a row, and a name in the last column without one.
"""

from __future__ import annotations

import csv
import json
import re
import tempfile
from collections.abc import Callable, Mapping
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import pytest

from tenure.event import Event
from tenure.importer.stripe_file import TAKEN_AT
from tenure.subscriptions.fact import Fact
from tenure.subscriptions.mrr import is_unknown, parts
from tenure.subscriptions.rules import Rules
from tenure.subscriptions.sources import facts, whisperr, windback
from tenure.subscriptions.state import State
from tenure.wire import stripe
from tests.importer import test_statements
from tests.subscriptions.histories import at
from tests.subscriptions.sources.test_page import PAGE
from tests.subscriptions.stripe.test_snapshots import from_file
from tests.subscriptions.stripe.webhooks import item, items, seconds, subscription, webhook
from tests.subscriptions.test_silence import NO_TIERS, OLD, TIERS, invoice
from tests.subscriptions.test_ties import changed, last, of_request, sent, statement, worth

BEFORE, DAY, LATER = "2026-03-05", "2026-03-10", "2026-03-20"
NOW = 1_800_000_000_000_000
"""When the first message is received, in microseconds; all are received later than they are of."""
Fields: TypeAlias = Mapping[str, Any]


class Row(NamedTuple):
    """A row of the table, as it is written."""

    version: str
    sequence: str
    otherwise: str
    late: str
    unsaid: str


class Silence(NamedTuple):
    """What was told first, and a later message that leaves something of it out."""

    told: list[Fact]
    silent: list[Fact]


class Source(NamedTuple):
    """How a source says that a subscription comes to an amount, and its silences by the name of what is left out."""

    say: Callable[..., list[Fact]]
    """Of a day and an amount, received so many microseconds later; with `sequence`, where it has one."""
    silences: Mapping[str, Callable[[], Silence]]


def table() -> dict[str, Row]:
    text = PAGE.split("### What each source tells")[1].split("\n### ")[0]
    lines = [
        [cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines() if line.startswith("| ")
    ]
    return {name: Row(*cells) for name, *cells in lines[2:]}


def hooked(body: dict[str, Any], received: int = 0) -> list[Fact]:
    """What a webhook says."""
    return of_request("stripe", stripe.decode(json.dumps(body).encode(), 0).events, NOW + received)


def priced(**fields: Any) -> dict[str, Any]:
    """A subscription's ten seats."""
    return {"items": items(item(10, **fields))}


def webhook_of(day: str, amount: int, received: int = 0) -> list[Fact]:
    return hooked(webhook(day, id=f"evt_{amount}", items=items(item(1, unit_amount=amount))), received)


def snapshot(day: str, received: int = 0, **fields: Any) -> list[Fact]:
    """What an object says that was read from Stripe on a day, and imported later."""
    with tempfile.TemporaryDirectory() as directory:
        events = from_file(Path(directory), LATER, subscription(**fields) | {TAKEN_AT: seconds(day)})
    return of_request("stripe", events, NOW + received)


def snapshot_of(day: str, amount: int, received: int = 0) -> list[Fact]:
    return snapshot(day, received, items=items(item(1, unit_amount=amount)))


def posted(element: dict[str, Any], received: int = 0) -> list[Fact]:
    return of_request(*sent("/v1/subscriptions", {"subscriptions": [element]}), NOW + received)


def posted_of(day: str, amount: int, received: int = 0, **fields: Any) -> list[Fact]:
    return posted(statement(amount, effective_at=day, **fields), received)


def tracked(day: str, said: Fields, received: int = 0) -> list[Fact]:
    """What an event of the name says that somebody tracks."""
    properties = json.dumps({"source": "native", "subscription": "s1"} | said)
    event = Event(index=0, name="subscription_updated", uid="u1", occurred_at=at(day), properties=properties)
    return of_request("native", [event], NOW + received)


def said_of(amount: int, **fields: Any) -> dict[str, Any]:
    """The fields of a statement that its properties have."""
    left_out = ("uid", "subscription", "effective_at")
    return {name: value for name, value in statement(amount, **fields).items() if name not in left_out}


def tracked_of(day: str, amount: int, received: int = 0, **fields: Any) -> list[Fact]:
    return tracked(day, said_of(amount, **fields), received)


COLUMNS = {"status": "active", "plan": "pro", "amount": "3000", "currency": "USD", "interval": "month"}


def row(day: str, columns: Fields, received: int = 0) -> list[Fact]:
    """What a row of a file says."""
    cells = {"customer_id": "c1", "subscription_id": "s1", "effective_at": day} | dict(columns)
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "rows.csv"
        with file.open("w", newline="") as opened:
            csv.writer(opened).writerows([list(cells), list(cells.values())])
        events = [each for each in test_statements.take(file) if isinstance(each, Event)]
    assert events
    return of_request("import", events, NOW + received)


def row_of(day: str, amount: int, received: int = 0, sequence: int | None = None) -> list[Fact]:
    numbered = {} if sequence is None else {"sequence": str(sequence)}
    return row(day, COLUMNS | {"amount": str(amount)} | numbered, received)


def client(dialect: str, day: str, name: str, properties: Fields, received: int = 0) -> list[Fact]:
    """What an event of a vendor's client says."""
    event = Event(index=0, name=name, uid="u1", occurred_at=at(day), properties=json.dumps(properties))
    return of_request(dialect, [event], NOW + received)


MONEY = {"mrr": 3000, "currency": "USD", "plan": "pro"}
PRICE = {"price": "30.00", "currency": "USD", "plan_period": "P1M", "plan_id": "gold"}


def windback_of(day: str, amount: int, received: int = 0) -> list[Fact]:
    return client("windback", day, "subscription_renewed", MONEY | {"mrr": amount}, received)


def whisperr_of(day: str, amount: int, received: int = 0) -> list[Fact]:
    return client("whisperr", day, "renewal_succeeded", PRICE | {"price": f"{amount / 100:.2f}"}, received)


def without(fields: Fields, name: str) -> dict[str, Any]:
    return {each: value for each, value in fields.items() if each != name}


FOREIGN = {"currency": "eur", "currency_options": {"usd": {"unit_amount": 900}}}
DISCOUNT = {"id": "di_1", "coupon": {"percent_off": 50, "duration": "forever"}, "start": seconds("2026-03-01")}
LIMITED = DISCOUNT | {"coupon": {"percent_off": 50, "duration": "forever", "applies_to": {"products": ["prod_2"]}}}
TWO = items(item(product="prod_1"), item(product="prod_2") | {"id": "si_2"})
RATE = {"id": "txr_1", "object": "tax_rate", "percentage": 20, "inclusive": True}
TAXED = items(item(tax_behavior="inclusive"))
USE = item(recurring={"usage_type": "metered"}) | {"id": "si_2", "quantity": None}
BILL = hooked(invoice(DAY, OLD, subscription="sub_1"))


def of_stripe(later: Callable[..., list[Fact]]) -> dict[str, Callable[[], Silence]]:
    """The silences of Stripe's objects, after a snapshot that had all."""
    return {
        "tiers": lambda: Silence(snapshot(BEFORE, **priced(**TIERS)), later(**priced(**NO_TIERS))),
        "currency_options": lambda: Silence(snapshot(BEFORE, **priced(**FOREIGN)), later(**priced(currency="eur"))),
        "discounts": lambda: Silence(snapshot(BEFORE, discounts=[DISCOUNT]), later(discounts=["di_1"])),
        "applies_to": lambda: Silence(
            snapshot(BEFORE, discounts=[LIMITED], items=TWO), later(discounts=[DISCOUNT], items=TWO)
        ),
        "tax_rates": lambda: Silence(snapshot(BEFORE, items=TAXED, default_tax_rates=[RATE]), later(items=TAXED)),
        "metered": lambda: Silence(
            snapshot(BEFORE, items=items(item(), USE)) + BILL, later(items=items(item(), USE), metadata={"a": "b"})
        ),
    }


def later_webhook(**fields: Any) -> list[Fact]:
    return hooked(webhook(LATER, **fields), 9)


def later_snapshot(**fields: Any) -> list[Fact]:
    return snapshot(LATER, 9, **fields)


def webhook_without_items() -> list[Fact]:
    body = webhook(LATER)
    del body["data"]["object"]["items"]
    return hooked(body, 9)


def of_statements(say: Callable[[str, Fields, int], list[Fact]]) -> dict[str, Callable[[], Silence]]:
    """The silences of statements: a field, or one of an item, that a later statement does not have."""
    full = said_of(3000, discounts=[{"percent": "50"}])
    full["items"] = [full["items"][0] | {"tax_percent": 20}]

    def leaving(name: str) -> Callable[[], Silence]:
        part = without(full, name) if name in full else full | {"items": [without(full["items"][0], name)]}
        return lambda: Silence(say(BEFORE, full, 0), say(LATER, part, 9))

    return {name: leaving(name) for name in ("status", "items", "currency", "discounts", "plan", "tax_percent")}


def said_by_post(day: str, said: Fields, received: int) -> list[Fact]:
    return posted({"uid": "u1", "subscription": "s1", "effective_at": day} | dict(said), received)


def of_client(dialect: str, name: str, full: Fields) -> dict[str, Callable[[], Silence]]:
    """The silences of a vendor's events: each property of the price that a renewal does not have."""

    def leaving(field: str) -> Callable[[], Silence]:
        return lambda: Silence(
            client(dialect, BEFORE, name, full), client(dialect, LATER, name, without(full, field), 9)
        )

    return {field: leaving(field) for field in full}


def leaving_columns(*names: str) -> Callable[[], Silence]:
    full = COLUMNS | {"tax_percent": "20"}
    part = {name: value for name, value in full.items() if name not in names}
    return lambda: Silence(row(BEFORE, full), row(LATER, part, 9))


SOURCES = {
    "Stripe, webhooks": Source(
        webhook_of,
        of_stripe(later_webhook) | {"items": lambda: Silence(webhook_of(BEFORE, 900), webhook_without_items())},
    ),
    "Stripe, imports": Source(snapshot_of, of_stripe(later_snapshot)),
    "`POST /v1/subscriptions`": Source(posted_of, of_statements(said_by_post)),
    "`tenure import --subscriptions`": Source(
        row_of,
        {name: leaving_columns(name) for name in ("status", "plan", "currency", "tax_percent")}
        | {"amount": leaving_columns("amount", "plan", "interval", "tax_percent")},
    ),
    "`subscription_updated`, tracked": Source(tracked_of, of_statements(tracked)),
    "Windback": Source(windback_of, of_client("windback", "subscription_renewed", MONEY)),
    "Whisperr": Source(whisperr_of, of_client("whisperr", "renewal_succeeded", PRICE)),
}
SILENT = {"Churnkey": "churnkey", "Customerscore": "customerscore"}
"""Vendors that say nothing of subscriptions, with their dialects."""
ROWS = table()
EACH = pytest.mark.parametrize("name", SOURCES)


def test_each_row_has_its_case() -> None:
    """And each case its row; what a row says is one of what is tested here."""
    assert set(ROWS) == set(SOURCES) | set(SILENT)
    assert {name for name, of in ROWS.items() if of.late == "says nothing of subscriptions"} == set(SILENT)
    told = {name: of for name, of in ROWS.items() if name in SOURCES}
    assert {of.otherwise for of in told.values()} == {"receipt"}
    assert {of.version for of in told.values()} <= {"none", "its type: created, discounts, changed, deleted"}
    assert {of.sequence for of in told.values()} <= {"none", "`sequence`", "chain of `previous_attributes`"}
    assert all(of.late.startswith("is as of ") for of in told.values())
    assert {of[:3] + of[4:] for name, of in ROWS.items() if name in SILENT} == {("none", "none", "none", "all")}


@EACH
def test_ties_are_broken_by_receipt_where_nothing_else_does(name: str) -> None:
    """Two messages of one day, of one version, without a sequence: the one received later counts."""
    say = SOURCES[name].say
    assert worth(say(DAY, 900, 1) + say(DAY, 1000, 2)) == 1000
    assert worth(say(DAY, 900, 2) + say(DAY, 1000, 1)) == 900


@EACH
def test_ties_are_broken_by_the_sequence(name: str) -> None:
    """Where the source has one, the order of receipt changes nothing."""
    say, sequence = SOURCES[name].say, ROWS[name].sequence
    if sequence == "`sequence`":
        for one, two in ((1, 2), (2, 1)):
            assert worth(say(DAY, 900, one, sequence=7) + say(DAY, 1000, two, sequence=8)) == 1000
            assert worth(say(DAY, 900, one, sequence=8) + say(DAY, 1000, two, sequence=7)) == 900
    elif sequence != "none":
        seats = [{"items": items(item(quantity))} for quantity in (5, 9, 12)]
        bodies = [webhook(BEFORE, "created", **seats[0]), changed(1, *seats[:2], DAY), changed(2, *seats[1:], DAY)]
        for order in permutations(range(3)):
            assert worth([each for place in order for each in hooked(bodies[place], order.index(place))]) == 36_000
    else:
        assert {fact.was + fact.becomes for fact in say(DAY, 900)} == {""}
        assert {fact.sequence for fact in say(DAY, 900)} == {None}


@EACH
def test_ties_are_broken_by_the_version(name: str) -> None:
    """Stripe's types of one second are a life, however they are delivered; the others have none."""
    if ROWS[name].version == "none":
        assert {fact.sequence for fact in SOURCES[name].say(DAY, 900)} == {None}
        return
    of = {"id": "di_1", "object": "discount", "customer": "cus_1", "subscription": "sub_1", "start": seconds(DAY)}
    discount = of | {"coupon": {"id": "c", "percent_off": 50, "duration": "forever"}, "end": None}
    taken_off = {"id": "evt_d", "object": "event", "type": "customer.discount.created", "created": seconds(DAY),
                 "data": {"object": discount}}  # fmt: skip
    changed = webhook(DAY, discount=None, items=items(item(2)))
    deleted = webhook(DAY, "deleted", status="canceled", ended_at=seconds(DAY))
    life = [webhook(DAY, "created", status="incomplete"), taken_off, changed, deleted]
    for stage, expected in ((1, 0), (2, 0), (3, 6000), (4, 0)):
        for order in permutations(range(stage)):
            told = [each for place, number in enumerate(order) for each in hooked(life[number], place)]
            assert worth(told) == expected
            assert last(told).status == ("incomplete", "incomplete", "active", "canceled")[stage - 1]


@EACH
def test_a_late_message_is_as_of_its_own_time(name: str) -> None:
    """Received after a later one it changes nothing since; what is received first and of later counts on."""
    say = SOURCES[name].say
    for early, late in ((1, 2), (2, 1)):
        assert worth(say(BEFORE, 900, early) + say(DAY, 1000, late)) == 1000
    assert worth(say(DAY, 1000, 1) + say(LATER, 700, 2) + say(BEFORE, 900, 3)) == 700


def test_webhooks_and_snapshots_stand_in_one_order() -> None:
    """Of Stripe: a snapshot that was taken before a webhook and comes after it changes nothing; a later one does."""
    assert worth(webhook_of(DAY, 1000, 1) + snapshot_of(BEFORE, 900, 2)) == 1000
    assert worth(snapshot_of(LATER, 900, 1) + webhook_of(DAY, 1000, 2)) == 900


def shown(state: State) -> tuple[Any, ...]:
    """What is known of a subscription, with metered items left out and in."""
    money = [(parts(state, rules), is_unknown(state, rules)) for rules in (Rules(), Rules(metered="in"))]
    return state.status, state.currency, money


CASES = [(name, unsaid) for name, source in SOURCES.items() for unsaid in source.silences]


@pytest.mark.parametrize(("name", "unsaid"), CASES)
def test_what_is_left_unsaid_stays(name: str, unsaid: str) -> None:
    """Of each name of the last column: what was known before is known after, whatever else the message says."""
    told, silent = SOURCES[name].silences[unsaid]()
    assert silent
    known = shown(last(told))
    assert known[2][0][0]
    assert shown(last(told + silent)) == known
    assert shown(last(silent)) != known


@EACH
def test_each_silence_has_its_case(name: str) -> None:
    """The names in the last column are those of the cases."""
    assert set(re.findall(r"`(\w+)`", ROWS[name].unsaid)) == set(SOURCES[name].silences)


@pytest.mark.parametrize("name", SILENT)
def test_who_says_nothing(name: str) -> None:
    """Of these vendors no name is read, also none that is another's."""
    for named in sorted({*whisperr.NAMES, *windback.NAMES, "subscription_updated", "customer.subscription.updated"}):
        event = Event(index=0, name=named, uid="u1", properties=json.dumps(MONEY | PRICE | said_of(900)))
        assert facts(SILENT[name], event, NOW) == ((), None)
