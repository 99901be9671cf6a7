"""The data of an INSERT, as a file that the statement reads."""

from __future__ import annotations

import errno
import re
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tenure.warehouse.engine.errors import CANNOT_WRITE_TO_FILE, NOT_ENOUGH_SPACE, DatabaseError
from tenure.warehouse.engine.statement import Statement, names, quoted

_INFILE = re.compile(rb"\bINFILE\b", re.IGNORECASE)


@contextmanager
def spooled(chunks: Iterable[bytes], scratch: Path) -> Iterator[str]:
    """Write the data of an INSERT to a file, and give the name by which to read it; it is gone afterwards.

    It is named by its descriptor: chDB takes `*`, `?` and braces in a name, be it a directory's, for a pattern.

    chDB's streaming insert (`send_insert`) reports success when the table's own write fails. An INSERT that reads a
    file raises. Raises DatabaseError when the disk refuses.
    """
    path = scratch / uuid.uuid4().hex
    try:
        try:
            with path.open("wb") as file:
                file.writelines(chunks)
        except OSError as error:
            reason = f"Cannot write the data of an INSERT: {error.strerror}"
            if error.errno == errno.ENOSPC:
                raise DatabaseError.because(NOT_ENOUGH_SPACE, reason, "NOT_ENOUGH_SPACE") from error
            raise DatabaseError.because(CANNOT_WRITE_TO_FILE, reason, "CANNOT_WRITE_TO_FILE_DESCRIPTOR") from error
        with path.open("rb") as file:
            yield f"/dev/fd/{file.fileno()}"
    finally:
        path.unlink(missing_ok=True)


def from_file(name: str) -> bytes:
    """The clause by which an INSERT reads a file; it stands before SETTINGS."""
    return f"\nFROM INFILE {quoted(name)} COMPRESSION 'none' ".encode()


def names_infile(statement: Statement) -> bool:
    """Whether an INSERT reads a file of its own choice, which chDB lets everybody do."""
    return bool(_INFILE.search(statement.text)) and b"INFILE" in names(statement.text)
