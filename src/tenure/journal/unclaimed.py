"""Journals without a writer."""

from __future__ import annotations

from pathlib import Path

from tenure.journal.slot import try_lock
from tenure.journal.writer import Acknowledged, Journal, nothing_known


def prune_unclaimed(directory: Path, acknowledged: Acknowledged = nothing_known) -> None:
    """Prune and scrub the journals whose writer is gone for good (fewer workers than before, an import that ended).

    What is not loaded of one that was set aside goes into another journal.
    """
    for path in directory.glob("*.sqlite"):
        lock = try_lock(directory, int(path.stem))
        if lock is None:
            continue
        journal = Journal.usable(directory, int(path.stem), lock, 0, acknowledged)
        if not isinstance(journal, Journal):
            lock.close()
            if journal is not None:
                Journal.claim(directory, 0, acknowledged).close()
            continue
        try:
            while journal.prune():
                pass
            journal.scrub()
        finally:
            journal.close()
