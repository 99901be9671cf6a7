"""Oddities of JSON, and what each becomes: one table for the tests and for `docs/json.md`.

`python -m tests.wire.oddities` writes the page.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

PAGE = Path(__file__).parent.parent.parent / "docs" / "json.md"

MEGABYTE = 1_000_000


class Refused(NamedTuple):
    """Not taken, under this code of `docs/refusals.md`."""

    code: str


class Oddity(NamedTuple):
    """Something odd in one place of an otherwise good event."""

    what: str
    raw: bytes | Callable[[int], bytes]
    """The JSON text in that place; in `properties` also a function of the levels around it."""
    becomes: Any
    """The value that is kept, `AS_SENT`, or `Refused`."""
    sent: str = ""
    """How the page shows `raw`, where it cannot be printed."""
    but: Mapping[str, Any] = {}
    """What it becomes in a dialect that differs."""


def nested(opening: bytes, closing: bytes, levels: int) -> Callable[[int], bytes]:
    """An object of `levels` levels in the whole document."""
    return lambda around: b'{"a":' + opening * (levels - around - 1) + closing * (levels - around - 1) + b"}"


def nested_objects(levels: int) -> Callable[[int], bytes]:
    """The same, of objects alone."""
    return lambda around: b'{"a":' * (levels - around - 1) + b"{}" + b"}" * (levels - around - 1)


INVALID, DEEP, TYPE = Refused("invalid_json"), Refused("too_deep"), Refused("wrong_type")
MISSING, LONG, NAME = Refused("missing_field"), Refused("too_long"), Refused("invalid_name")
AS_SENT = "as sent"
NOT_SNAKE = {"whisperr": NAME}

PROPERTIES = [
    Oddity("a key twice: the last counts", b'{"a":1,"a":2}', {"a": 2}),
    Oddity("a key twice, once escaped", rb'{"a":1,"\u0061":2}', {"a": 2}),
    Oddity("not a number", b'{"n":NaN}', {"n": None}),
    Oddity("infinities", b'{"n":[Infinity,-Infinity]}', {"n": [None, None]}),
    Oddity("a number beyond a double", b'{"n":[1e400,-1e400]}', {"n": [None, None]}),
    Oddity("a number next to zero", b'{"n":1E-400}', {"n": 0.0}),
    Oddity("minus zero", b'{"n":[-0,-0.0]}', {"n": [0, -0.0]}),
    Oddity("an integer, and the same as a fraction", b'{"n":[1,1.0,1e0]}', {"n": [1, 1.0, 1.0]}),
    Oddity("2^53 + 1", b'{"n":9007199254740993}', {"n": 2**53 + 1}),
    Oddity("2^64", b'{"n":18446744073709551616}', {"n": 2**64}),
    Oddity("2^70", b'{"n":1180591620717411303424}', {"n": 2**70}),
    Oddity("an integer of 4,300 digits", b'{"n":' + b"9" * 4_300 + b"}", AS_SENT, '`{"n":999…}`'),
    Oddity("an integer of 4,301 digits", b'{"n":' + b"9" * 4_301 + b"}", {"n": None}, '`{"n":9999…}`'),
    Oddity("a fraction of many digits", b'{"n":0.1234567890123456789}', {"n": 0.12345678901234568}),
    Oddity("a leading zero", b'{"n":01}', INVALID),
    Oddity("a leading plus", b'{"n":+1}', INVALID),
    Oddity("a bare fraction", b'{"n":.5}', INVALID),
    Oddity("a hexadecimal number", b'{"n":0x10}', INVALID),
    Oddity("a lone high surrogate", rb'{"s":"\ud800"}', {"s": "\ufffd"}),
    Oddity("a lone low surrogate", rb'{"s":"\udfffx"}', {"s": "\ufffdx"}),
    Oddity("a surrogate in a key", rb'{"\ud800":1}', {"\ufffd": 1}),
    Oddity("a surrogate pair", rb'{"s":"\ud83d\ude00"}', {"s": "\U0001f600"}),
    Oddity("a surrogate in raw UTF-8", b'{"s":"\xed\xa0\x80"}', INVALID, '`{"s":"` ED A0 80 `"}`'),
    Oddity("NUL, escaped", rb'{"s":"a\u0000b"}', {"s": "a\x00b"}),
    Oddity("NUL, raw", b'{"s":"\x00"}', INVALID, '`{"s":"` 00 `"}`'),
    Oddity("a raw line break in text", b'{"s":"a\nb"}', INVALID, '`{"s":"a` 0A `b"}`'),
    Oddity("an unknown escape", rb'{"s":"\x41"}', INVALID),
    Oddity("invalid UTF-8", b'{"s":"\xff"}', INVALID, '`{"s":"` FF `"}`'),
    Oddity("an overlong form in UTF-8", b'{"s":"\xc0\xaf"}', INVALID, '`{"s":"` C0 AF `"}`'),
    Oddity("a line separator, U+2028", '{"s":"a\u2028b"}'.encode(), {"s": "a\u2028b"}, '`{"s":"a` U+2028 `b"}`'),
    Oddity("a noncharacter, U+FFFF", '{"s":"\uffff"}'.encode(), {"s": "\uffff"}, '`{"s":"` U+FFFF `"}`'),
    Oddity("text of 1 MB", b'{"s":"' + b"x" * MEGABYTE + b'"}', AS_SENT, '`{"s":"xxx…"}`'),
    Oddity("an empty key", b'{"":1}', {"": 1}),
    Oddity("a key with dots, quotes and NUL", b'{"a.b":1,"\\"\'":2,"\\u0000":3}', {"a.b": 1, "\"'": 2, "\x00": 3}),
    Oddity("a key of 100,000 characters", b'{"' + b"k" * 100_000 + b'":1}', AS_SENT, '`{"kkk…":1}`'),
    Oddity("`__proto__` as a key", b'{"__proto__":{"a":1}}', {"__proto__": {"a": 1}}),
    Oddity("10,000 keys", b"{" + b",".join(b'"%d":0' % n for n in range(10_000)) + b"}", AS_SENT,
           '`{"0":0,"1":0,…}`'),
    Oddity("64 levels of arrays in the whole body", nested(b"[", b"]", 64), AS_SENT, '`{"a":[[…]]}`'),
    Oddity("65 levels of arrays", nested(b"[", b"]", 65), DEEP, '`{"a":[[[…]]]}`'),
    Oddity("64 levels of objects in the whole body", nested_objects(64), AS_SENT, '`{"a":{"a":…}}`'),
    Oddity("65 levels of objects", nested_objects(65), DEEP, '`{"a":{"a":{"a":…}}}`'),
    Oddity("5,000 levels of arrays", nested(b"[", b"]", 5_000), DEEP, '`{"a":[[[…]]]}`'),
    Oddity("5,000 levels of objects", nested_objects(5_000), DEEP, '`{"a":{"a":{"a":…}}}`'),
    Oddity("a trailing comma", b'{"a":1,}', INVALID),
    Oddity("a comment", b'{"a":1/* one */}', INVALID),
    Oddity("single quotes", b"{'a':1}", INVALID),
    Oddity("a key without quotes", b"{a:1}", INVALID),
    Oddity("`undefined`", b'{"a":undefined}', INVALID),
    Oddity("`True` of Python", b'{"a":True}', INVALID),
    Oddity("an empty array for an empty object", b"[]", {}, but={"customerscore": []}),
    Oddity("an array", b"[1]", TYPE, but={"customerscore": [1]}),
    Oddity("text", b'"{}"', TYPE, but={"customerscore": "{}"}),
]  # fmt: skip
"""As the whole value of `properties`."""

IDS = [
    Oddity("an integer", b"1", "1"),
    Oddity("zero", b"0", "0"),
    Oddity("minus zero", b"-0", "0"),
    Oddity("2^70", b"1180591620717411303424", "1180591620717411303424"),
    Oddity("an integer of 4,301 digits", b"9" * 4_301, MISSING, "`9999…`"),
    Oddity("an integer of 1,025 digits", b"9" * 1_025, LONG, "`999…`"),
    Oddity("a whole number written as a fraction", b"1.0", TYPE),
    Oddity("a whole number with an exponent", b"1e3", TYPE),
    Oddity("not a number: null, hence absent", b"NaN", MISSING),
    Oddity("true", b"true", TYPE),
    Oddity("an object", b"{}", TYPE),
    Oddity("an array", b'["a"]', TYPE),
    Oddity("null", b"null", MISSING),
    Oddity("empty", b'""', MISSING),
    Oddity("blank", rb'" \t\n\u00a0\u2003"', MISSING),
    Oddity("spaces around", b'" a "', " a "),
    Oddity("NUL", rb'"a\u0000b"', "a\x00b"),
    Oddity("a lone surrogate", rb'"\ud800"', "\ufffd"),
    Oddity("an emoji of several characters", '"\U0001f469\u200d\U0001f680"'.encode(), "\U0001f469\u200d\U0001f680"),
    Oddity("two normal forms are two ids (composed)", '"\u00e9"'.encode(), "\u00e9", "`é` (U+00E9)"),
    Oddity("two normal forms are two ids (decomposed)", '"e\u0301"'.encode(), "e\u0301", "`é` (e, U+0301)"),
    Oddity("text of 1 MB", b'"' + b"x" * MEGABYTE + b'"', LONG, '`"xxx…"`'),
]
"""As the customer's id."""

NAMES = [
    Oddity("empty", b'""', MISSING),
    Oddity("blank", b'" "', MISSING),
    Oddity("null", b"null", MISSING),
    Oddity("an integer", b"7", TYPE),
    Oddity("true", b"true", TYPE),
    Oddity("NUL", rb'"\u0000"', "\x00", but=NOT_SNAKE),
    Oddity("escapes", rb'"\u0050ost\/\"Created\""', 'Post/"Created"', but=NOT_SNAKE),
    Oddity("case and spaces", b'" Post  Created "', " Post  Created ", but=NOT_SNAKE),
    Oddity("a lone surrogate", rb'"\udc00"', "\ufffd", but=NOT_SNAKE),
    Oddity("an emoji as a pair", rb'"\ud83d\ude00"', "\U0001f600", but=NOT_SNAKE),
    Oddity("the same emoji raw", '"\U0001f600"'.encode(), "\U0001f600", but=NOT_SNAKE),
    Oddity("U+2028", '"a\u2028b"'.encode(), "a\u2028b", '`"a` U+2028 `b"`', but=NOT_SNAKE),
    Oddity("text of 1 MB", b'"' + b"x" * MEGABYTE + b'"', LONG, '`"xxx…"`'),
]
"""As the event's name."""

TAKEN = "taken"
Change = Callable[[bytes], bytes]

BODIES: list[tuple[str, Change, Any]] = [
    ("a byte order mark before it", lambda body: b"\xef\xbb\xbf" + body, TAKEN),
    ("white space around it", lambda body: b"\r\n\t " + body + b" \n", TAKEN),
    ("two byte order marks", lambda body: b"\xef\xbb\xbf" * 2 + body, INVALID),
    ("UTF-16 with a mark", lambda body: body.decode().encode("utf-16"), INVALID),
    ("UTF-16 without a mark", lambda body: body.decode().encode("utf-16-le"), INVALID),
    ("UTF-32", lambda body: body.decode().encode("utf-32"), INVALID),
    ("Latin-1", lambda body: body.replace(b"odd", b"\xe9"), INVALID),
    ("a comma after it", lambda body: body + b",", INVALID),
    ("a second value after it", lambda body: body + body, INVALID),
    ("NUL after it", lambda body: body + b"\0", INVALID),
    ("a comment before it", lambda body: b"// one\n" + body, INVALID),
    ("cut off", lambda body: body[:-1], INVALID),
    ("empty", lambda body: b"", INVALID),
    ("white space alone", lambda body: b" \r\n", INVALID),
    ("NaN", lambda body: b"NaN", TYPE),
    ("null", lambda body: b"null", TYPE),
    ("true", lambda body: b"true", TYPE),
    ("a number", lambda body: b"7", TYPE),
    ("text", lambda body: b'"text"', TYPE),
    ("the body as JSON text in JSON", lambda body: json.dumps(body.decode()).encode(), TYPE),
    ("a form", lambda body: b"event=login&uid=1", INVALID),
    ("a million brackets", lambda body: b"[" * 1_000_000, DEEP),
]
"""The whole body, made from a good one."""

HEAD = """# JSON

How a request's body is read, in every dialect. What a client's own fault cannot damage is taken: a byte order mark,
bare `NaN` and `Infinity`, numbers that no double holds, halves of surrogate pairs, a key given twice. All else that is
not JSON is refused, with its place (line and column, or byte) and never its content. What is kept is the value: two
spellings of the same value, with keys in another order or other escapes, are the same event. Only `1` and `1.0` stay
two values.

Made from the table in the tests by `python -m tests.wire.oddities`. Every row is a test of each dialect, and is sent
through a server to the timeline. A code is one of [refusals](refusals.md). Customerscore's events have no
`properties`: there it is an unknown field, of any type.
"""


def page() -> str:
    """The whole page."""
    return "\n".join(
        [
            HEAD,
            *_section("The body", [_body_row(*row) for row in BODIES], "the whole body is | becomes"),
            *_section("Properties", [_row(odd) for odd in PROPERTIES], "`properties` has | as sent | becomes"),
            *_section("Identifiers", [_row(odd) for odd in IDS], "the customer's id is | as sent | becomes"),
            *_section("Names", [_row(odd) for odd in NAMES], "the event's name is | as sent | becomes"),
        ]
    )


def _section(title: str, rows: list[str], heads: str) -> list[str]:
    return [f"## {title}\n", f"| {heads} |", "| --- " * (heads.count("|") + 1) + "|", *rows, ""]


def _body_row(what: str, _: Change, becomes: Any) -> str:
    return f"| {what} | {becomes if becomes == TAKEN else _shown(becomes)} |"


def _row(odd: Oddity) -> str:
    sent = odd.sent or _code(odd.raw.decode() if isinstance(odd.raw, bytes) else "")
    kept = _shown(odd.becomes)
    kept += "".join(f" ({dialect.capitalize()}: {_shown(other)})" for dialect, other in odd.but.items())
    return f"| {odd.what} | {sent} | {kept} |"


def _shown(value: Any) -> str:
    if isinstance(value, Refused):
        return f"refused: `{value.code}`"
    return AS_SENT if value == AS_SENT else _code(json.dumps(value))


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
