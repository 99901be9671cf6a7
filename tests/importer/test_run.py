"""From rows to journal entries: ids, resuming, damage. The journal is a list here; `test_command` uses the real one."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenure import entry as entry_format
from tenure.entry import Entry, Record
from tenure.errors import AlreadyRunning
from tenure.event import Event, Refusal
from tenure.importer import run
from tenure.importer.mapping import FieldMapping
from tenure.importer.row import Damaged
from tenure.importer.run import Import
from tenure.importer.state import Counts, State, fingerprint
from tests.importer.rows import HEADER, reading

APP = "app_0123456789abcdef"


class Silent:
    """A `Watch` that keeps what was refused."""

    def __init__(self) -> None:
        self.refusals: list[Refusal] = []

    def began(self, mapping: FieldMapping) -> None:
        pass

    def reading(self, rows: int, fraction: float) -> None:
        assert 0 <= fraction <= 1

    def waiting(self, entries: int) -> None:
        pass

    def refused(self, refusal: Refusal) -> None:
        self.refusals.append(refusal)


MS = 1_767_225_600_000
"""2026-01-01."""


class Killed(Exception):
    """Stands for the end of the process."""


class FakeDelivery:
    """Keeps entries; `dies_after` appends it raises, having kept them, as a kill before the next commit would."""

    def __init__(self, dies_after: int | None = None) -> None:
        self.payloads: list[bytes] = []
        self._left = dies_after

    def append(self, entries: Sequence[Record], waits: Callable[[int], None]) -> None:
        self.payloads += [entry.payload for entry in entries]
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise Killed

    @property
    def entries(self) -> list[Entry]:
        return [entry_format.decode(payload) for payload in self.payloads]


def bring(directory: Path, file: Path, delivery: FakeDelivery, **wishes: object) -> Counts:
    """One run of an import, until its end or until the delivery dies."""
    how = reading(**wishes)
    source, mapping = how.open(file)
    state = State(directory, APP, file, fingerprint(file, how))
    try:
        Import(APP, source, mapping, state, Silent()).read(delivery)  # type: ignore[arg-type]
        return state.counts
    finally:
        state.close()
        source.close()


def rows_file(directory: Path, rows: Sequence[Sequence[object]], name: str = "rows.csv") -> Path:
    directory.mkdir(exist_ok=True)
    file = directory / name
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow([*HEADER.split(","), "n"])
        writer.writerows(rows)
    return file


def message_ids(delivery: FakeDelivery) -> Counter[str | None]:
    return Counter(event.message_id for entry in delivery.entries for event in entry.events)


@pytest.fixture
def small_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries of few rows, so that a small file makes many."""
    monkeypatch.setattr(run, "ENTRY_ROWS", 7)
    monkeypatch.setattr(run, "APPEND_ENTRIES", 2)
    monkeypatch.setattr(run, "COMMIT_APPENDS", 3)


ROW = st.tuples(
    st.sampled_from(["login", "é"]),
    st.sampled_from(["2026-01-01", "2026-01-01T00:00:00Z", "1700000000", "never"]),
    st.sampled_from(["a", "b", ""]),
    st.sampled_from(["", "1", "1.0", "01", "x,y", 'q"']),
)


@given(rows=st.lists(ROW, max_size=40), random=st.randoms())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@pytest.mark.usefixtures("small_entries")
def test_order_changes_no_id(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]], random: object
) -> None:
    """Any order of the same rows, doubled ones included, gives the same ids; rows that are added keep them all."""
    directory = tmp_path_factory.mktemp("rows")
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    found = []
    for name, content in (("one.csv", rows), ("two.csv", shuffled), ("three.csv", [*rows, *shuffled])):
        delivery = FakeDelivery()
        bring(directory / "state", rows_file(directory, content, name), delivery)
        found.append(message_ids(delivery))
    assert found[0] == found[1]
    assert found[0] <= found[2]
    assert all(times == 1 for ids in found for times in ids.values())


def test_equal_rows_are_different_events(tmp_path: Path) -> None:
    """Rows with the same content are counted; one that differs in a property alone begins a count of its own."""
    same, other = ("e", "2026-01-01", "a", 1), ("e", "2026-01-01", "a", 2)
    delivery = FakeDelivery()
    bring(tmp_path / "state", rows_file(tmp_path, [same, other, same, same]), delivery)
    ids = [event.message_id or "" for event in delivery.entries[0].events]
    assert [id.rsplit(":")[-1] for id in ids] == ["0", "0", "1", "2"]
    assert len({id.split(":")[1] for id in ids}) == 2


def test_an_id_of_its_own_is_kept(tmp_path: Path) -> None:
    """A row with a message id has that one, so that it is the same event when a client sends it."""
    delivery = FakeDelivery()
    file = rows_file(tmp_path, [("e", "2026-01-01", "a", "m-1"), ("e", "2026-01-01", "a", "")])
    bring(tmp_path / "state", file, delivery, columns={"message_id": "n"})
    first, second = delivery.entries[0].events
    assert first.message_id == "m-1"
    assert (second.message_id or "").startswith("import:")


@pytest.mark.usefixtures("small_entries")
def test_entries_hold_every_row_once(tmp_path: Path) -> None:
    """Entries are of one app, verified, numbered from 0 within each; rows and refusals keep the file's order."""
    rows = [("e", "never" if n % 5 == 0 else "2026-01-01", f"c{n}", n) for n in range(100)]
    delivery = FakeDelivery()
    counts = bring(tmp_path / "state", rows_file(tmp_path, rows), delivery)
    assert counts == Counts(rows=100, events=80, refused={"invalid_time": 20}, entries=15, first_at=MS, last_at=MS)
    seen = []
    for entry in delivery.entries:
        assert (entry.app, entry.dialect, entry.verified, entry.key_prefix) == (APP, "import", True, "")
        items: list[Event | Refusal] = sorted([*entry.events, *entry.refusals], key=lambda item: item.index or 0)
        assert [item.index for item in items] == list(range(len(items)))
        seen += [item.customer_id if isinstance(item, Event) else item.message.split(":")[0] for item in items]
    assert seen == [f"line {n + 2}" if n % 5 == 0 else f"c{n}" for n in range(100)]
    receipts = [entry.receipt for entry in delivery.entries]
    assert receipts == sorted(set(receipts))


def test_large_rows_make_small_entries(tmp_path: Path) -> None:
    """An entry ends when it is large, however few its rows."""
    delivery = FakeDelivery()
    rows = [("e", "2026-01-01", "a", "x" * 600_000) for _ in range(5)]
    bring(tmp_path / "state", rows_file(tmp_path, rows), delivery)
    assert [len(entry.events) for entry in delivery.entries] == [2, 2, 1]


@pytest.mark.usefixtures("small_entries")
@pytest.mark.parametrize("dies_after", range(9))
def test_what_is_appended_again_is_the_same(tmp_path: Path, dies_after: int) -> None:
    """Killed after any append and started again, an import repeats entries only to the last byte, and ends equal."""
    file = rows_file(tmp_path, [("e", "2026-01-01", f"c{n % 9}", n % 4) for n in range(120)])
    first, second = FakeDelivery(dies_after), FakeDelivery()
    with pytest.raises(Killed):
        bring(tmp_path / "state", file, first)
    counts = bring(tmp_path / "state", file, second)
    assert counts == Counts(rows=120, events=120, entries=18, first_at=MS, last_at=MS)
    assert len({entry.receipt: None for entry in first.entries + second.entries}) == 18
    assert len(set(first.payloads + second.payloads)) == 18
    whole = FakeDelivery()
    bring(tmp_path / "elsewhere", file, whole)
    assert message_ids(whole) == Counter({e.message_id for d in (first, second) for x in d.entries for e in x.events})


@pytest.mark.usefixtures("small_entries")
def test_a_file_that_changed_is_read_from_its_beginning(tmp_path: Path) -> None:
    """What was interrupted is resumed only with the very same file and options; ids stay equal all the same."""
    rows = [("e", "2026-01-01", f"c{n}", n) for n in range(120)]
    file = rows_file(tmp_path, rows)
    with pytest.raises(Killed):
        bring(tmp_path / "state", file, first := FakeDelivery(4))
    file = rows_file(tmp_path, [("e", "2026-01-02", "new", 0), *rows])
    second = FakeDelivery()
    assert bring(tmp_path / "state", file, second).rows == 121
    assert set(message_ids(first)) < set(message_ids(second))
    third = FakeDelivery()
    assert bring(tmp_path / "state", file, third, properties=("name",)).rows == 121
    assert len(third.entries) == 18
    assert not set(message_ids(third)) & set(message_ids(second))


def test_one_import_of_a_file_at_a_time(tmp_path: Path) -> None:
    """A second process on the same file is refused; one on another file, or into another app, is not."""
    file = rows_file(tmp_path, [])
    state = State(tmp_path / "state", APP, file, "x")
    with pytest.raises(AlreadyRunning, match="another import of"):
        State(tmp_path / "state", APP, file, "x")
    State(tmp_path / "state", "app_fedcba9876543210", file, "x").close()
    state.remove()
    assert len(list((tmp_path / "state").iterdir())) == 1


@pytest.mark.usefixtures("small_entries")
def test_what_comes_before_damage_is_taken(tmp_path: Path) -> None:
    """Every row that can be read is appended before the damage is reported, the last entry being a short one."""
    plain = rows_file(tmp_path, [("e", "2026-01-01", f"customer {n * 7919 % 9973}", n) for n in range(3_000)])
    file = tmp_path / "rows.csv.gz"
    file.write_bytes(gzip.compress(plain.read_bytes())[:-3_000])
    delivery = FakeDelivery()
    with pytest.raises(Damaged, match="cannot be read after line") as raised:
        bring(tmp_path / "state", file, delivery)
    taken = sum(len(entry.events) for entry in delivery.entries)
    assert f"after line {taken + 1}:" in str(raised.value)
    assert taken > 1_000
