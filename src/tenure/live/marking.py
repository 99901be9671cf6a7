"""The JSON of what was refused, line by line, with the field that was the reason marked. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

LINES: Final = 400
"""Lines that are shown at the most."""

_STEP = re.compile(r"[^.\[\]]+|\[[0-9]+\]")


class Line(NamedTuple):
    """One line. `is_missing`: what should stand here does not."""

    text: str
    is_marked: bool = False
    is_missing: bool = False


def marked(payload: str, field: str) -> list[Line]:
    """The lines of a JSON text. One that cannot be read, because it was cut, is a line of its own."""
    try:
        value = json.loads(payload)
    except ValueError:
        return [Line(payload, is_marked=True)]
    path = [step if step[0] != "[" else int(step[1:-1]) for step in _STEP.findall(field)] if field else None
    lines = list(_lines(value, path, "", "", ""))
    return lines[:LINES] + ([Line("…")] if len(lines) > LINES else [])


def _lines(value: Any, path: list[Any] | None, indent: str, before: str, after: str) -> Iterator[Line]:
    """`path` leads from this value to the field that is marked; empty: it is this one; None: it is not in here."""
    is_marked = path == []
    opened = isinstance(value, dict | list) and (value or path)
    if not opened:  # what a path would lead into is an object, and this is none
        yield Line(f"{indent}{before}{_text(value)}{after}", path is not None)
        return
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    yield Line(f"{indent}{before}{opening}", is_marked)
    inner = [*value.items()] if isinstance(value, dict) else [*enumerate(value)]
    missing = path and path[0] not in dict(inner)
    for position, (name, child) in enumerate(inner):
        label = f"{_text(name)}: " if isinstance(value, dict) else ""
        below = [] if is_marked else path[1:] if path and path[0] == name else None
        comma = "," if position < len(inner) - 1 else ""
        yield from _lines(child, below, f"{indent}  ", label, comma)
    if missing and path:
        yield Line(f"{indent}  {_text('.'.join(map(str, path)))}: is not there", is_marked=True, is_missing=True)
    yield Line(f"{indent}{closing}{after}", is_marked)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
