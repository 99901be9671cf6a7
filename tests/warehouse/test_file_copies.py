"""Damaged small files of the warehouse are put right from their copies, and what is not is reported."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tenure.warehouse.file_copies import FileCopies, is_covered, is_mutation, set_aside, uncovered

_SCRIPT = """
import json, os, sys, time
os.environ["TZ"] = "UTC"
time.tzset()
sys.modules["pyarrow"] = None
from pathlib import Path
from tenure.warehouse.engine.database import Database
from tenure.warehouse.engine.errors import DatabaseError
from tenure.warehouse.engine.guard import EngineGuard
from tenure.warehouse.engine.statement import parse

data, found, answers = Path(sys.argv[1]), [], []
guard = EngineGuard(data, found.extend)
guard.before_open()
try:
    database = Database(data / "chdb", 384)
except DatabaseError as error:
    guard.failed(error)
    print(json.dumps({"failed": str(error)}))
    sys.exit()
guard.opened(database)
for statement in json.load(sys.stdin):
    try:
        with database.session({}) as session:
            result = session.execute(parse(statement.encode()), "TSV", {})
            answers.append(b"".join(result.chunks).decode().strip())
    except DatabaseError as error:
        guard.noticed(error)
        answers.append(error.code)
time.sleep(0.05)
guard.closing()
database.close()
guard.closed()
print(json.dumps({"found": [[d.table, d.part, d.file, d.repaired, [r.count for r in d.rows]] for d in found],
                  "answers": answers}))
"""
CREATE = [
    "CREATE TABLE event (app String, received_at DateTime64(6, 'UTC'), n UInt64, INDEX i n TYPE minmax) "
    "ENGINE = MergeTree ORDER BY (app, n) SETTINGS non_replicated_deduplication_window = 10, old_parts_lifetime = 0",
    "INSERT INTO event SELECT if(number % 3, 'a', 'b'), toDateTime64(1e9 + number, 6), number FROM numbers(5000)",
    "ALTER TABLE event DELETE WHERE n = 7 SETTINGS mutations_sync = 1",
    "INSERT INTO event SELECT 'a', received_at, n FROM event LIMIT 3 SETTINGS insert_deduplication_token = 't'",
]
ASK = ["SELECT count(), sum(n), sum(cityHash64(*)) FROM event"]


def run(data: Path, statements: list[str]) -> dict[str, Any]:
    """Start the engine, guarded; answers, and what was found damaged."""
    done = subprocess.run([sys.executable, "-c", _SCRIPT, str(data)], input=json.dumps(statements),
                          capture_output=True, text=True, timeout=60, check=False)  # fmt: skip
    assert done.stdout, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A warehouse that was closed properly, and its right answer."""
    data = tmp_path_factory.mktemp("made") / "data"
    run(data, CREATE)
    return data, run(data, ASK)


@pytest.fixture
def data(made: tuple[Path, dict[str, Any]], tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(made[0], tmp_path / "data", symlinks=True))


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    with path.open("r+b") as file:
        file.write(content)


def table(data: Path) -> Path:
    """The directory of the table."""
    (found,) = FileCopies(data).tables()
    return found.path


def part(data: Path) -> Path:
    """The directory of its larger part."""
    names = uncovered(path.name for path in table(data).glob("all_*"))
    return max((table(data) / name for name in names), key=lambda path: (path / "data.bin").stat().st_size)


SMALL = ["columns.txt", "checksums.txt", "count.txt", "serialization.json", "metadata_version.txt", "primary.cidx",
         "data.cmrk*", "default_compression_codec.txt", "columns_substreams.txt", "skp_idx*"]  # fmt: skip


def test_a_bit_in_each_small_file_of_a_part_changes_no_answer(made: tuple[Path, dict[str, Any]], data: Path) -> None:
    files = [next(part(data).glob(name)) for name in SMALL]
    for path in files:
        flip(path)
    seen = run(data, ASK)
    assert seen["answers"] == made[1]["answers"]
    assert {Path(file).name for _, _, file, repaired, _ in seen["found"] if repaired} == {path.name for path in files}


def test_files_of_the_table_are_put_right(made: tuple[Path, dict[str, Any]], data: Path) -> None:
    files = [table(data) / "format_version.txt", next(table(data).glob("mutation_*.txt")),
             next(table(data).glob("deduplication_logs/*")), next((data / "chdb/metadata").resolve().glob("*.sql")),
             next((data / "chdb/metadata/tenure").resolve().glob("event.sql"))]  # fmt: skip
    for path in files:
        flip(path)
    seen = run(data, ASK)
    assert seen["answers"] == made[1]["answers"]
    assert len(seen["found"]) == len(files)
    assert all(repaired for *_, repaired, _ in seen["found"])


def test_a_part_that_was_set_aside_comes_back_once_its_files_are_right(
    made: tuple[Path, dict[str, Any]], data: Path
) -> None:
    broken = part(data)
    flip(broken / "columns.txt")
    broken.rename(table(data) / "detached" / f"broken-on-start_{broken.name}")
    assert run(data, ASK)["answers"] == made[1]["answers"]


def test_a_part_that_cannot_be_put_right_is_reported_with_its_rows(data: Path) -> None:
    path = part(data)
    for other in table(data).glob("all_1_1_0"):  # what the part was made from, if it is there still
        shutil.rmtree(other)
    (path / "data.bin").write_bytes(b"")
    seen = run(data, ASK)
    assert [table_name for table_name, *_ in seen["found"]] == ["event"] * 2  # its file, and that it was set aside
    assert sorted(seen["found"][-1][4]) == [1667, 3332]
    assert [name for name, _ in set_aside(table(data))] == [path.name]


def test_damaged_data_is_reported_when_it_is_read(data: Path) -> None:
    path = part(data)
    flip(path / "data.bin")
    seen = run(data, ASK)
    assert seen["answers"] == [40]
    assert [(name, part_name) for name, part_name, *_ in seen["found"]] == [("event", path.name)]


def test_a_block_whose_size_is_wrong_by_much_is_reported(data: Path) -> None:
    path = part(data)
    content = bytearray((path / "data.bin").read_bytes())
    content[20] ^= 8  # 128 MiB in the size of the first block
    with (path / "data.bin").open("r+b") as file:
        file.write(content)
    seen = run(data, ASK)
    assert isinstance(seen["answers"][0], int)
    assert [(name, part_name) for name, part_name, *_ in seen["found"]] == [("event", path.name)]


def test_without_copies_an_engine_that_cannot_start_names_the_file(data: Path) -> None:
    shutil.rmtree(data / "copies")
    flip(next(table(data).glob("mutation_*.txt")))
    mutation = next(table(data).glob("mutation_*.txt"))
    mutation.write_bytes(b"\0" + mutation.read_bytes()[1:])
    assert "failed" in run(data, ASK)
    assert mutation.name in (data / "open-failure.json").read_text()


def test_a_damaged_copy_is_not_used(made: tuple[Path, dict[str, Any]], data: Path) -> None:
    for path in (data / "copies").rglob("*"):
        if path.is_file():
            flip(path)
    seen = run(data, ASK)
    assert seen["answers"] == made[1]["answers"]
    assert seen["found"] == []


def test_copies_go_with_their_parts(data: Path) -> None:
    run(data, ["INSERT INTO event SELECT 'c', now64(6), number FROM numbers(3)"])
    run(data, ["OPTIMIZE TABLE event FINAL", "SYSTEM START CLEANUP event"])
    copied = {path.name for path in (data / "copies").rglob("all_*")}
    assert copied == {path.name for path in table(data).glob("all_*")} & copied
    assert copied


@pytest.mark.parametrize(
    ("name", "others", "covered"),
    [
        ("all_1_1_0", ["all_1_3_1"], True),
        ("all_1_1_0", ["all_2_3_1"], False),
        ("all_1_1_0", ["all_1_1_0_5"], True),
        ("all_1_1_0_5", ["all_1_1_0"], False),
    ],
)
def test_a_part_is_covered_by_what_was_made_from_it(name: str, others: list[str], *, covered: bool) -> None:
    assert is_covered(name, others) is covered
    assert (name in uncovered([name, *others])) is not covered


def test_a_mutation_is_known_by_its_form() -> None:
    assert is_mutation(b"format version: 1\ncreate time: 2026-11-30 16:49:07\ncommands: (DELETE WHERE n = 1)\n")
    assert not is_mutation(b"format versiof: 1\ncreate time: 2026-11-30 16:49:07\ncommands: (DELETE WHERE n = 1)\n")
