"""Questions that are asked again and again, and whose answer stays while nobody writes to the control database."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

from sqlalchemy import Engine

from tenure.errors import Unavailable

T = TypeVar("T")


class Unchanged:
    """The last answer to each question, of which there are few. Safe to share between threads.

    SQLite tells for a hundredth of what a question costs whether anybody else has written, be it this process, by a
    connection that writes nothing itself. PostgreSQL has nothing like it, and is asked each time.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Any = None
        self._asking = threading.Lock()
        self._answers: dict[Hashable, tuple[int, Hashable, object]] = {}

    def answer(self, question: Hashable, about: Hashable, ask: Callable[[], T]) -> T:
        """What `ask` said when this was asked `about` the same last, if nothing was written since; else what it says.
        What it answers is not to be changed."""
        version = self._version()  # before asking: what is written meanwhile counts as written since
        if version is None:
            return ask()
        known = self._answers.get(question)
        if known is not None and known[:2] == (version, about):
            return cast(T, known[2])
        found = ask()
        self._answers[question] = version, about, found
        return found

    def _version(self) -> int | None:
        if self._engine.dialect.name != "sqlite":
            return None
        with self._asking:
            try:
                if self._connection is None:
                    kept = self._engine.raw_connection()
                    self._connection = kept.driver_connection
                    kept.detach()
                return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
            except (sqlite3.Error, Unavailable):
                self._connection = None  # it might keep the fault; the question will meet the same, and say so
                return None
