"""A journal that is malformed, damaged in its log, older than it was, or gone loses no more than it must."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tenure import entry as entries
from tenure.entry import Record
from tenure.journal import (
    Aside,
    GroupCommit,
    Journal,
    Loaded,
    asides,
    counted_aside,
    open_all,
    prune_unclaimed,
    readers,
)
from tests.journal.test_received import an_entry

ROOM = 10**9
PAGE = 4096


def fill(directory: Path, numbers: range, payload: int = 300) -> Journal:
    """A journal with an entry for each number, each appended by itself."""
    journal = Journal.claim(directory, ROOM)
    for number in numbers:
        append(journal, number, payload)
    return journal


def append(journal: Journal, number: int, payload: int = 300) -> None:
    """Append an entry with so many bytes of payload; with 0, as it really is."""
    content = bytes([number % 251]) * payload if payload else entries.encode(an_entry(number))
    journal.append([Record(f"{number:032x}", content, entries.tally(an_entry(number)))])


def abandon(directory: Path, count: int, payload: int = 300) -> str:
    """Have another process append entries and be killed, so that all is in the log; returns the journal's id."""
    code = (
        "import sys; from pathlib import Path; from tests.journal.test_aside import fill; import os, signal;"
        "journal = fill(Path(sys.argv[1]), range(1, int(sys.argv[2]) + 1), int(sys.argv[3]));"
        "print(journal.id, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(directory), str(count), str(payload)], stdout=subprocess.PIPE, check=False
    )
    return done.stdout.decode().strip()


def held(directory: Path) -> set[str]:
    """The receipts in all journals that are read."""
    return {row.receipt for reader in readers(directory) for row in reader.read(0, max_bytes=2**40)}


def flip(path: Path, at: int, bit: int = 3) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << bit
    path.write_bytes(content)


def receipts(*numbers: int) -> set[str]:
    return {f"{number:032x}" for number in numbers}


@pytest.mark.parametrize("fraction", [0.0, 0.15, 0.4, 0.7, 0.98])
def test_a_bit_flip_in_the_log_loses_no_more_than_what_it_hits(tmp_path: Path, fraction: float) -> None:
    """SQLite drops every frame after the damaged one; they are read all the same, into another journal."""
    name = abandon(tmp_path, 60)
    log = tmp_path / "0.sqlite-wal"
    flip(log, int(fraction * (log.stat().st_size - 1)))
    journal = Journal.claim(tmp_path, ROOM, lambda known: 60 if known == name else 0)
    found = held(tmp_path)
    assert len(found) >= 59
    lost = sum(aside.lost for aside in asides(tmp_path))
    assert lost == 60 - len(found)
    assert journal.slot == 1 or len(found) == 60


def test_the_loader_may_be_the_first_to_open_a_damaged_log(tmp_path: Path) -> None:
    """A reader that opens it, and closes it as the last one, does not remove what SQLite left out."""
    name = abandon(tmp_path, 40)
    flip(tmp_path / "0.sqlite-wal", 40_000)
    for reader in readers(tmp_path):
        reader.close()
    Journal.claim(tmp_path, ROOM, lambda known: 40 if known == name else 0)
    assert len(held(tmp_path)) >= 39


def test_a_log_that_ends_in_the_middle_of_a_commit_is_whole(tmp_path: Path) -> None:
    """What a kill leaves of a transaction that was never acknowledged is no damage."""
    name = abandon(tmp_path, 20)
    log = tmp_path / "0.sqlite-wal"
    with log.open("r+b") as file:
        file.truncate(log.stat().st_size - 100)
    journal = Journal.claim(tmp_path, ROOM, lambda known: 19 if known == name else 0)
    assert (journal.slot, journal.position) == (0, 19)
    assert asides(tmp_path) == []


def test_a_transaction_whose_writer_was_killed_before_it_told_others_is_no_damage(tmp_path: Path) -> None:
    """Its frames are whole in the log, and the index, which another process keeps open, does not name them."""
    code = (
        "import os, signal, sys; from pathlib import Path; from tenure.journal import JournalReader;"
        "from tests.journal.test_aside import fill; directory = Path(sys.argv[1]); index = directory / '0.sqlite-shm';"
        "journal = fill(directory, range(1, 21)); before = index.read_bytes()[:96];"
        "fill.__globals__['append'](journal, 21);"
        "file = index.open('r+b'); file.write(before); file.flush(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    journal = fill(tmp_path, range(0))
    journal.close()
    (reader,) = readers(tmp_path)
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    journal = Journal.claim(tmp_path, ROOM)
    assert (journal.slot, journal.position, asides(tmp_path)) == (0, 20, [])
    assert reader.newest() == 20
    append(journal, 21)
    assert held(tmp_path) == receipts(*range(1, 22))


@pytest.mark.parametrize("known", [0, 7, 60])
def test_what_a_journal_that_is_set_aside_has_counted_stays_counted(tmp_path: Path, known: int) -> None:
    """Once each, whatever others knew of it: by its own counts as far as they go, and the rest where it was rescued."""
    name = abandon(tmp_path, 60, 0)
    log = tmp_path / "0.sqlite-wal"
    flip(log, log.stat().st_size // 2 + 2_000)
    Journal.claim(tmp_path, ROOM, lambda of: known if of == name else 0)
    (aside,) = asides(tmp_path)
    (counted,) = counted_aside(tmp_path)
    assert 0 < counted.position < 60
    assert aside.counted == max(known, counted.position)
    assert sum(counts.events for counts in counted.counts.values()) == counted.position
    (rescued,) = readers(tmp_path)
    assert sum(counts.events for counts in rescued.received().counts.values()) == 60 - aside.counted


@pytest.mark.parametrize("page", range(1, 7))
def test_of_a_malformed_journal_all_but_the_damaged_page_is_rescued(tmp_path: Path, page: int) -> None:
    """One page is overwritten, be it the first: the rest goes into another journal, and what is lost is counted."""
    journal = fill(tmp_path, range(1, 101))
    name = journal.id
    journal.close()
    with journal.path.open("r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(os.urandom(PAGE))
    Journal.claim(tmp_path, ROOM, lambda known: 100 if known == name else 0)
    found = held(tmp_path)
    assert len(found) >= 85  # at most what fits on a page
    assert sum(aside.lost for aside in asides(tmp_path)) == 100 - len(found)
    assert all(aside.is_done for aside in asides(tmp_path))
    assert path_of(tmp_path, 0).exists()


def test_entries_that_overflow_their_page_are_rescued_too(tmp_path: Path) -> None:
    """A large entry is on several pages; each that is whole is read, and none that is not."""
    name = abandon(tmp_path, 12, 20_000)
    flip(path_of(tmp_path, 0).with_name("0.sqlite-wal"), 100_000)
    Journal.claim(tmp_path, ROOM, lambda known: 12 if known == name else 0)
    found = {row.receipt: row for reader in readers(tmp_path) for row in reader.read(0, max_bytes=2**40)}
    assert len(found) >= 11
    assert all(row.intact and row.payload == bytes([int(row.receipt, 16)]) * 20_000 for row in found.values())
    assert sum(aside.lost for aside in asides(tmp_path)) == 12 - len(found)


def test_what_is_loaded_is_not_rescued(tmp_path: Path) -> None:
    """Only entries that the warehouse lacks go into another journal, and none is counted as received twice."""
    journal = fill(tmp_path, range(1, 11))
    Loaded({journal.id: 4}).write(tmp_path)
    journal.close()
    path_of(tmp_path, 0).with_name("0.sqlite").write_bytes(b"x" * PAGE + journal.path.read_bytes()[PAGE:])
    fresh = Journal.claim(tmp_path, ROOM)
    assert held(tmp_path) == receipts(*range(5, 11))
    assert readers(tmp_path)[0].received() == (fresh.id, 6, {})


def test_a_journal_older_than_what_was_acknowledged_is_not_written_to(tmp_path: Path) -> None:
    """A restored older copy would use positions again that count as loaded: its entries would be skipped."""
    journal = fill(tmp_path, range(1, 6))
    journal.close()
    copy = tmp_path / "copy"
    shutil.copyfile(journal.path, copy)
    journal = fill(tmp_path, range(6, 11))
    Loaded({journal.id: 10}).write(tmp_path)
    journal.close()
    copy.replace(journal.path)
    fresh = fill(tmp_path, range(11, 13))
    assert fresh.slot == 1
    loaded = Loaded.read(tmp_path).positions
    waiting = [row.receipt for reader in readers(tmp_path) for row in reader.read(loaded.get(reader.id, 0))]
    assert set(waiting) >= receipts(11, 12)
    assert [(aside.needed, aside.lost) for aside in asides(tmp_path)] == [(5, 0)]


def test_a_journal_that_others_know_more_of_is_not_written_to(tmp_path: Path) -> None:
    """The control database knows of 9 entries: 4 that are neither here nor loaded are lost, and that is said."""
    journal = fill(tmp_path, range(1, 6))
    journal.close()
    fresh = Journal.claim(tmp_path, ROOM, lambda known: 9 if known == journal.id else 0)
    assert held(tmp_path) == receipts(*range(1, 6))
    assert [(aside.journal, aside.lost) for aside in asides(tmp_path)] == [(journal.id, 4)]
    assert Journal.claim(tmp_path, ROOM, lambda known: 9 if known == journal.id else 0).slot == fresh.slot + 1


@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_a_deleted_file_costs_no_entry_while_its_writer_runs(tmp_path: Path, suffix: str) -> None:
    """The writer sees it, goes on in another journal, and takes along what is not loaded."""
    group = GroupCommit(fill(tmp_path, range(1, 6)))
    old = group.journal
    Loaded({old.id: 2}).write(tmp_path)
    assert old.look() is None
    path_of(tmp_path, 0).with_name(f"0.sqlite{suffix}").unlink()
    assert "deleted" in (old.look() or "")
    assert "deleted" in (old.refusing or "")
    group.replace_abandoned()
    group.journal.append([entries.record(an_entry(99))])
    assert group.journal.slot == 1
    assert held(tmp_path) >= receipts(3, 4, 5, 100)
    assert [(aside.journal, aside.rescued, aside.lost) for aside in asides(tmp_path)] == [(old.id, 3, 0)]
    group.close()
    assert Journal.claim(tmp_path, ROOM).slot == 1


def test_a_writer_leaves_a_journal_that_a_reader_has_set_aside(tmp_path: Path) -> None:
    """The loader may be the one to find that a file is malformed."""
    group = GroupCommit(fill(tmp_path, range(1, 4)))
    Aside.begin(group.journal.path, "a page cannot be read", lambda _: 3, group.journal.id)
    assert readers(tmp_path) == []
    assert "set aside" in (group.journal.look() or "")
    group.replace_abandoned()
    assert held(tmp_path) == receipts(1, 2, 3)


def test_nobody_is_needed_to_rescue_a_journal_without_a_writer(tmp_path: Path) -> None:
    """Whoever prunes unclaimed journals rescues what was set aside, once."""
    journal = fill(tmp_path, range(1, 4))
    journal.close()
    with journal.path.open("r+b") as file:
        file.write(bytes(PAGE))
    prune_unclaimed(tmp_path)
    prune_unclaimed(tmp_path)
    assert held(tmp_path) == receipts(1, 2, 3)
    assert [reader.path.name for reader in readers(tmp_path)] == ["1.sqlite"]


def test_a_journal_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    """It is neither skipped without a word, nor in the way of the others."""
    fill(tmp_path, range(1, 4)).close()
    (tmp_path / "7.sqlite").mkdir()
    opened = open_all(tmp_path)
    assert [one.path.name for one in opened.unreadable] == ["7.sqlite"]
    assert not opened.unreadable[0].is_malformed
    assert [reader.path.name for reader in opened.readers] == ["0.sqlite"]


def path_of(directory: Path, slot: int) -> Path:
    return directory / f"{slot}.sqlite"
