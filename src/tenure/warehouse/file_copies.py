"""Second copies of the small files of the embedded engine. A file that differs from its copy is put right.

ClickHouse keeps small files beside the data of each part: the columns, counts, marks, the primary index. Most of them
have no checksum, and one wrong bit in any of them makes the engine set the whole part aside at its start, or read it
wrongly. A part never changes once it is there, so a copy of its small files stays right as long as the part exists.

    warehouse/copies/<table uuid>/<part>   the small files of a part, and how many rows of which app and time it has
    warehouse/copies/<table uuid>/table    the files of the table itself: format version, mutations, deduplication logs
    warehouse/copies/metadata              the statements that define database and tables

Nothing here needs the engine. A copy goes when its part is gone, since it may hold what an erasure removes.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from tenure.directories import sync_directory
from tenure.warehouse.damage import Damage, PartRows

MAX_COPIED_BYTES = 4 * 1024 * 1024
"""Larger files are not copied. Of a part, these are the data of columns, which have checksums of their own."""
SETTLED_SECONDS = 5.0
"""A part that is younger is not copied yet: most are merged into others within seconds."""
FEW_BYTES = 8
"""A file of the table that differs in at most so many bytes from its copy is damaged; otherwise it is another file."""
SET_ASIDE = "set-aside"
"""The directory, in that of the warehouse, to which damaged parts and files are moved."""
FORMAT_VERSION = b"1"
"""What `format_version.txt` of every table holds."""

_PART = re.compile(r"all_(\d+)_(\d+)_(\d+)(_\d+)?")
_SET_ASIDE = re.compile(r"broken(?:-[a-z-]+)?_(all_[0-9_]+?)(?:_try\d+)?")
_UUID = re.compile(rb"UUID '([0-9a-f-]{36})'")
_STATEMENT = re.compile(rb"ATTACH (?:TABLE|DATABASE) _ UUID '[0-9a-f-]{36}'\n")
_MUTATION = re.compile(rb"format version: 1\ncreate time: [0-9 :-]{19}\ncommands: ")
_DATA = (".bin",)

PartExtents = Callable[[str, str], list[PartRows]]
"""Tells the rows of a part by app, given table and part."""


class Copy(msgspec.Struct):
    """The small files of one directory."""

    files: dict[str, bytes] = {}
    sizes: dict[str, int] = {}
    """Sizes of the files that are too large to be copied."""
    rows: list[PartRows] = []
    mtimes: dict[str, int] = {}
    """When something was last created or renamed in a directory, in nanoseconds."""


class TableDirectory(NamedTuple):
    """Where the parts of a table are."""

    name: str
    uuid: str
    path: Path

    def parts(self) -> list[str]:
        """Names of the parts that no other part covers."""
        return uncovered(entry.name for entry in os.scandir(self.path) if entry.is_dir())


class FileCopies:
    """The copies in one warehouse directory. One thread at a time."""

    def __init__(self, warehouse: Path) -> None:
        self.root = warehouse / "chdb"
        self.directory = warehouse / "copies"

    def tables(self) -> list[TableDirectory]:
        """The directories of all tables, as far as they can be told."""
        found = []
        for statement in self._statements():
            uuid = _UUID.search(statement.read_bytes())
            if uuid is None or statement.parent.name == "metadata":
                continue  # that of the database
            text = uuid[1].decode()
            path = self.root / "store" / text[:3] / text
            if path.is_dir():
                found.append(TableDirectory(statement.stem, text, path))
        return found

    def record(self, extents: PartExtents | None = None, *, settled: float = SETTLED_SECONDS) -> int:
        """Copy what has no copy yet, and remove copies of what is gone; returns how many parts were copied."""
        self._record_metadata()
        count = 0
        for table in self.tables():
            self._write(table.uuid, "table", Copy(_table_files(table.path)))
            for part in table.parts():
                directory = table.path / part
                try:
                    # A part that is younger than now was written while the clock was ahead.
                    if self.path(table, part).exists() or 0 <= time.time() - directory.stat().st_mtime < settled:
                        continue
                    rows = extents(table.name, part) if extents else []
                    copy = _part_files(directory, rows)
                except FileNotFoundError:
                    continue  # merged away meanwhile
                self._write(table.uuid, part, copy)
                if not directory.is_dir():  # removed meanwhile, and perhaps what else is gone was looked for before
                    self.path(table, part).unlink(missing_ok=True)
                count += 1
        self.remove_orphans()
        return count

    def remove_orphans(self) -> None:
        """Remove the copies of parts that are gone."""
        for table in self.tables():
            if not self.path(table, "table").parent.is_dir():
                continue
            present = {entry.name for entry in os.scandir(table.path)} | {part for part, _ in set_aside(table.path)}
            for copied in os.listdir(self.directory / table.uuid):
                if (name := copied.removesuffix(".new")) != "table" and name not in present:
                    (self.directory / table.uuid / copied).unlink(missing_ok=True)

    def verify(self, *, running: bool = False) -> Iterator[Damage]:
        """Compare every file that has a copy, and put right what differs. Yields what was, or is, damaged.

        A part that the engine set aside is given back to its table when one of its files was put right, unless the
        engine is `running`.
        """
        yield from self._verify_metadata()
        for table in self.tables():
            yield from self._verify_table(table)
            aside = [] if running else set_aside(table.path)
            for part in table.parts():
                if copy := self.read(table, part):
                    with suppress(FileNotFoundError):  # merged away meanwhile
                        yield from self._verify_part(table, part, table.path / part, copy)
            for part, directory in aside:
                copy = self.read(table, part)
                if copy is None or is_covered(part, table.parts()):
                    continue
                damages = list(self._verify_part(table, part, directory, copy))
                yield from damages
                if damages and all(damage.repaired for damage in damages):
                    directory.rename(table.path / part)
                    sync_directory(table.path)

    def read(self, table: TableDirectory, name: str) -> Copy | None:
        """A copy; None when there is none, or it is damaged itself."""
        return self._read(self.path(table, name))

    def path(self, table: TableDirectory, name: str) -> Path:
        """Where the copy of a part is."""
        return self.directory / table.uuid / name

    def unreadable_statements(self) -> list[Path]:
        """Files that do not define a table, as they should."""
        root = self.root.resolve()
        paths = [path for path in self._statements() if not _STATEMENT.match(path.read_bytes())]
        return [self.root / path.relative_to(root) for path in paths]

    def _statements(self) -> list[Path]:
        return [path for directory in self._metadata_directories() for path in sorted(directory.glob("*.sql"))]

    def _metadata_directories(self) -> list[Path]:
        top = self.root / "metadata"
        return [path.resolve() for path in (top, top / "tenure") if path.is_dir()]

    def _record_metadata(self) -> None:
        root = self.root.resolve()
        mtimes = {str(path.relative_to(root)): path.stat().st_mtime_ns for path in self._metadata_directories()}
        files = {str(path.relative_to(root)): path.read_bytes() for path in self._statements()}
        self._write("", "metadata", Copy(files, mtimes=mtimes))

    def _verify_metadata(self) -> Iterator[Damage]:
        copy = self._read(self.directory / "metadata")
        if copy is None:
            return
        root = self.root.resolve()
        unchanged = {
            name
            for name, at in copy.mtimes.items()
            if (root / name).is_dir() and (root / name).stat().st_mtime_ns == at
        }
        for name, content in copy.files.items():
            path = root / name
            found = path.read_bytes() if path.is_file() else None
            if found == content:
                continue
            same_directory = str(path.parent.relative_to(root)) in unchanged
            if same_directory or (found is not None and _is_nearly(found, content)):
                _replace(path, content)
                yield _repaired(path, self.root, table=path.stem)

    def _verify_table(self, table: TableDirectory) -> Iterator[Damage]:
        version = table.path / "format_version.txt"
        if not version.is_file() or version.read_bytes() != FORMAT_VERSION:
            _replace(version, FORMAT_VERSION)
            yield _repaired(version, self.root, table=table.name)
        copy = self.read(table, "table")
        for name, content in copy.files.items() if copy else ():
            path = table.path / name
            if name == "format_version.txt" or not path.is_file():
                continue
            found = path.read_bytes()
            if name.startswith("deduplication_logs/"):  # it grows
                if found[: len(content)] != content and _is_nearly(found[: len(content)], content):
                    _replace(path, content + found[len(content) :])
                    yield _repaired(path, self.root, table=table.name)
            elif found != content and (_is_nearly(found, content) or not is_mutation(found)):
                _replace(path, content)
                yield _repaired(path, self.root, table=table.name)

    def _verify_part(self, table: TableDirectory, part: str, directory: Path, copy: Copy) -> Iterator[Damage]:
        for name, content in copy.files.items():
            path = directory / name
            if (path.read_bytes() if path.is_file() else None) != content:
                directory.stat()
                _replace(path, content)
                yield _repaired(path, self.root, table=table.name, part=part)
        for name, size in copy.sizes.items():
            path = directory / name
            if not path.is_file() or path.stat().st_size != size:
                directory.stat()
                file = str(path.relative_to(self.root.parent))
                text = f"{file} is missing or has another size than it was written with"
                yield Damage(table.name, part, text, file=file, rows=copy.rows)

    def _read(self, path: Path) -> Copy | None:
        try:
            content = path.read_bytes()
            if hashlib.sha256(content[32:]).digest() != content[:32]:
                path.unlink(missing_ok=True)
                return None
            return msgspec.msgpack.decode(zlib.decompress(content[32:]), type=Copy)
        except (OSError, zlib.error, msgspec.DecodeError):
            return None

    def _write(self, directory: str, name: str, copy: Copy) -> None:
        """Not durable at once: a copy that a power cut spoils is known by its checksum, and made again."""
        path = self.directory / directory / name
        body = zlib.compress(msgspec.msgpack.encode(copy), 1)
        content = hashlib.sha256(body).digest() + body
        if path.is_file() and path.read_bytes() == content:
            return
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_name(f"{name}.new")
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
        temporary.replace(path)


def forget_removed(warehouse: Path) -> None:
    """After an erasure: remove the copies of parts that are gone, and the parts that `restore-parts` set aside.

    What could be brought back of those is in the tables again.
    """
    FileCopies(warehouse).remove_orphans()
    shutil.rmtree(warehouse / SET_ASIDE, ignore_errors=True)


def uncovered(names: Iterable[str]) -> list[str]:
    """Of names of directories: those of parts that no other of these parts contains."""
    parts = [name for name in names if _PART.fullmatch(name)]
    return sorted(name for name in parts if not is_covered(name, [other for other in parts if other != name]))


def is_covered(part: str, others: list[str]) -> bool:
    """Whether one of these parts contains a part: it was made from it by a merge or a mutation, or is the same."""
    mine = _place(part)
    return any(
        place[0] <= mine[0] and place[1] >= mine[1] and place[2] >= mine[2] and place[3] >= mine[3]
        for place in map(_place, others)
    )


def set_aside(table: Path) -> list[tuple[str, Path]]:
    """(part, directory) of the parts that the engine set aside because it could not read them."""
    detached = table / "detached"
    if not detached.is_dir():
        return []
    found = ((_SET_ASIDE.fullmatch(path.name), path) for path in sorted(detached.iterdir()))
    return [(match[1], path) for match, path in found if match is not None]


def rows_of(copy: Copy | None, directory: Path) -> list[PartRows]:
    """The rows of a part: by app as its copy has them, else as many as its own file says; none when that is damaged."""
    if copy is not None and copy.rows:
        return copy.rows
    try:
        return [PartRows("", int((directory / "count.txt").read_text()))]
    except (OSError, ValueError):
        return []


def broken_parts(copies: FileCopies) -> Iterator[Damage]:
    """The parts that the engine set aside and whose rows are in no other part."""
    for table in copies.tables():
        aside = dict(set_aside(table.path))
        for part in uncovered(aside):
            if is_covered(part, table.parts()):
                continue
            copy = copies.read(table, part)
            text = f"the engine set aside part {part} of table {table.name}, which it cannot read"
            name = str(aside[part].relative_to(copies.root.parent))
            yield Damage(table.name, part, text, file=name, rows=rows_of(copy, aside[part]))


def is_mutation(content: bytes) -> bool:
    """Whether this can be the content of a file `mutation_N.txt`."""
    return _MUTATION.match(content) is not None and content.endswith(b"\n")


def _place(part: str) -> tuple[int, int, int, int]:
    match = _PART.fullmatch(part)
    if match is None:
        raise ValueError(f"not the name of a part: {part}")
    return int(match[1]), int(match[2]), int(match[3]), int((match[4] or "_0")[1:])


def _part_files(directory: Path, rows: list[PartRows]) -> Copy:
    copy = Copy(rows=rows)
    for entry in os.scandir(directory):
        size = entry.stat().st_size
        if size > MAX_COPIED_BYTES or entry.name.endswith(_DATA):
            copy.sizes[entry.name] = size
        else:
            copy.files[entry.name] = Path(entry.path).read_bytes()
    return copy


def _table_files(directory: Path) -> dict[str, bytes]:
    paths = [*directory.glob("mutation_*.txt"), *directory.glob("deduplication_logs/*.txt")]
    files = {}
    for path in sorted(paths):
        try:
            files[str(path.relative_to(directory))] = path.read_bytes()
        except FileNotFoundError:
            continue  # the engine has just removed it
    return files


def _is_nearly(found: bytes, content: bytes) -> bool:
    return len(found) == len(content) and sum(a != b for a, b in zip(found, content, strict=True)) <= FEW_BYTES


def _repaired(path: Path, root: Path, table: str, part: str = "") -> Damage:
    name = path.resolve().relative_to(root.resolve().parent)
    return Damage(table, part, f"{name} was damaged; it was put right from its copy", file=str(name), repaired=True)


def _replace(path: Path, content: bytes) -> None:
    """Write a file anew, durably. The damaged one is not overwritten: other parts may share it by a hard link."""
    temporary = path.with_name(f"{path.name}.tenure-new")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(path.parent)
