"""Where the parts of a statement are: its verb, its FORMAT clause, and the data that follows an INSERT."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    rb"""
      (?P<blank> \s+ | --[^\n]* | \#[!\ ][^\n]* | /\*.*?\*/ )
    | (?P<quoted> '(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*" | `(?:[^`\\]|\\.|``)*` | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ )
    | (?P<word> \w[\w$]* )
    | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)

# What stands between the format's name and the data, as ClickHouse reads it: blanks, then at most one line end.
_BEFORE_DATA = re.compile(rb"[ \t\f]*\r?\n?")

_FOLLOWS_FORMAT = frozenset({b"", b";", b"SETTINGS"})


@dataclass(frozen=True)
class Statement:
    """A statement without its data.

    `verb` is the first word in upper case ("" if there is none); `format` is the name in the FORMAT clause
    or None, and `format_at` the offset of that clause; `data_at` is the offset of the data of an
    `INSERT … FORMAT name`, and None for every other statement; `settings_at` is the offset of the SETTINGS clause
    of such an INSERT, or None.
    """

    text: bytes
    verb: str
    format: str | None = None
    format_at: int | None = None
    data_at: int | None = None
    settings_at: int | None = None


@dataclass(frozen=True)
class _Token:
    text: bytes
    start: int
    end: int
    outermost: bool


def parse(text: bytes) -> Statement:
    """Find the parts of the statement at the start of `text`. Never fails: what is not SQL has no parts."""
    tokens = _tokens(text)
    first = next((token for token in tokens if token.text != b"("), None)
    if first is None:
        return Statement(text, "")
    verb = first.text.decode(errors="replace")
    if verb == "INSERT":
        return _insert(text, tokens)
    return _other(text, verb, tokens)


def quoted(text: str) -> str:
    """A text as a literal of SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def names(text: bytes) -> set[bytes]:
    """The words and the quoted names in `text`, in upper case. A name may keep the escapes that it is written with."""
    return {token.text.strip(b'`"').upper() for token in _tokens(text) if not token.text.startswith(b"'")}


def _tokens(text: bytes) -> Iterator[_Token]:
    """The significant tokens, words in upper case; `outermost` is false inside parentheses."""
    depth = 0
    for match in _TOKEN.finditer(text):
        if match.lastgroup == "blank":
            continue
        token = match.group().upper() if match.lastgroup == "word" else match.group()
        depth -= token in (b")", b"]", b"}")
        yield _Token(token, match.start(), match.end(), depth == 0)
        depth += token in (b"(", b"[", b"{")


def _insert(text: bytes, tokens: Iterator[_Token]) -> Statement:
    """An INSERT: with data after `FORMAT name`, or one that ClickHouse reads to its end (VALUES, SELECT)."""
    previous = None
    settings_at = None
    for token in tokens:
        if token.outermost and token.text in (b"VALUES", b"SELECT", b"WITH"):
            break
        if previous and previous.outermost and previous.text == b"FORMAT":
            blank = _BEFORE_DATA.match(text, token.end)
            data_at = blank.end() if blank else token.end
            head, format_name = text[: previous.start], _text(text, token)
            return Statement(head, "INSERT", format_name, previous.start, data_at, settings_at)
        if token.outermost and token.text == b"SETTINGS" and settings_at is None:
            settings_at = token.start
        previous = token
    return Statement(text, "INSERT")


def _other(text: bytes, verb: str, tokens: Iterator[_Token]) -> Statement:
    """Any other statement. `SELECT format FROM t` has no FORMAT clause: the clause ends the statement."""
    found = [*tokens, _Token(b"", len(text), len(text), True)]
    for before, name, after in zip(found, found[1:], found[2:], strict=False):
        if before.text == b"FORMAT" and before.outermost and after.text in _FOLLOWS_FORMAT:
            return Statement(text, verb, _text(text, name), before.start)
    return Statement(text, verb)


def _text(text: bytes, token: _Token) -> str:
    return text[token.start : token.end].decode(errors="replace")
