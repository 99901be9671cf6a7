"""The one normal form of e-mail addresses. Two spellings are one address when their normal forms are equal.

Said once, here, and never again in SQL: a text in which `ODD` finds nothing is normal in lower case, which any engine
can do; what an odd one comes to, `normal` alone can tell.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote

ODD = r"[^!-~]|[\"(),:;<>\[\]\\]|[xX][nN]--|\.$"
"""What makes the normal form of a text something else than its lower case. For `re.search`, and for RE2."""

_ODD = re.compile(ODD)
_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Characters of no width, and controls."""
_IN_BRACKETS = re.compile(r"[^<>]*<([^<>]*)>\s*", re.DOTALL)
_FINAL_SIGMA = "\u03c2"
"""Which letter a sigma is in lower case depends on what comes after it: so this one is another form of it."""
_COMMENT = re.compile(r"\s*\([^()]*\)\s*\Z")
_SCHEME = "mailto:"
_ENCODED = re.compile(r"xn--[a-z0-9-]+")
_DOTS = str.maketrans("\u3002\uff0e\uff61", "...")
"""Full stops of other scripts, as in the names of hosts."""


def normal(text: str) -> str:
    """The normal form of an address, or of any text: lower case, in NFC, without white space around it, invisible
    characters, a name beside it (`Jane <jane@x.example>`), `mailto:` and the full stop at the end; the domain in
    Unicode, not in Punycode. The normal form of a normal form is itself."""
    if _ODD.search(text) is None:
        return text.lower()
    while (simpler := _simpler(text)) != text:
        text = simpler
    return text


def former(text: str) -> str:
    """What older releases took for the normal form: what they stored is kept under it."""
    return unicodedata.normalize("NFC", text.strip()).lower()


def parts(text: str) -> tuple[str, str] | None:
    """What stands before and after the @ of the normal form, neither empty; None when it is no address."""
    before, _, after = normal(text).partition("@")
    return (before, after) if before and after and "@" not in after else None


def simplified(text: str) -> str:
    """A longer text in which every address is written simpler, be other words changed with it: for searching."""
    return _ENCODED.sub(lambda found: _label(found[0]), _composed(_INVISIBLE.sub("", unquote(text))))


def _simpler(text: str) -> str:
    """The same address, written simpler in one way or another, if it can be; never longer in the end."""
    text = unicodedata.normalize("NFC", _INVISIBLE.sub("", text).strip()).lower().replace(_FINAL_SIGMA, "\u03c3")
    if (found := _IN_BRACKETS.fullmatch(text)) is not None:
        text = found[1].strip()
    text = _COMMENT.sub("", text)
    if text.startswith(_SCHEME):
        text = unquote(text.removeprefix(_SCHEME).partition("?")[0])
    before, at, domain = text.rpartition("@")
    if not at:
        return text
    domain = _composed(domain.translate(_DOTS)).strip().removesuffix(".")
    labels = ".".join(_label(label) for label in domain.split("."))
    return f"{before.strip()}@{labels}"


def _label(label: str) -> str:
    """A label of a domain in Unicode, where it is in Punycode."""
    if not label.startswith("xn--") or not label.isascii():
        return label
    try:
        decoded = label.removeprefix("xn--").encode().decode("punycode")
    except (UnicodeError, OverflowError):
        return label
    is_one = not decoded.isascii() and _composed(_INVISIBLE.sub("", decoded)) == decoded and "@" not in decoded
    return decoded if is_one else label


def _composed(text: str) -> str:
    return unicodedata.normalize("NFKC", text).lower().replace(_FINAL_SIGMA, "\u03c3")
