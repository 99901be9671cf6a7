"""Finds parts of tables that cannot be read, and saves of them what can be: exactly, or row by row.

Data of columns is kept in compressed blocks, each with a checksum. When one bit of a block is wrong, ClickHouse finds
out which: then it is changed back, and the checksum proves that it is right. Otherwise the rows that can be read are
copied to a new part, and the damaged one is taken out.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from tenure.warehouse.damage import HUGE_BLOCK

_PARTS = """
SELECT table, name, rows, bytes_on_disk, path FROM system.parts
WHERE database = currentDatabase() AND active ORDER BY table, name
"""
_ACTIVE = """
SELECT count() FROM system.parts
WHERE database = currentDatabase() AND active AND table = {table:String} AND name = {part:String}
"""
_CHECK = "CHECK TABLE {table} PART '{part}' SETTINGS check_query_single_value_result = 0, max_execution_time = 0"
_READ = "SELECT * FROM {table} WHERE _part = '{part}' FORMAT Null SETTINGS max_threads = 1, max_execution_time = 0"
_COPY = """
INSERT INTO {scratch} SELECT * FROM {table} WHERE _part = '{part}' AND _part_offset >= {first} AND _part_offset < {end}
SETTINGS max_threads = 1, insert_deduplicate = 0, max_execution_time = 0
"""
_FLIPPED = re.compile(
    r"Reference: ([0-9a-f]{32})\. Actual: ([0-9a-f]{32})\. Size of compressed block: (\d+)"
    r".*?While reading or decompressing (/[^\n]*?) \(position: (\d+)",
    re.S,
)
_PLACE = re.compile(r"single bit flip in data block at byte (\d+), bit (\d+)")
_FILE = re.compile(r"While reading or decompressing (/[^\n]*?) \(position: (\d+)")
_CHECKSUM, _HEADER = 16, 9
_METHODS = frozenset({0x02, 0x82, 0x90, 0x91, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C})
MOST_BITS = 64
"""So many bits are put right in one part at the most."""
FEWEST_ROWS = 64
"""So many rows, one after the other, are given up together when one of them cannot be read."""
SCRATCH = "restored_{table}"


class Part(NamedTuple):
    """An active part of a table. `path` ends with a slash."""

    table: str
    name: str
    rows: int
    bytes: int
    path: str


def active_parts(client: Client) -> list[Part]:
    """All active parts. Raises ClickHouseError."""
    return [Part(*row) for row in client.query(_PARTS).result_rows]


def problem_of(client: Client, part: Part) -> str | None:
    """Read every byte of a part; returns what is wrong, None when nothing is or the part was merged meanwhile.

    Raises ClickHouseError when the engine cannot be asked.
    """
    try:
        rows = client.query(_CHECK.format(table=part.table, part=part.name)).result_rows
    except DatabaseError as error:
        if not _is_active(client, part):
            return None
        return _first_line(str(error))
    bad = [row for row in rows if not int(row[1])]
    if not bad:  # which it also says of a block that asks for too much memory
        failure = _reading_fails(client, part)
        return _first_line(failure) if failure is not None and HUGE_BLOCK.search(failure) else None
    if not _is_active(client, part):
        return None
    return _first_line(str(bad[0][2])) if len(bad[0]) > 2 else "a checksum does not match"


def repair_bits(client: Client, part: Part) -> int:
    """Put right single wrong bits in the data of a part; returns how many. Raises ClickHouseError."""
    for count in range(MOST_BITS):
        error = _reading_fails(client, part)
        if error is None or not _repair_bit(client, part, error):
            return count
    return MOST_BITS


def salvage(client: Client, part: Part) -> None:
    """Put the rows of a part that can be read into a new one, and take the damaged part out, to `detached/`.

    Its rows keep their versions, so that those of a part that is saved twice replace each other.
    Raises ClickHouseError.
    """
    scratch = SCRATCH.format(table=part.table)
    client.command(f"DROP TABLE IF EXISTS {scratch} SYNC")
    client.command(f"CREATE TABLE {scratch} AS {part.table}")
    _copy(client, part, scratch, 0, part.rows)
    # Before the part goes: its rows may be there twice then, with equal versions, and never not at all.
    client.command(f"ALTER TABLE {part.table} ATTACH PARTITION tuple() FROM {scratch}")
    detach(client, part)
    client.command(f"DROP TABLE {scratch} SYNC")


def detach(client: Client, part: Part) -> None:
    """Take a part out of its table, to `detached/`. Raises ClickHouseError."""
    client.command(f"ALTER TABLE {part.table} DETACH PART '{part.name}'")


def _copy(client: Client, part: Part, scratch: str, first: int, end: int) -> None:
    """Copy the rows of a range, in halves where it cannot be read."""
    sql = _COPY.format(scratch=scratch, table=part.table, part=part.name, first=first, end=end)
    try:
        client.command(sql)
    except DatabaseError:
        if end - first <= FEWEST_ROWS:
            return
        middle = (first + end) // 2
        _copy(client, part, scratch, first, middle)
        _copy(client, part, scratch, middle, end)


def _is_active(client: Client, part: Part) -> bool:
    return bool(client.query(_ACTIVE, {"table": part.table, "part": part.name}).result_rows[0][0])


def _reading_fails(client: Client, part: Part) -> str | None:
    try:
        client.command(_READ.format(table=part.table, part=part.name))
    except DatabaseError as error:
        return str(error)
    return None


def _repair_bit(client: Client, part: Part, error: str) -> bool:
    """Put right the bit because of which reading failed; False when it is not one bit, or not known which."""
    if found := _FLIPPED.search(error):
        stored, actual, path = bytes.fromhex(found[1])[::-1], bytes.fromhex(found[2])[::-1], Path(found[4])
        start = _start_of(path.read_bytes(), stored, end=int(found[5]), size=int(found[3]))
        if start < 0:
            return False
        if place := _PLACE.search(error):
            return _change(path, start + _CHECKSUM + int(place[1]), 1 << int(place[2]))
        differing = [(at, a ^ b) for at, (a, b) in enumerate(zip(stored, actual, strict=True)) if a != b]
        if len(differing) == 1 and differing[0][1].bit_count() == 1:
            return _change(path, start + differing[0][0], differing[0][1])
    named = _FILE.search(error)
    return named is not None and _repair_header(client, part, Path(named[1]), int(named[2]))


def _start_of(content: bytes, stored: bytes, *, end: int, size: int) -> int:
    """Where the block begins that has this checksum; -1 when it is not found. Equal blocks have equal checksums."""
    start = end - size - _CHECKSUM
    return start if start >= 0 and content[start : start + _CHECKSUM] == stored else content.find(stored)


def _repair_header(client: Client, part: Part, path: Path, position: int) -> bool:
    """Put right the header of a block: method and sizes, which are looked at before the checksum is."""
    content = path.read_bytes()
    starts, _ = _blocks(content)
    for start in dict.fromkeys([position, *starts[-2:]]):
        for bit in range(8 * _HEADER if start + _CHECKSUM + _HEADER <= len(content) else 0):
            at, mask = start + _CHECKSUM + bit // 8, 1 << bit % 8
            candidate = bytearray(content)
            candidate[at] ^= mask
            if not _blocks(bytes(candidate))[1]:
                continue
            _change(path, at, mask)
            still = _reading_fails(client, part)
            stored = content[start : start + _CHECKSUM][::-1].hex()
            if still is None or (_place_of(still) != (path, position) and stored not in still):
                return True
            _change(path, at, mask)
    return False


def _place_of(error: str) -> tuple[Path, int] | None:
    found = _FILE.search(error)
    return (Path(found[1]), int(found[2])) if found else None


def _blocks(content: bytes) -> tuple[list[int], bool]:
    """Where the compressed blocks of a file begin, and whether they end with it."""
    starts, at = [], 0
    while at + _CHECKSUM + _HEADER <= len(content):
        starts.append(at)
        head = content[at + _CHECKSUM : at + _CHECKSUM + _HEADER]
        size = int.from_bytes(head[1:5], "little")
        if head[0] not in _METHODS or size < _HEADER:
            return starts, False
        at += _CHECKSUM + size
    return starts, at == len(content)


def _change(path: Path, at: int, mask: int) -> bool:
    """Change bits in place: other parts may share the file by a hard link, and its damage with it."""
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ mask]))
        file.flush()
        os.fsync(file.fileno())
    return True


def _first_line(text: str) -> str:
    return (text.splitlines() or [""])[0][:300]


def drop_leftovers(client: Client) -> None:
    """Drop what a broken-off salvage left: its part is there still, or its rows are. Raises ClickHouseError."""
    prefix = SCRATCH.format(table="")
    for row in client.query("SELECT name FROM system.tables WHERE database = currentDatabase()").result_rows:
        if str(row[0]).startswith(prefix):
            client.command(f"DROP TABLE {row[0]} SYNC")
