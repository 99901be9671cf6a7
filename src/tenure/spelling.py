"""How an event's name is spelt: what all spellings of one name have in common, and its usual forms."""

from __future__ import annotations

import re
from unicodedata import normalize

_SEPARATOR = r"[\s_\-.:/\u2010-\u2015\u2212]"
_SEPARATORS = re.compile(f"{_SEPARATOR}+")
_BETWEEN_DIGITS = re.compile(rf"{_SEPARATOR}(?<=\d{_SEPARATOR}){_SEPARATOR}*(?=\d)")

# Not the two joiners U+200C and U+200D: Persian, Indic scripts and emoji are written with them.
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]"
)
_CONTROL_SPACE = re.compile(r"[\t-\r\x1c-\x1f\x85\u2028\u2029]")

# Latin, Greek, Cyrillic and Armenian lie below U+0590: the scripts in which people write camelCase.
_UPPER = "".join(letter for letter in map(chr, range(0x590)) if letter.isupper())
_LOWER = "".join(letter for letter in map(chr, range(0x590)) if letter.islower())
_CAMEL = re.compile(
    rf"(?<=[{_LOWER}])(?=[{_UPPER}])"  # feature|Used
    rf"|(?<=\d)(?=[{_UPPER}][{_LOWER}])"  # step1|Done, but 3D
    rf"|(?<=[{_UPPER}])(?=[{_UPPER}](?!s(?![{_LOWER}]))[{_LOWER}])"  # API|Key, but URLs
)


def key(name: str) -> str:
    """Equal for names that differ only in case, word separators or Unicode form; empty for a name of separators.

    Numbers stay apart (`step_1_1` is not `step_11`); words do not (`sign_up` is `signup`).
    """
    text = normalize("NFKC", _visible(name).casefold())
    return _SEPARATORS.sub("", _BETWEEN_DIGITS.sub("\0", text))


def words(name: str) -> list[str]:
    """The words of a name in their own case. In a name with spaces, capitals do not begin a word (`GitHub Linked`)."""
    text = _visible(name)
    given = [word for word in _SEPARATORS.split(text) if word]
    if text.islower() or len(text.split()) > 1 < len(given):
        return given
    return [part for word in given for part in _CAMEL.split(word)]


def snake_case(name: str) -> str:
    """`feature_used`; empty for a name without words."""
    return normalize("NFKC", "_".join(words(name)).lower())


def capitalised(name: str) -> str:
    """`Feature Used`. Capitals stay (`API Key Created`), but not those of `FEATURE_USED`."""
    given = words(name)
    if name.isupper() and len(name.split()) == 1 < len(given):
        given = [word.lower() for word in given]
    return normalize("NFKC", " ".join(word[0].title() + word[1:] for word in given))


def has_controls(name: str) -> bool:
    """Whether `without_controls` would change more than whitespace around the name."""
    return not name.isprintable() and bool(_INVISIBLE.search(name) or _CONTROL_SPACE.search(name.strip()))


def without_controls(name: str) -> str:
    """The name without control characters and others that cannot be seen, and without whitespace around it."""
    return name.strip() if name.isprintable() else _INVISIBLE.sub("", _CONTROL_SPACE.sub(" ", name)).strip()


def _visible(name: str) -> str:
    return normalize("NFKC", name if name.isprintable() else _INVISIBLE.sub("", name))
