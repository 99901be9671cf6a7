"""Words that programs send in the place of an identifier that they do not have. Pure.

`docs/identity.md` lists them. They identify nobody: thousands of customers have "the same" one.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

WORDS: Final = frozenset({
    "undefined", "null", "nil", "none", "nan", "(null)", "<null>", "n/a", "true", "false",
    "unknown", "anonymous", "guest", "not_authenticated", "0", "-1", "00000000-0000-0000-0000-000000000000",
})  # fmt: skip
"""In any case, with blanks or quotes around them or without."""
NO_ADDRESSES: Final = frozenset({"undefined", "null", "nil", "none", "nan"})
"""What stands before the `@` of an address that a program made of nothing."""

_UNFILLED = re.compile(r"\[object( \w+)?\]|\{\{.*\}\}|\$\{.*\}|\{%.*%\}|<%.*%>", re.DOTALL)
"""An object written as text, and a template that nobody filled in."""
_AROUND = " \t\r\n\f\v\0\"'`\u00a0\u200b\u200c\u200d\u2060\ufeff"
_LONGEST = 256


@lru_cache(maxsize=50_000)
def is_placeholder(kind: str, value: str) -> bool:
    """Whether an identifier of a kind stands for no customer, whoever sends it."""
    if len(value) > _LONGEST:
        return False
    word = value.strip().strip(_AROUND).strip().casefold()
    if word in WORDS or _UNFILLED.fullmatch(word) is not None:
        return True
    local, at, _ = word.rpartition("@")
    return kind == "email" and bool(at) and (local in NO_ADDRESSES or _UNFILLED.fullmatch(local) is not None)
