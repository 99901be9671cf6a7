"""Which copy of an event is kept does not depend on the order in which copies are loaded."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.entry import Entry
from tenure.event import Event, Identify, Refusal
from tenure.identity import Identifier
from tenure.loader import ledger, profile, rows
from tenure.loader.columns import COLUMNS
from tenure.loader.rows import Copy
from tenure.loader.seen import changes, seen_rows
from tenure.loader.volume import Counted, replaced_copies, volume_rows
from tenure.warehouse.first_copies import FirstCopy
from tenure.warehouse.migrate import migrations
from tenure.wire.times import DAY_MS

APP = "app_0000000000000001"
SUBSCRIPTION = '{"source":"native","subscription":"s","status":"active"}'

entries = st.builds(
    Entry,
    app=st.just(APP),
    receipt=st.integers(1, 2**60).map(lambda n: f"{n:032x}"),
    received_at=st.integers(1, 5),
    order=st.integers(0, 5),
    dialect=st.just("whisperr"),
    verified=st.just(True),
    key_prefix=st.just("sk"),
    events=st.lists(
        st.builds(
            Event,
            index=st.just(0),
            name=st.sampled_from(["a", "b"]),
            uid=st.sampled_from(["u", "v"]),
            message_id=st.sampled_from(["m", "n"]),
            occurred_at=st.sampled_from([None, 1_000, 2_000, DAY_MS]),
            precise=st.just(True),
        ),
        min_size=1,
        max_size=1,
    ),
)


class Model:
    """`event` and `first_copy` as ReplacingMergeTree reads them with FINAL, `seen` and `volume` as they are grouped."""

    def __init__(self) -> None:
        self.seen: dict[tuple[Any, ...], list[Any]] = {}
        self.events: dict[tuple[Any, ...], tuple[int, tuple[Any, ...]]] = {}
        self.first: dict[bytes, FirstCopy] = {}
        self.volumes: Counter[tuple[Any, ...]] = Counter()

    def load(self, found: list[Entry]) -> None:
        first = rows.first_copies(rows.block(found).copies)
        events, firsts = rows.event_rows(first, self.first)
        made = changes(first, self.first)
        before = {
            event_id: Counted(*next((row[4], row[17]) for row in self.stored() if row[3] == event_id))
            for event_id in replaced_copies(first, self.first)
        }
        for *counted, more in volume_rows(first, self.first, before):
            self.volumes[tuple(counted)] += more
        for row in events:
            place, order = (row[1], row[2], row[3]), row[19]
            if place not in self.events or order >= self.events[place][0]:
                self.events[place] = (order, row)
        for event_id, _, order, _, _, _, key, occurred_at, *_ in firsts:
            self.first[event_id] = FirstCopy(order, key, occurred_at)
        self.count_anew(made.recount)
        self.add(seen_rows(made.new, [], 1))

    def count_anew(self, keys: set[tuple[str, bytes]]) -> None:
        self.seen = {place: seen for place, seen in self.seen.items() if place[:2] not in keys}
        copies = [Copy(row[3], row[19], b"", row[1], row[2], row) for row in self.stored() if row[:2] in keys]
        self.add(seen_rows(copies, [], 1))

    def add(self, found: list[tuple[Any, ...]]) -> None:
        for *place, events, verified, least, greatest, _, trusted, received in found:
            a, b, c, d, e, f = self.seen.get(tuple(place), [0, 0, least, greatest, trusted, received])
            self.seen[tuple(place)] = [
                a + events, b + verified, min(c, least), max(d, greatest), max(e, trusted), max(f, received),
            ]  # fmt: skip

    def stored(self) -> list[tuple[Any, ...]]:
        return sorted((row for _, row in self.events.values() if not row[-1]), key=lambda row: row[3])


@given(st.lists(entries, max_size=6, unique_by=lambda e: e.receipt), st.randoms(), st.integers(1, 4))
def test_any_order_and_batching_keeps_the_first_received_copy(found: list[Entry], random: Any, size: int) -> None:
    """In any order, in any blocks, some of them twice: one row an event, the copy received first, counted once."""
    shuffled = found + found[: len(found) // 2]
    random.shuffle(shuffled)
    model = Model()
    for start in range(0, len(shuffled), size):
        model.load(shuffled[start : start + size])

    expected: dict[bytes, Copy] = rows.first_copies(rows.block(found).copies)
    assert model.stored() == sorted((copy.row for copy in expected.values()), key=lambda row: row[3])
    counted = {tuple(row[:3]): [*row[3:7], *row[8:]] for row in seen_rows(expected.values(), [], 1)}
    assert model.seen == counted
    volumes = Counter((*row[:1], row[4], row[17], row[2] // DAY_MS) for row in model.stored())
    assert {place: events for place, events in model.volumes.items() if events} == volumes


def test_the_order_of_receipt_is_by_the_hybrid_clock() -> None:
    """A copy that is shown as received an hour earlier, but came later, does not take the place of the first."""
    said = [Event(index=0, name="a", uid="u", message_id="m", occurred_at=1)]
    first = an_entry(order=2_000, received_at=9_000, events=said)
    again = an_entry(order=2_001, received_at=5_000, receipt="0" * 32, events=said)
    kept = rows.first_copies(rows.block([again, first]).copies)
    assert [copy.row[14] for copy in kept.values()] == [9_000]


@given(st.integers(1, 2**52), st.integers(0, 2**128 - 1), st.integers(0, 65_535))
def test_a_number_parts_what_was_received_until_then_from_the_rest(at: int, receipt: int, index: int) -> None:
    """By comparing precedences, which a statement of an erasure does."""
    place = rows.precedence(at, receipt.to_bytes(16, "big")) - index
    assert place > rows.precedence_after(at)
    assert place <= rows.precedence_after(at - 1)


def an_entry(**fields: Any) -> Entry:
    defaults = {"app": APP, "receipt": f"{7:032x}", "received_at": 1_700_000_000_000_123, "dialect": "churnkey",
                "verified": True, "key_prefix": "sk"}  # fmt: skip
    return Entry(**(defaults | fields))


def test_every_element_has_an_arrival() -> None:
    """Events, identifies, quarantined and rejected elements are all in the books."""
    made = rows.block(
        [
            an_entry(
                events=[Event(index=0, name="a", uid="u")],
                identifies=[Identify(index=1, uid="u", traits='{"plan":"pro"}')],
                refusals=[
                    Refusal(index=2, code="missing_field", message="…", field="event"),
                    Refusal(index=None, code="bad", message="…", reported=True),
                ],
            )
        ]
    )
    assert [(row[2], row[3], row[9], row[10]) for row in made.arrivals] == [
        ("event", 0, "accepted", ""),
        ("identify", 1, "accepted", ""),
        ("refusal", 2, "quarantined", "missing_field"),
        ("refusal", 0, "rejected", "bad"),
    ]
    assert len(made.quarantined) == 2
    assert len(made.identifies) == 1


def test_only_verified_input_links() -> None:
    """Two identifiers in one event are one customer when a secret key says so, not when a browser does."""
    events = [Event(index=0, name="a", customer_id="c", uid="u", email="E@x.y")]
    links = rows.block([an_entry(events=events)]).links
    assert [(link.one.value, link.other.value) for link in links] == [("c", "u"), ("c", "e@x.y")]
    assert {(link.how, link.source, link.verified) for link in links} == {("carried together", "churnkey", True)}
    assert rows.block([an_entry(events=events, verified=False)]).links == []


def test_a_visitor_becomes_known_by_identify_or_signature() -> None:
    """Whisperr's identify promotes under any key; a signature promotes to the identifier that it is over, alone."""
    known = {"uid": "u", "email": "e@x.y", "anonymous_id": "a"}
    for verified in (True, False):
        entry = an_entry(
            dialect="whisperr", verified=verified, identifies=[Identify(index=3, uid="u", anonymous_id="a")]
        )
        (link,) = rows.block([entry]).links
        assert (link.how, link.verified, link.one.value, link.other.value) == ("promotion", verified, "u", "a")
        assert link.evidence == (entry.received_at, entry.receipt, 3)
    for item in ({"events": [Event(index=0, name="n", **known, signed=True)]},
                 {"identifies": [Identify(index=0, **known, signed=True)]}):  # fmt: skip
        (link,) = rows.block([an_entry(dialect="native", verified=False, **item)]).links
        assert (link.how, link.verified, link.one.value, link.other.value) == ("promotion", True, "u", "a")
    unsigned = an_entry(dialect="native", verified=False, identifies=[Identify(index=0, **known)])
    assert rows.block([unsigned]).links == []


def test_a_customer_id_of_stripe_claims_the_billing_id() -> None:
    """Once a block for each dialect, with the earliest evidence in any order of the entries; only when verified."""
    seen = [Event(index=at, name="a", customer_id="cus_1", uid="u") for at in range(3)]
    later = an_entry(receipt=f"{9:032x}", received_at=9, events=seen)
    first = an_entry(receipt=f"{8:032x}", received_at=8, identifies=[Identify(index=2, customer_id="cus_1")])
    signed = Event(index=1, name="a", customer_id="cus_1", signed=True)
    visit = an_entry(dialect="native", verified=False, events=[signed, Event(index=0, name="a", customer_id="cus_2")])
    for entries in ([later, first, visit], [visit, first, later]):
        links = [link for link in rows.block(entries).links if link.how == "same id"]
        assert sorted((link.source, *link.evidence) for link in links) == [
            ("churnkey", 8, first.receipt, 2), ("native", visit.received_at, visit.receipt, 1),
        ]  # fmt: skip
        pair = Identifier("customer_id", "cus_1"), Identifier("billing_id", "cus_1")
        assert {link.pair for link in links} == {pair}
        assert all(link.automatic and link.verified for link in links)


@pytest.mark.parametrize("value", ["cus_", "Cus_1", "acus_1", "cus_1 ", "cus_1\n", "cus-1", "cus_ü", "42"])
def test_other_customer_ids_claim_nothing(value: str) -> None:
    """Only what has the form of an id at Stripe is one."""
    events = [Event(index=0, name="a", customer_id=value), Event(index=1, name="a", uid="cus_1")]
    assert rows.block([an_entry(events=events)]).links == []


def test_only_what_is_verified_says_something_of_subscriptions() -> None:
    """What anybody may send is counted; so is what cannot be read. An event keeps its facts, whoever sent it."""
    good, bad = (Event(index=0, name="subscription_updated", uid="u", properties=text)
                 for text in (SUBSCRIPTION, '{"source":"native","subscription":"s","status":"odd"}'))  # fmt: skip
    signed = msgspec.structs.replace(good, signed=True)
    for events, verified, facts, problems in (
        ([good], True, 1, []), ([good], False, 0, ["unverified"]), ([signed], False, 1, []), ([bad], True, 0, [ANY]),
    ):  # fmt: skip
        made = rows.block([an_entry(dialect="native", events=events, verified=verified)])
        assert sum(len(copy.facts) for copy in made.copies) == facts
        assert [problem for _, problem in made.unreadable] == problems


def test_rows_have_the_columns_of_the_schema() -> None:
    """The columns that rows are written in are those of the schema files, with the same types, in any order."""
    text = "\n".join(statement + ";" for _, _, statements in migrations() for statement in statements)
    column = r"ALTER TABLE (\w+) (?:MODIFY COLUMN|ADD COLUMN IF NOT EXISTS) `?([\w.]+)`? (.*?)(?: DEFAULT .*?)?;"
    changed = re.findall(column, text, re.DOTALL)
    for name, columns in (COLUMNS | {"customer": profile.COLUMNS, "ledger": ledger.COLUMNS}).items():
        described = re.search(rf"CREATE TABLE IF NOT EXISTS {name} \((.*?)\) ENGINE", text, re.DOTALL)
        assert described
        lines = [
            re.sub(r" (CODEC|SETTINGS) ?\(.*", "", line.strip().removesuffix(",").replace("`", ""))
            for line in described[1].strip().split("\n")
        ]
        types = dict(line.split(" ", 1) for line in lines if not line.startswith("INDEX "))
        types |= {column: altered for table, column, altered in changed if table == name}
        assert types == columns


def test_rows_are_as_long_as_their_columns() -> None:
    """Every table's rows have a value for each column."""
    made = rows.block(
        [
            an_entry(
                dialect="native",
                events=[
                    Event(index=0, name="a", uid="u"),
                    Event(index=1, name="subscription_updated", uid="u", properties=SUBSCRIPTION),
                ],
                identifies=[Identify(index=0, uid="u", traits='{"plan":"pro"}', user_id="p")],
                refusals=[Refusal(index=None, code="bad", message="…")],
            ),
            an_entry(dialect="windback", path="/api/v1/track", events=[Event(index=0, name="b", uid="u")]),
        ]
    )
    events, firsts = rows.event_rows(rows.first_copies(made.copies), {})
    stated, _ = rows.subscription_rows(rows.first_copies(made.copies), {})
    seen = seen_rows(changes(rows.first_copies(made.copies), {}).new, made.identifies, 1)
    volumes = volume_rows(rows.first_copies(made.copies), {}, {})
    found = {"event": events, "first_copy": firsts, "volume": volumes, "arrival": made.arrivals,
             "quarantine": made.quarantined, "identify": made.identifies, "fact": made.facts, "seen": seen,
             "identifier": [*made.identifiers.values()], "subscription_fact": stated, "retry_copy": made.retries,
             "erased_event": rows.erased_event_rows({bytes(16): "app"}, {})}  # fmt: skip
    assert {name: {len(row) for row in table} for name, table in found.items()} == {
        name: {len(columns)} for name, columns in COLUMNS.items()
    }


def test_every_statement_that_fills_seen_names_its_columns() -> None:
    """Of tables that an older version made and newer ones, the columns may not be in one order."""
    source = Path(rows.__file__).parents[1]
    for path in [*source.rglob("*.sql"), *source.rglob("loader/*.py")]:
        assert not re.search(r"INSERT INTO seen\s+SELECT", path.read_text()), path
