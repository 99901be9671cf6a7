"""What a person at a terminal sees of an import; elsewhere nothing."""

from __future__ import annotations

from datetime import timedelta
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tenure.event import Refusal
from tenure.importer.mapping import FieldMapping

LEAST_SECONDS = 2.0
"""After so long, how long the rest takes can be told."""
EXAMPLES = 5
"""Refused rows that are shown."""


class ProgressBar:
    """A bar on standard error: first how much has been read, then how much has been loaded."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, soft_wrap=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._progress.add_task("reading", total=1.0, detail="")
        self._start_rows: int | None = None
        self._start_fraction = 0.0
        self._most_waiting = 0
        self._examples = 0

    def __enter__(self) -> ProgressBar:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def began(self, mapping: FieldMapping) -> None:
        """Show how the columns are understood."""
        said = [] if mapping.preset is None else [f"read as an export of {mapping.preset} (--from)"]
        given = said + [f"{field}: column {column}" for field, column in mapping.columns.items()]
        given += [f"{field}: {value!r}" for field, value in mapping.constants.items()]
        self._console.print("\n".join(given), style="dim", markup=False, highlight=False)

    def reading(self, rows: int, fraction: float) -> None:
        """So much has been read; `fraction` of the file, from 0 to 1."""
        if self._start_rows is None:
            self._start_rows = rows
            self._start_fraction = fraction
        seconds = self._progress.tasks[0].elapsed or 0.0
        speed = (rows - self._start_rows) / seconds if seconds else 0.0
        detail = f"{rows:,} rows, {speed:,.0f} rows/s{self._left(seconds, fraction)}"
        self._progress.update(self._task, description="reading", completed=fraction, total=1.0, detail=detail)

    def _left(self, seconds: float, fraction: float) -> str:
        """How long it takes to read the rest, if it goes on as until now."""
        done = fraction - self._start_fraction
        if done <= 0 or seconds < LEAST_SECONDS:
            return ""
        left = timedelta(seconds=round(seconds * (1 - fraction) / done))
        return f", {left} left"

    def waiting(self, entries: int) -> None:
        """Waits for the loader, which has so many entries before it."""
        self._most_waiting = max(self._most_waiting, entries)
        loaded = self._most_waiting - entries
        detail = f"{loaded:,} of {self._most_waiting:,} batches in the warehouse"
        self._progress.update(
            self._task, description="loading", completed=loaded, total=self._most_waiting, detail=detail
        )

    def refused(self, refusal: Refusal) -> None:
        """Show the first few refused rows: what was wrong, and where."""
        self._examples += 1
        if self._examples <= EXAMPLES:
            self._console.print(refusal.message, style="yellow", markup=False, highlight=False)
        elif self._examples == EXAMPLES + 1:
            self._console.print("…", style="yellow")
