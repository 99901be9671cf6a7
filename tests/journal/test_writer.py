"""The journal keeps what it acknowledged, in order, once, and only as much as it may."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from tenure.entry import Record
from tenure.errors import Unavailable
from tenure.journal import GroupCommit, Journal, JournalReader, Loaded, prune_unclaimed, readers

ROOM = 10**9


def test_rows_come_back_in_order_and_intact(tmp_path: Path) -> None:
    """What was appended is read in the order of its commits."""
    journal = Journal.claim(tmp_path, ROOM)
    journal.append([Record("a", b"one"), Record("b", b"two")])
    journal.append([Record("c", b"three")])
    rows = JournalReader(journal.path).read(0)
    assert [(row.position, row.receipt, row.payload, row.intact) for row in rows] == [
        (1, "a", b"one", True),
        (2, "b", b"two", True),
        (3, "c", b"three", True),
    ]


def test_reader_stops_at_a_size_but_gives_at_least_one_row(tmp_path: Path) -> None:
    """A block is bounded in bytes, and a row larger than the bound is still read."""
    journal = Journal.claim(tmp_path, ROOM)
    journal.append([Record("a", b"x" * 100), Record("b", b"y" * 100)])
    reader = JournalReader(journal.path)
    assert [row.receipt for row in reader.read(0, max_bytes=10)] == ["a"]
    assert [row.receipt for row in reader.read(1, max_bytes=10)] == ["b"]
    assert [row.receipt for row in reader.read(0, max_bytes=200)] == ["a", "b"]


@pytest.mark.rule("durable", "all")
def test_commit_is_synchronous_and_in_wal_mode(tmp_path: Path) -> None:
    """The two settings that make an acknowledgement true are in force."""
    journal = Journal.claim(tmp_path, ROOM)
    assert journal._db.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
    assert journal._db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_damaged_row_is_recognised(tmp_path: Path) -> None:
    """A payload that does not match its checksum is not taken for intact."""
    journal = Journal.claim(tmp_path, ROOM)
    journal.append([Record("a", b"good"), Record("b", b"good")])
    journal.close()
    with sqlite3.connect(journal.path) as db:
        db.execute("UPDATE entry SET payload = x'00' WHERE position = 2")
    assert [row.intact for row in JournalReader(journal.path).read(0)] == [True, False]


def test_full_journal_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    """Over its bound the journal answers with a retryable refusal and adds nothing."""
    journal = Journal.claim(tmp_path, 10)
    journal.append([Record("a", b"12345678")])
    with pytest.raises(Unavailable) as refused:
        journal.append([Record("b", b"12345678")])
    assert refused.value.retry_after
    assert refused.value.code == "journal_full"
    assert [row.receipt for row in JournalReader(journal.path).read(0)] == ["a"]


def test_only_loaded_rows_are_pruned_and_make_room(tmp_path: Path) -> None:
    """Rows leave when the loader has marked them, and then a full journal takes requests again."""
    journal = Journal.claim(tmp_path, 20)
    journal.append([Record("a", b"12345678"), Record("b", b"12345678")])
    assert journal.prune() == 0
    Loaded({journal.id: 1}).write(tmp_path)
    journal.append([Record("c", b"12345678")])
    assert [row.receipt for row in JournalReader(journal.path).read(0)] == ["b", "c"]
    assert (journal.rows, journal.bytes) == (2, 16)


def test_positions_are_never_used_twice(tmp_path: Path) -> None:
    """A journal that was pruned empty goes on counting, or the loader would take new rows for old ones."""
    journal = Journal.claim(tmp_path, ROOM)
    journal.append([Record("a", b"x")])
    Loaded({journal.id: 1}).write(tmp_path)
    journal.prune()
    journal.close()
    journal = Journal.claim(tmp_path, ROOM)
    journal.append([Record("b", b"x")])
    assert [row.position for row in JournalReader(journal.path).read(0)] == [2]


def test_each_writer_has_its_own_slot(tmp_path: Path) -> None:
    """Two writers never share a file, and a slot that was given free is taken again."""
    first, second = Journal.claim(tmp_path, ROOM), Journal.claim(tmp_path, ROOM)
    assert (first.slot, second.slot) == (0, 1)
    first.close()
    assert Journal.claim(tmp_path, ROOM).slot == 0


def test_unclaimed_journals_are_pruned_and_claimed_ones_left(tmp_path: Path) -> None:
    """What a writer that is gone has left behind is removed once it is loaded."""
    gone, alive = Journal.claim(tmp_path, ROOM), Journal.claim(tmp_path, ROOM)
    gone.append([Record("a", b"x")])
    alive.append([Record("b", b"x")])
    Loaded({gone.id: 1, alive.id: 1}).write(tmp_path)
    gone.close()
    prune_unclaimed(tmp_path)
    assert [len(reader.read(0)) for reader in readers(tmp_path)] == [0, 1]


def test_what_is_loaded_survives_in_its_file(tmp_path: Path) -> None:
    """Positions and the plan are read back as they were written; a missing file means nothing is loaded."""
    assert Loaded.read(tmp_path) == Loaded()
    written = Loaded({"j": 7}, {"j": (7, 9)})
    written.write(tmp_path)
    assert Loaded.read(tmp_path) == written


@pytest.mark.rule("durable", "all")
@pytest.mark.rule("overload", "all")
def test_a_failing_disk_is_a_refusal(tmp_path: Path) -> None:
    """When SQLite cannot write (here: the file may not grow), the request is refused, not half kept."""
    journal = Journal.claim(tmp_path, ROOM)
    journal._db.execute("PRAGMA max_page_count = 10")
    with pytest.raises(Unavailable) as refused:
        journal.append([Record("a", b"x" * 1_000_000)])
    assert refused.value.code == "journal_failed"
    assert "the disk refuses" in (journal.refusing or "")
    journal._db.execute("PRAGMA max_page_count = 100000")
    journal.append([Record("b", b"x")])
    assert [row.receipt for row in JournalReader(journal.path).read(0)] == ["b"]


def test_concurrent_appends_share_commits(tmp_path: Path) -> None:
    """A hundred concurrent requests are all kept, in far fewer commits than a hundred."""

    async def scenario() -> int:
        group = GroupCommit(Journal.claim(tmp_path, ROOM))
        commits = 0
        append = group.journal.append

        def counted(entries: list[Record]) -> None:
            nonlocal commits
            commits += 1
            append(entries)

        group.journal.append = counted  # type: ignore[method-assign]
        await asyncio.gather(*(group.append(Record(str(number), b"x")) for number in range(100)))
        group.close()
        return commits

    assert asyncio.run(scenario()) < 20
    assert {row.receipt for row in readers(tmp_path)[0].read(0)} == {str(number) for number in range(100)}


def test_refusal_of_a_group_reaches_every_request_of_it(tmp_path: Path) -> None:
    """When the journal is full each waiting request is told, and the writer goes on serving."""

    async def scenario() -> list[BaseException | None]:
        group = GroupCommit(Journal.claim(tmp_path, 5))
        results = await asyncio.gather(
            *(group.append(Record("r", b"123456")) for _ in range(3)), return_exceptions=True
        )
        await group.append(Record("small", b"1"))
        group.close()
        return results

    assert all(isinstance(result, Unavailable) for result in asyncio.run(scenario()))


def test_request_whose_client_went_away_is_kept(tmp_path: Path) -> None:
    """A cancelled wait does not undo the commit, nor disturb the requests beside it."""

    async def scenario() -> None:
        group = GroupCommit(Journal.claim(tmp_path, ROOM))
        gone = asyncio.create_task(group.append(Record("gone", b"x")))
        stays = asyncio.create_task(group.append(Record("stays", b"x")))
        await asyncio.sleep(0)
        gone.cancel()
        await stays
        group.close()

    asyncio.run(scenario())
    assert {row.receipt for row in readers(tmp_path)[0].read(0)} == {"gone", "stays"}


def test_a_scrub_frees_the_files_of_what_is_pruned(tmp_path: Path) -> None:
    """What was loaded is in the files still after pruning, and after a scrub in none; what waits stays."""
    journal = Journal.claim(tmp_path, ROOM)
    journal.append([Record("a", b"canary" * 1_000), Record("b", b"waits")])
    Loaded({journal.id: 1}).write(tmp_path)
    assert journal.prune() == 1
    assert journal.scrub()
    assert has_bytes(tmp_path, b"canary")
    Loaded({journal.id: 1}, scrub=7).write(tmp_path)
    assert journal.scrub()
    assert not has_bytes(tmp_path, b"canary")
    reader = JournalReader(journal.path)
    assert ([row.payload for row in reader.read(0)], reader.scrubbed()) == ([b"waits"], 7)
    journal.append([Record("c", b"later")])
    assert reader.last() == 3


def test_a_scrub_waits_for_pruning_and_for_readers(tmp_path: Path) -> None:
    """It is not done while something that is loaded is there, or a reader keeps the log from being emptied."""
    journal = Journal.claim(tmp_path, ROOM)
    journal.append([Record("a", b"canary"), Record("b", b"waits")])
    Loaded({journal.id: 1}, scrub=1).write(tmp_path)
    assert not journal.scrub()
    journal.prune()
    with sqlite3.connect(journal.path, isolation_level=None) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM entry").fetchall()
        assert not journal.scrub()
        reader.execute("COMMIT")
    assert journal.scrub()
    assert not has_bytes(tmp_path, b"canary")


def test_journals_of_the_dead_are_scrubbed_too(tmp_path: Path) -> None:
    """Whoever prunes an abandoned journal also frees its file."""
    journal = Journal.claim(tmp_path, ROOM)
    journal.append([Record("a", b"canary")])
    journal.close()
    Loaded({journal.id: 1}, scrub=1).write(tmp_path)
    prune_unclaimed(tmp_path)
    assert not has_bytes(tmp_path, b"canary")


def has_bytes(directory: Path, sought: bytes) -> bool:
    return any(sought in path.read_bytes() for path in directory.glob("*.sqlite*"))
