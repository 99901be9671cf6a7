"""Which copy of an event is kept does not depend on the order in which copies are loaded."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tenure.entry import Entry
from tenure.event import Event, Identify, Refusal
from tenure.loader import rows
from tenure.loader.rows import Copy, Kept
from tenure.warehouse.migrate import migrations

APP = "app_0000000000000001"

entries = st.builds(
    Entry,
    app=st.just(APP),
    receipt=st.integers(1, 2**60).map(lambda n: f"{n:032x}"),
    received_at=st.integers(1, 5),
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
            occurred_at=st.sampled_from([None, 1_000, 2_000]),
            precise=st.just(True),
        ),
        min_size=1,
        max_size=1,
    ),
)


class Model:
    """The `event` and `first_copy` tables as ReplacingMergeTree reads them with FINAL."""

    def __init__(self) -> None:
        self.events: dict[tuple[Any, ...], tuple[int, tuple[Any, ...]]] = {}
        self.first: dict[bytes, Kept] = {}

    def load(self, found: list[Entry]) -> None:
        events, firsts = rows.event_rows(rows.first_copies(rows.block(found).copies), self.first)
        for row in events:
            place, order = (row[1], row[2], row[3]), row[18]
            if place not in self.events or order >= self.events[place][0]:
                self.events[place] = (order, row)
        for event_id, _, order, _, _, _, key, occurred_at in firsts:
            self.first[event_id] = Kept(order, key, occurred_at)

    def stored(self) -> list[tuple[Any, ...]]:
        return sorted((row for _, row in self.events.values() if not row[-1]), key=lambda row: row[3])


@given(st.lists(entries, max_size=6, unique_by=lambda e: e.receipt), st.randoms(), st.integers(1, 4))
def test_any_order_and_batching_keeps_the_first_received_copy(found: list[Entry], random: Any, size: int) -> None:
    """Loaded in any order, in any blocks, some of them twice: one row an event, the copy received first."""
    shuffled = found + found[: len(found) // 2]
    random.shuffle(shuffled)
    model = Model()
    for start in range(0, len(shuffled), size):
        model.load(shuffled[start : start + size])

    expected: dict[bytes, Copy] = rows.first_copies(rows.block(found).copies)
    assert model.stored() == sorted((copy.row for copy in expected.values()), key=lambda row: row[3])


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
    assert rows.block([an_entry(events=events, verified=False)]).links == []


def test_rows_have_the_columns_of_the_schema() -> None:
    """The columns that rows are written in are those of the schema files, with the same types, in any order."""
    text = "\n".join(statement + ";" for _, _, statements in migrations() for statement in statements)
    changed = re.findall(r"ALTER TABLE (\w+) MODIFY COLUMN (\w+) (.*?);", text, re.DOTALL)
    for name, columns in rows.COLUMNS.items():
        described = re.search(rf"CREATE TABLE IF NOT EXISTS {name} \((.*?)\) ENGINE", text, re.DOTALL)
        assert described
        lines = [re.sub(r" CODEC\(.*", "", line.strip().removesuffix(",")) for line in described[1].strip().split("\n")]
        types = dict(line.split(" ", 1) for line in lines)
        types |= {column: altered for table, column, altered in changed if table == name}
        assert types == columns


def test_rows_are_as_long_as_their_columns() -> None:
    """Every table's rows have a value for each column."""
    made = rows.block(
        [
            an_entry(
                events=[Event(index=0, name="a", uid="u")],
                identifies=[Identify(index=0, uid="u")],
                refusals=[Refusal(index=None, code="bad", message="…")],
            )
        ]
    )
    events, firsts = rows.event_rows(rows.first_copies(made.copies), {})
    found = {"event": events, "first_copy": firsts, "arrival": made.arrivals, "quarantine": made.quarantined,
             "identify": made.identifies, "erased_event": rows.erased_event_rows({bytes(16): "app"}, {})}  # fmt: skip
    assert {name: {len(row) for row in table} for name, table in found.items()} == {
        name: {len(columns)} for name, columns in rows.COLUMNS.items()
    }
