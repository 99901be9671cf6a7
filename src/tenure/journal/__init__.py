"""The journal: accepted requests on disk, between the acknowledgement and the warehouse.

A journal is one SQLite file in WAL mode with `synchronous=FULL`, one row per request with a checksum. It has
exactly one writer, the process that claimed its slot, which appends and also prunes; the loader only reads.
So nothing that the loader does, not even hanging, can hold up an append.

    directory/0.lock       held (flock) by the writer of slot 0
    directory/0.sqlite     its journal
    directory/0.aside.json is there when nobody may write to that journal any more, and says why (see `Aside`)
    directory/loaded.json  what the loader has put into the warehouse durably, per journal id (see `Loaded`)
    directory/awaited      is there while somebody waits for the loader, which removes it before it reads

`writer` appends and prunes, `group` does so for an event loop, `reader` reads, `received` has the counts of what was
acknowledged, which a journal keeps in the transaction of each append.
"""

from tenure.journal.aside import Aside, asides, counted_aside
from tenure.journal.group import GroupCommit
from tenure.journal.loaded import Loaded
from tenure.journal.reader import (
    COUNTED,
    MEBIBYTE,
    JournalReader,
    Row,
    last_positions,
    open_all,
    readers,
    restore_clock,
    used_bytes,
)
from tenure.journal.unclaimed import prune_unclaimed
from tenure.journal.writer import RETRY_SECONDS, Journal

AWAITED = "awaited"

__all__ = [
    "AWAITED",
    "COUNTED",
    "MEBIBYTE",
    "RETRY_SECONDS",
    "Aside",
    "GroupCommit",
    "Journal",
    "JournalReader",
    "Loaded",
    "Row",
    "asides",
    "counted_aside",
    "last_positions",
    "open_all",
    "prune_unclaimed",
    "readers",
    "restore_clock",
    "used_bytes",
]
