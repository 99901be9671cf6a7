"""Conditions on attributes as they are written in a URL: `name:op:value`, or `name:exists`, `name:missing`. Pure.

A name may be any text. One that has an operator in it, as `a:eq:b`, leaves more than one way to read a condition: each
is meant, since hardly anybody has an attribute of the other name. As a JSON string (`"a:eq:b":eq:c`) it leaves one.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import msgspec

BARE: Final = ("exists", "missing")
"""Operators that take no value."""
MAX_READINGS: Final = 8

_OPERATOR = re.compile(r":(?:(?P<with>eq|ne|gt|lt):|(?P<bare>exists|missing)\Z)")
_QUOTED = re.compile(r'("(?:[^"\\]|\\.)*")(:.*)', re.DOTALL)


class Reading(NamedTuple):
    """One way to read a condition."""

    name: str
    operator: str
    value: str = ""


def readings(text: str) -> list[Reading]:
    """All ways to read a condition, the one with the shortest name first; none when it is none."""
    if (quoted := _QUOTED.fullmatch(text)) is not None and (name := _unquoted(quoted[1])) is not None:
        found = _OPERATOR.match(quoted[2])
        if found is not None:
            return [_reading(name, quoted[2], found)]
    every = [_reading(text[: found.start()], text, found) for found in _each(text)]
    # Nearly everybody lacks the attribute of a long name: that is what is asked only if nothing else can be.
    return [one for one in every if one.operator != "missing" or len(every) == 1]


def written(name: str, operator: str, value: str = "") -> str:
    """The condition as text, with the name in quotes where it would not be plain without."""
    plain = name and not name.startswith('"') and _OPERATOR.search(f"{name}:") is None
    left = name if plain else msgspec.json.encode(name).decode()
    return f"{left}:{operator}" + ("" if operator in BARE else f":{value}")


def _each(text: str) -> list[re.Match[str]]:
    """Every place of an operator; of `:eq:eq:`, both."""
    places = [found for at in range(len(text)) if text[at] == ":" and (found := _OPERATOR.match(text, at)) is not None]
    return places[: MAX_READINGS + 1]


def _reading(name: str, text: str, found: re.Match[str]) -> Reading:
    return Reading(name, found["with"] or found["bare"], text[found.end() :])


def _unquoted(text: str) -> str | None:
    try:
        return msgspec.json.decode(text, type=str)
    except msgspec.DecodeError:
        return None
