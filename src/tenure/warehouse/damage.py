"""What is damaged in the warehouse, as far as it is known."""

from __future__ import annotations

import re

import msgspec

# A wrong bit in the size of a block asks for much more memory than any block takes.
HUGE_BLOCK = re.compile(
    r"attempt to allocate chunk of (?:[0-9.]+ GiB|[0-9]{2,}\.[0-9]+ MiB)\), [^:]*: \S+ MiB: "
    r"While reading or decompressing"
)


class PartRows(msgspec.Struct, frozen=True):
    """Rows of one app in a part. Times: milliseconds since 1970 UTC, of receipt where the table has it."""

    app: str
    count: int
    first_at: int | None = None
    last_at: int | None = None


class Damage(msgspec.Struct, frozen=True):
    """One damaged thing: a file, or a part that the engine set aside or cannot read."""

    table: str
    part: str
    """Empty when it is not a part that is damaged."""
    text: str
    """What is wrong, in a sentence, with the name of the file where it is known."""
    file: str = ""
    """Relative to the directory of the warehouse."""
    repaired: bool = False
    """Whether it was put right already."""
    rows: list[PartRows] = []
    """The rows of the part, where they are known."""
