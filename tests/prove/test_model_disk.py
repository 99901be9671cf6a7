from __future__ import annotations

import random
from pathlib import Path

from prove.model_disk import ROOT, SECOND, Record, Tree, append, only_synced, ordered, read

FILE, DIRECTORY = 1, 2


def log_of(*records: tuple[str, int, dict[str, object]], every: int = 1) -> list[Record]:
    """A log with one change every so many nanoseconds."""
    return [Record(number * every, kind, node, **fields) for number, (kind, node, fields) in enumerate(records)]  # type: ignore[arg-type]


MADE = ("file", FILE, {"name": "a"})
WRITTEN = ("write", FILE, {"data": b"hello"})
SYNCED = ("sync", FILE, {})
ROOT_SYNCED = ("sync", ROOT, {})


def test_a_file_whose_directory_was_not_synced_is_gone() -> None:
    """Only what was synced survives, and a name is kept by its directory."""
    assert only_synced(log_of(MADE, WRITTEN, SYNCED)) == Tree()


def test_a_synced_name_without_synced_content_is_an_empty_file() -> None:
    """A directory's sync keeps names alone."""
    assert only_synced(log_of(MADE, WRITTEN, ROOT_SYNCED)) == Tree(files={"a": b""})


def test_synced_content_under_a_synced_name_survives_without_later_writes() -> None:
    """A write after the sync is lost."""
    later = ("write", FILE, {"offset": 5, "data": b" there"})
    assert only_synced(log_of(MADE, WRITTEN, SYNCED, ROOT_SYNCED, later)) == Tree(files={"a": b"hello"})


def test_a_rename_that_was_not_synced_is_undone() -> None:
    """The old name is there, and the new one is not."""
    moved = ("rename", FILE, {"name": "a", "to_name": "b"})
    assert only_synced(log_of(MADE, WRITTEN, SYNCED, ROOT_SYNCED, moved)) == Tree(files={"a": b"hello"})


def test_a_directory_whose_parent_was_not_synced_is_gone_with_its_files() -> None:
    """A sync of the new directory alone does not keep it."""
    log = log_of(
        ("directory", DIRECTORY, {"name": "d"}),
        ("file", FILE, {"parent": DIRECTORY, "name": "a"}),
        WRITTEN,
        SYNCED,
        ("sync", DIRECTORY, {}),
    )
    assert only_synced(log) == Tree()
    synced = [*log, Record(9, "sync", ROOT)]
    assert only_synced(synced) == Tree(directories={"d": Tree(files={"a": b"hello"})})


def test_a_removed_name_is_back_unless_its_directory_was_synced() -> None:
    """An unlink is a change of the directory."""
    log = log_of(MADE, WRITTEN, SYNCED, ROOT_SYNCED, ("unlink", FILE, {"name": "a"}))
    assert only_synced(log) == Tree(files={"a": b"hello"})
    assert only_synced([*log, Record(9, "sync", ROOT)]) == Tree()


def test_in_ordered_mode_a_sync_keeps_all_names_before_it() -> None:
    """The journal is committed as a whole, whichever file is synced."""
    log = log_of(MADE, ("file", 3, {"name": "b"}), ("sync", 3, {}))
    for seed in range(20):
        assert ordered(log, 3, random.Random(seed)).files.keys() == {"a", "b"}


def test_in_ordered_mode_young_data_that_was_not_synced_may_be_missing() -> None:
    """Old data are always there; of young data all or nothing is seen over many cuts."""
    log = log_of(MADE, WRITTEN, ROOT_SYNCED)
    assert {ordered(log, 3, random.Random(seed)).files["a"] for seed in range(50)} == {b"", b"hello"}
    assert {ordered(log, 60 * SECOND, random.Random(seed)).files["a"] for seed in range(50)} == {b"hello"}


def test_in_ordered_mode_synced_data_are_there() -> None:
    """Whatever else is lost."""
    log = log_of(MADE, WRITTEN, SYNCED, ("write", FILE, {"offset": 5, "data": b"!"}))
    for seed in range(50):
        assert ordered(log, 4, random.Random(seed)).files["a"].startswith(b"hello")


def test_a_log_is_read_back_up_to_a_torn_record(tmp_path: Path) -> None:
    """The process that logs may be killed."""
    path = tmp_path / "log"
    log = log_of(MADE, WRITTEN, SYNCED)
    with path.open("wb") as file:
        for record in log:
            append(file, record)
    path.write_bytes(path.read_bytes()[:-3])
    assert list(read(path)) == log[:-1]


def test_a_tree_is_written_as_files(tmp_path: Path) -> None:
    """With links as links."""
    Tree({"d": Tree(files={"a": b"x"})}, {"b": b"y"}, {"l": "d/a"}).write(tmp_path)
    assert (tmp_path / "l").read_bytes() == b"x"
    assert (tmp_path / "l").is_symlink()
    assert (tmp_path / "b").read_bytes() == b"y"
