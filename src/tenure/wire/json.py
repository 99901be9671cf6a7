"""JSON as clients really send it: read tolerantly, written in one canonical form.

What JSON allows and what a client's faults cannot damage is taken: a byte order mark, bare `NaN` and
`Infinity` (read as null), numbers too large to hold (null), unpaired surrogates (U+FFFD), a key given twice
(the last one counts). Everything else that is not JSON is refused as a whole.
"""

from __future__ import annotations

import json
import math
import re
from codecs import BOM_UTF8

import msgspec

from tenure.errors import BadRequest
from tenure.wire import codes

MAX_DEPTH = 64
"""Levels of arrays and objects within each other, counted over the whole document; `[]` is one level."""

_encode = msgspec.json.Encoder(order="sorted").encode

# Reads the escapes of a text one after another, so that `\\ud800` (a backslash and five letters) is not taken
# for a surrogate. Group 1: an unpaired surrogate.
_ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.", re.DOTALL
)


def parse(body: bytes) -> object:
    """The JSON value that `body` holds.

    Integers keep their value up to 4,300 digits (Python's own limit); a longer one is null, as is a number
    beyond a double. Raises `BadRequest`: `invalid_json` with the position, or `too_deep`.
    """
    try:
        value = _decode(body)
    except RecursionError:
        raise _too_deep() from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        value = _parse_tolerantly(body)
    if _is_deeper(value, MAX_DEPTH):
        raise _too_deep()
    return value


def canonical(value: object) -> str:
    """The one text of a JSON value: keys sorted, no spaces, no NaN, no unpaired surrogates.

    `value` is made of what `parse` gives. Equal values have equal texts, and `parse` reads every text back.
    """
    try:
        return _encode(value).decode()
    except UnicodeEncodeError:  # an unpaired surrogate, which only values from elsewhere can hold
        return _encode(parse(json.dumps(value).encode())).decode()


def _parse_tolerantly(body: bytes) -> object:
    if not body.strip():
        raise BadRequest("The body is empty; it must be JSON.", code=codes.INVALID_JSON)
    try:
        text = body.removeprefix(BOM_UTF8).decode()
    except UnicodeDecodeError as fault:
        at = fault.start + (len(BOM_UTF8) if body.startswith(BOM_UTF8) else 0)
        raise BadRequest(f"The body is not UTF-8: byte {at} cannot be read.", code=codes.INVALID_JSON) from None
    try:
        return json.loads(
            _ESCAPE.sub(_without_unpaired_surrogate, text),
            parse_constant=lambda _: None,
            parse_float=_finite_or_none,
            parse_int=_integer_or_none,
        )
    except RecursionError:
        raise _too_deep() from None
    except json.JSONDecodeError as fault:
        where = f"line {fault.lineno}, column {fault.colno}"
        raise BadRequest(f"The body is not JSON: it cannot be read at {where}.", code=codes.INVALID_JSON) from None


def _without_unpaired_surrogate(escape: re.Match[str]) -> str:
    return r"\ufffd" if escape[1] else escape[0]


def _finite_or_none(literal: str) -> float | None:
    number = float(literal)
    return number if math.isfinite(number) else None


def _integer_or_none(literal: str) -> int | None:
    try:
        return int(literal)
    except ValueError:  # more digits than Python converts
        return None


# msgspec's own reading of a number near the ends of a double takes up to 100 times as long as Python's, which a body
# full of them could hold a process up with.
_decode = msgspec.json.Decoder(float_hook=_finite_or_none).decode


def _is_deeper(value: object, levels: int) -> bool:
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(levels):
        level = [
            child
            for node in level
            for child in (node.values() if type(node) is dict else node)
            if type(child) is dict or type(child) is list
        ]
        if not level:
            return False
    return True


def _too_deep() -> BadRequest:
    return BadRequest(f"The JSON has more than {MAX_DEPTH} levels of arrays and objects.", code=codes.TOO_DEEP)
