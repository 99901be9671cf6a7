"""Errors of the engine, in ClickHouse's form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

_ERROR = re.compile(r"Code: (\d+)\.")

SYNTAX_ERROR = 62
UNKNOWN_EXCEPTION = 1002
INTO_OUTFILE_NOT_ALLOWED = 232
CANNOT_FSYNC = 204
NOT_ENOUGH_SPACE = 243
CANNOT_WRITE_TO_FILE = 75
UNKNOWN_SETTING = 115
READONLY = 164
ACCESS_DENIED = 497


class DatabaseError(Exception):
    """The engine refused or failed a statement: ClickHouse's error code, and its text ("Code: N. …")."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text

    @classmethod
    def because(cls, code: int, reason: str, name: str) -> DatabaseError:
        """An error of our own, in ClickHouse's form."""
        return cls(code, f"Code: {code}. DB::Exception: {reason}. ({name})")


@contextmanager
def translated_errors() -> Iterator[None]:
    """chDB raises RuntimeError with ClickHouse's text, sometimes after a few words of its own."""
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        code = _ERROR.search(text)
        if code is None:
            raise DatabaseError.because(UNKNOWN_EXCEPTION, text, "UNKNOWN_EXCEPTION") from error
        raise DatabaseError(int(code[1]), text[code.start() :].strip()) from error
