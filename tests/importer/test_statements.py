"""`tenure import --subscriptions`: what a row of a file says of a subscription."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tenure import entry as entry_format
from tenure.errors import ImportInvalid
from tenure.event import Event, Refusal
from tenure.identity import event_ids
from tenure.importer.job import Reading
from tenure.importer.mapping import Wishes
from tenure.importer.open_file import Form
from tenure.importer.run import Import
from tenure.importer.state import State, fingerprint
from tenure.subscriptions.fact import Fact
from tenure.subscriptions.sources import facts
from tenure.subscriptions.state import timeline
from tests.importer.rows import item
from tests.importer.test_run import APP, FakeDelivery, Silent

HEADER = ["customer_id", "subscription_id", "effective_at", "status", "plan", "amount", "currency", "interval"]
ROW = ["cus_1", "sub_1", "2026-01-01", "active", "pro", "4900", "USD", "month"]


def reading(**wishes: Any) -> Reading:
    return Reading(form=Form(), wishes=Wishes(**wishes), subscriptions=True)


def csv_file(directory: Path, *rows: Sequence[str], header: Sequence[str] = HEADER) -> Path:
    directory.mkdir(exist_ok=True)
    file = directory / "rows.csv"
    with file.open("w", newline="") as opened:
        csv.writer(opened).writerows([header, *rows])
    return file


def take(file: Path, **wishes: Any) -> list[Event | Refusal]:
    source, mapping = reading(**wishes).open(file)
    try:
        return [item(mapping.take(row, index)) for index, row in enumerate(source.rows(0))]
    finally:
        source.close()


def fact(item: Event | Refusal) -> Fact:
    assert isinstance(item, Event), item
    (found,) = facts("import", item, 0).facts
    return found


def refused(item: Event | Refusal) -> tuple[str, str | None, str]:
    assert isinstance(item, Refusal), item
    return item.code, item.field, item.message


def test_a_row_is_a_statement(tmp_path: Path) -> None:
    """Flat columns give the fields and the one item; an empty cell says nothing; the other columns are kept."""
    header = [*HEADER, "quantity", "interval_count", "ended_at", "reason", "Sales Rep"]
    (item,) = take(csv_file(tmp_path, [*ROW, "3", "2", "", "", "Ada"], header=header))
    said = fact(item).said
    assert isinstance(item, Event)
    assert (item.name, item.customer_id, item.context) == ("subscription_updated", "cus_1", '{"Sales Rep":"Ada"}')
    assert (fact(item).source, fact(item).subscription) == ("native", "sub_1")
    assert set(said) == {"status", "currency", "items"}
    (line,) = said["items"]
    assert (line.plan, line.amount, line.quantity, line.unit, line.count) == ("pro", 4900, 3, "month", 2)


def test_amounts_in_units_are_exact(tmp_path: Path) -> None:
    """With --amounts units decimals become smallest units of the row's currency, and are never rounded."""
    written = [("49.90", "USD"), ("4900", "jpy"), ("1.234", "KWD"), ("0.1", "EUR"), ("92233720368547758.07", "USD"),
               ("49.999", "USD"), ("1,000", "USD"), ("1e3", "USD"), ("49", ""), ("49", "dollars")]  # fmt: skip
    rows = [[*ROW[:5], amount, currency, "month"] for amount, currency in written]
    items = take(csv_file(tmp_path, *rows), amounts="units")
    assert [fact(item).said["items"][0].amount for item in items[:5]] == [4990, 4900, 1234, 10, 2**63 - 1]
    assert [refused(item)[:2] for item in items[5:]] == [
        ("amount_not_exact", "amount"),
        ("invalid_value", "amount"),
        ("invalid_value", "amount"),
        ("missing_field", "currency"),
        ("invalid_value", "currency"),
    ]


@pytest.mark.parametrize("amount", ["49.90", "49.00", "1,000", "$49", "4900.0"])
def test_decimals_are_not_taken_for_smallest_units(tmp_path: Path, amount: str) -> None:
    """Without --amounts units a decimal is refused, a round one too: it would be a hundredth of what was meant."""
    (item,) = take(csv_file(tmp_path, [*ROW[:5], amount, "USD", "month"]))
    assert refused(item)[:2] == ("wrong_type", "items[0].amount")


def test_a_row_that_says_too_little_or_wrong(tmp_path: Path) -> None:
    """Each is refused with its line, and costs the rows beside it nothing."""
    rows = [
        ["", *ROW[1:]],
        [ROW[0], "", *ROW[2:]],
        [*ROW[:2], "", *ROW[3:]],
        [*ROW[:2], "soon", *ROW[3:]],
        [*ROW[:3], "cancelled", *ROW[4:]],
        [*ROW[:5], "", "USD", "month"],
        [*ROW[:7], "fortnight"],
        [*ROW[:3], "", "", "", "", ""],
        ROW,
    ]
    *bad, good = take(csv_file(tmp_path, *rows))
    assert [refused(item)[:2] for item in bad] == [
        ("missing_field", "customer_id"),
        ("missing_field", "subscription"),
        ("missing_field", "effective_at"),
        ("invalid_time", "effective_at"),
        ("invalid_value", "status"),
        ("missing_field", "items[0].amount"),
        ("invalid_value", "items[0].interval"),
        ("missing_field", "status"),
    ]
    assert refused(bad[0])[2].startswith("line 2: ")
    assert fact(good).said["status"] == "active"


def test_times_in_a_form_of_ones_own(tmp_path: Path) -> None:
    """--time-format is that of every time in the row."""
    header = ["uid", "subscription", "effective_at", "ended_at"]
    file = csv_file(tmp_path, ["u", "s", "31.01.2026", "15.01.2026"], ["u", "s", "31.01.2026", "soon"], header=header)
    good, bad = take(file, time_format="%d.%m.%Y")
    assert (fact(good).effective_at, fact(good).said) == (1_769_817_600_000, {"ended_at": 1_768_435_200_000})
    assert refused(bad)[:2] == ("invalid_time", "ended_at")


def test_json_lines_and_parquet(tmp_path: Path) -> None:
    """Null clears a field in JSON; whole numbers that a data frame made floats are ids and counts, but no amounts."""
    row: dict[str, Any] = dict(zip(HEADER, ROW, strict=True)) | {"amount": 4990, "ended_at": None, "plan": None}
    lines = tmp_path / "rows.jsonl"
    priced = row | {"amount": 49.9, "subscription_id": 7.0}
    lines.write_text("\n".join(json.dumps(each) for each in (row, priced, row | {"amount": 49.0})))
    first, second, third = take(lines)
    assert fact(first).said["ended_at"] is None
    assert fact(first).said["items"][0].plan is None
    assert refused(second)[0] == refused(third)[0] == "wrong_type"
    _, second, _ = take(lines, amounts="units")
    assert (fact(second).subscription, fact(second).said["items"][0].amount) == ("7", 4990)
    table = {"uid": [7.0], "subscription": ["s"], "effective_at": [pa.scalar(0, pa.timestamp("ms", "UTC"))],
             "amount": [pa.scalar("1234.5", pa.string())], "interval": ["year"], "currency": ["eur"],
             "quantity": [2.0]}  # fmt: skip
    pq.write_table(pa.table(table), tmp_path / "rows.parquet")
    (item,) = take(tmp_path / "rows.parquet", amounts="units")
    assert isinstance(item, Event)
    assert (item.uid, item.occurred_at) == ("7", 0)
    (line,) = fact(item).said["items"]
    assert (line.amount, line.quantity, line.unit) == (123_450, 2, "year")


def test_what_a_file_must_give(tmp_path: Path) -> None:
    """Without a column for the subscription, the time or the customer nothing is read; --set gives a time for all."""
    with pytest.raises(ImportInvalid, match="no column gives subscription or effective_at or the customer"):
        take(csv_file(tmp_path, ["active"], header=["status"]))
    with pytest.raises(ImportInvalid, match="there is no field 'name'"):
        take(csv_file(tmp_path, ROW), constants={"name": "x"})
    file = csv_file(tmp_path, ["u", "s", "active"], header=["uid", "subscription", "state"])
    wishes = {"columns": {"status": "state"}, "constants": {"effective_at": "2026-01-31", "source": "erp"}}
    (item,) = take(file, **wishes)
    assert (fact(item).source, fact(item).effective_at) == ("erp", 1_769_817_600_000)


def ids(directory: Path, rows: list[list[str]]) -> set[bytes]:
    """The ids of the events that an import of these rows makes."""
    file = csv_file(directory, *rows, header=[*HEADER, "note"])
    how, delivery = reading(), FakeDelivery()
    source, mapping = how.open(file)
    state = State(directory, APP, file, fingerprint(file, how))
    try:
        Import(APP, source, mapping, state, Silent()).read(delivery)  # type: ignore[arg-type]
    finally:
        state.remove()
        source.close()
    return {each for payload in delivery.payloads for each in _ids(entry_format.decode(payload))}


def _ids(entry: entry_format.Entry) -> list[bytes]:
    return event_ids(entry)


def test_a_file_is_recognised_in_any_order(tmp_path: Path) -> None:
    """Rows are told by what they say, unread columns included, and by how often: a shuffled file is known again."""
    rows = [["c", str(amount), *ROW[2:5], str(amount), *ROW[6:], note] for amount in (100, 200) for note in ("a", "b")]
    rows += [rows[0]]
    shuffled = [*rows, [*ROW, "new"]]
    Random(1).shuffle(shuffled)
    first = ids(tmp_path / "one", rows)
    assert len(first) == 5
    assert first < ids(tmp_path / "two", shuffled)


def test_compressed_files_too(tmp_path: Path) -> None:
    """The readers are those of every import."""
    file = csv_file(tmp_path, ROW)
    packed = tmp_path / "rows.csv.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    assert take(packed) == take(file)


def items_of(
    directory: Path, *rows: Sequence[str], header: Sequence[str] = HEADER
) -> list[tuple[str | None, int | None]]:
    """The plans and amounts that the rows of a file come to in the end."""
    found = [each for row in take(csv_file(directory, *rows, header=header)) for each in [fact(row)]]
    state = timeline([msgspec.structs.replace(each, place=f"{place:032x}") for place, each in enumerate(found)])[
        -1
    ].state
    return sorted(((item.plan, item.amount) for item in state.items or ()), key=str)


def test_rows_of_one_statement_are_its_items(tmp_path: Path) -> None:
    """Two rows of one subscription and time, next to each other or apart, are two items; the same row counts once."""
    addon = [*ROW[:4], "addon", "1000", *ROW[6:]]
    other = ["cus_2", "sub_2", *ROW[2:]]
    both = [("addon", 1000), ("pro", 4900)]
    assert items_of(tmp_path, ROW, addon) == both
    assert items_of(tmp_path, ROW, addon, ROW, addon) == both
    header = [name for name in HEADER if name != "plan"]
    rows = [[value for name, value in zip(HEADER, row, strict=True) if name != "plan"] for row in (ROW, addon)]
    assert items_of(tmp_path, *rows, header=header) == [(None, 1000), (None, 4900)]
    told = [fact(row) for row in take(csv_file(tmp_path, ROW, other, addon))]
    assert [sorted(item.amount or 0 for item in each.items or ()) for each in told] == [
        [1000, 4900],
        [4900],
        [1000, 4900],
    ]
    assert ids(tmp_path / "one", [[*row, ""] for row in (ROW, other, addon)]) == ids(
        tmp_path / "two", [[*row, ""] for row in (addon, ROW, other)]
    )


def test_rows_of_another_time_sequence_or_customer_are_statements_of_their_own(tmp_path: Path) -> None:
    """Versions of a subscription replace each other."""
    later = [*ROW[:2], "2026-02-01", *ROW[3:5], "5900", *ROW[6:]]
    assert items_of(tmp_path, ROW, later) == [("pro", 5900)]
    header = [*HEADER, "sequence"]
    assert items_of(tmp_path, [*ROW, "2"], [*ROW[:5], "1", *ROW[6:], "1"], header=header) == [("pro", 4900)]
    told = [fact(row) for row in take(csv_file(tmp_path, ROW, ["cus_2", *ROW[1:5], "100", *ROW[6:]]))]
    assert [len(each.items or ()) for each in told] == [1, 1]
