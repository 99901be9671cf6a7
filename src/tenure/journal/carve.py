"""Reads entries out of the bytes of a journal that SQLite cannot read, or reads in part only.

SQLite ends the recovery of a log at the first damaged frame, and refuses a file with one damaged page. But each entry
has a checksum of its own: so every page of the file and of its log is looked at by itself, and what matches its
checksum is an entry. An entry that was pruned or rolled back may turn up too: to load it again changes nothing.

https://www.sqlite.org/fileformat2.html has the formats.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PAGE = 4096
"""Bytes of a page: SQLite's default, which journals use."""
LOG_HEADER, FRAME_HEADER = 32, 24
_ORDERS = {0x377F0682: "<", 0x377F0683: ">"}
"""Byte orders of a log's checksums, by how it begins."""
_LEAF = 0x0D
_ID = re.compile(rb"[0-9a-f]{32}")


class Carved(NamedTuple):
    """One entry that matches its checksum."""

    position: int
    receipt: str
    payload: bytes


class _Cell(NamedTuple):
    rowid: int
    values: list[tuple[int, bytes]]
    """(serial type, bytes) of each column."""


def carve(path: Path, logs: list[Path], after: int) -> Iterator[Carved]:
    """The intact entries of a journal after a position, each once, in no certain order."""
    pages = _Pages(path, logs)
    seen: set[tuple[int, str]] = set()
    for page in pages.every():
        for cell in _cells(page, pages):
            entry = _entry(cell)
            if entry is None or entry.position <= after or (entry.position, entry.receipt) in seen:
                continue
            seen.add((entry.position, entry.receipt))
            yield entry


def carve_id(path: Path, logs: list[Path]) -> str | None:
    """The id of a journal, if it can be found."""
    pages = _Pages(path, logs)
    for page in pages.every():
        for cell in _cells(page, pages):
            if len(cell.values) == 1 and _ID.fullmatch(cell.values[0][1]):
                return cell.values[0][1].decode()
    return None


def committed_frames(log: Path) -> int:
    """The number of the last frame, from 1, that ends a transaction of the log's present generation; 0 for none."""
    headers: list[bytes] = []
    with log.open("rb") as file:
        header = file.read(LOG_HEADER)
        while len(frame := file.read(FRAME_HEADER)) == FRAME_HEADER:
            headers.append(frame)
            file.seek(PAGE, os.SEEK_CUR)
    if not headers:
        return 0
    salts = Counter(frame[8:16] for frame in headers)
    salt = header[16:24] if _is_whole(header) else salts.most_common(1)[0][0]
    whole = (log.stat().st_size - LOG_HEADER) // (FRAME_HEADER + PAGE)
    frames = enumerate(headers[:whole], 1)
    return max((number for number, frame in frames if frame[8:16] == salt and _u32(frame, 4)), default=0)


def frames_match(log: Path, after: int, last: int) -> bool:
    """Whether the frames after one, through another (both from 1), match their checksums: nothing damaged them then.

    A checksum goes over a frame and all that were before it; that of the frame `after` is taken as it is.
    """
    with log.open("rb") as file:
        header = file.read(LOG_HEADER)
        if not _is_whole(header):
            return False
        sums = (_u32(header, 24), _u32(header, 28))
        if after:
            file.seek(LOG_HEADER + (after - 1) * (FRAME_HEADER + PAGE))
            before = file.read(FRAME_HEADER + PAGE)
            sums = (_u32(before, 16), _u32(before, 20))
        for _ in range(last - after):
            frame = file.read(FRAME_HEADER + PAGE)
            if len(frame) < FRAME_HEADER + PAGE:
                return False
            sums = _checksums(header, frame[:8] + frame[FRAME_HEADER:], sums)
            if sums != (_u32(frame, 16), _u32(frame, 20)):
                return False
    return True


def _is_whole(header: bytes) -> bool:
    """Whether the header of a log matches its checksum."""
    if len(header) < LOG_HEADER or _u32(header, 0) not in _ORDERS:
        return False
    return _checksums(header, header[:24], (0, 0)) == (_u32(header, 24), _u32(header, 28))


def _checksums(header: bytes, data: bytes, sums: tuple[int, int]) -> tuple[int, int]:
    """The checksums of a log, which has this header, continued over some bytes."""
    first, second = sums
    for word, other in struct.iter_unpack(f"{_ORDERS[_u32(header, 0)]}II", data):
        first = (first + word + second) & 0xFFFFFFFF
        second = (second + other + first) & 0xFFFFFFFF
    return first, second


class _Pages:
    """The pages of a database file and of its logs; of a page in a log, all its versions, the newest first."""

    def __init__(self, path: Path, logs: list[Path]) -> None:
        self._path = path
        self._in_logs: dict[int, list[tuple[Path, int]]] = {}
        for log in logs:
            if log.exists():
                for offset, number in _every_frame(log):
                    self._in_logs.setdefault(number, []).insert(0, (log, offset))

    def every(self) -> Iterator[bytes]:
        """Each page in each version."""
        for places in self._in_logs.values():
            for log, offset in places:
                yield _read(log, offset)
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            first = file.read(PAGE)
            yield first[100:] if first else b""
            while len(page := file.read(PAGE)) == PAGE:
                yield page

    def versions(self, number: int) -> Iterator[bytes]:
        """The versions of one page, the newest first."""
        for log, offset in self._in_logs.get(number, []):
            yield _read(log, offset)
        if self._path.exists():
            yield _read(self._path, (number - 1) * PAGE)


def _every_frame(log: Path) -> Iterator[tuple[int, int]]:
    """(offset of the page, page number) of every frame, also of those that an earlier generation left behind."""
    size = log.stat().st_size
    with log.open("rb") as file:
        for offset in range(LOG_HEADER, size - FRAME_HEADER - PAGE + 1, FRAME_HEADER + PAGE):
            file.seek(offset)
            yield offset + FRAME_HEADER, _u32(file.read(4), 0)


def _read(path: Path, offset: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(PAGE)


def _cells(page: bytes, pages: _Pages) -> Iterator[_Cell]:
    """The rows of a page of a table; nothing when it is another kind of page, or damaged."""
    if len(page) < 8 or page[0] != _LEAF:
        return
    base = PAGE - len(page)  # the first page lacks the header of the file here, and its offsets count that
    for index in range(min(int.from_bytes(page[3:5], "big"), PAGE // 4)):
        start = int.from_bytes(page[8 + 2 * index : 10 + 2 * index], "big") - base
        try:
            size, at = _varint(page, start)
            rowid, at = _varint(page, at)
            for payload in _payloads(page, at, size, pages):
                values = _values(payload)
                if _matches(values):
                    yield _Cell(rowid, values)
                    break
        except (IndexError, ValueError):
            continue


def _payloads(page: bytes, at: int, size: int, pages: _Pages) -> Iterator[bytes]:
    """The payload of a cell, with what overflows it; once with the newest and once with the oldest pages of that."""
    if size <= PAGE - 35:
        yield page[at : at + size]
        return
    least = (PAGE - 12) * 32 // 255 - 23
    local = least + (size - least) % (PAGE - 4)
    if local > PAGE - 35:
        local = least
    first = _u32(page, at + local)
    for choose in (0, -1):
        parts, left, number = [page[at : at + local]], size - local, first
        while left > 0 and number:
            versions = list(pages.versions(number))
            if not versions or len(versions[choose]) < PAGE:
                break
            parts.append(versions[choose][4 : 4 + min(left, PAGE - 4)])
            left -= PAGE - 4
            number = _u32(versions[choose], 0)
        yield b"".join(parts)


def _values(payload: bytes) -> list[tuple[int, bytes]]:
    header, at = _varint(payload, 0)
    types = []
    while at < header:
        serial, at = _varint(payload, at)
        types.append(serial)
    values = []
    at = header
    for serial in types:
        size = (serial - 12) // 2 if serial >= 12 else (0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0)[serial]
        values.append((serial, payload[at : at + size]))
        at += size
    return values


def _matches(values: list[tuple[int, bytes]]) -> bool:
    """Whether these are the columns of an entry that matches its checksum, or of the journal's id."""
    if len(values) == 1:
        return _ID.fullmatch(values[0][1]) is not None
    if len(values) != 4 or values[0][0] != 0 or values[1][0] < 13 or values[3][0] < 12:
        return False
    serial, stored = values[2]
    checksum = {8: 0, 9: 1}.get(serial, int.from_bytes(stored, "big", signed=True))
    return zlib.crc32(values[3][1]) == checksum


def _entry(cell: _Cell) -> Carved | None:
    if len(cell.values) != 4:
        return None
    try:
        return Carved(cell.rowid, cell.values[1][1].decode(), cell.values[3][1])
    except UnicodeDecodeError:
        return None


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number in SQLite's form, and where it ends."""
    value = 0
    for index in range(8):
        byte = data[at + index]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + index + 1
    return value << 8 | data[at + 8], at + 9


def _u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")
