"""Identifiers of an app that link nothing, since they are nobody's in particular: what to tell who sends them."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from tenure.control.holding import MOST
from tenure.control.links import Links
from tenure.identity import Identifier
from tenure.placeholder import NO_ADDRESSES, WORDS, is_placeholder
from tenure.warehouse.client import Tenant

PLACEHOLDER: Final = "placeholder_identifier"
JOINS_TOO_MANY: Final = "joins_too_many"
SHOWN: Final = 100

_WORD = "|".join(re.escape(word) for word in sorted(WORDS))
_NO_ADDRESS = "|".join(sorted(NO_ADDRESSES))
_AROUND = r"""[\s\pZ\p{Cf}"'`]*"""
_PERHAPS = rf"(?i)^{_AROUND}(?:(?:{_WORD}|\[object.*\]){_AROUND}$|\{{\{{|\$\{{|\{{%|<%|(?:{_NO_ADDRESS})@)"
_PLACEHOLDERS = """
SELECT kind, value FROM identifier FINAL WHERE length(value) < 256 AND match(value, {perhaps:String})
ORDER BY kind, value LIMIT 1000
"""


class Unfit(msgspec.Struct):
    """An identifier that links nothing. `joins`: how many ids of other kinds came with it; null for a placeholder."""

    code: str
    kind: str
    value: str
    message: str
    joins: int | None


def unfit(tenant: Tenant, links: Links) -> list[Unfit]:
    """Those of an app: placeholders that came, then what is held since it joins too many. Raises Unavailable."""
    rows = tenant.rows(_PLACEHOLDERS, {"perhaps": _PERHAPS})
    found = [Identifier(str(kind), value) for kind, value in rows if is_placeholder(str(kind), value)]
    told = [Unfit(PLACEHOLDER, one.kind, one.value, _placeholder(one), None) for one in found[:SHOWN]]
    held = [one for one in links.crowded(tenant.app) if not one.is_large and one.identifier not in found]
    return told + [
        Unfit(
            JOINS_TOO_MANY,
            one.identifier.kind,
            one.identifier.value,
            _joins_too_many(one.identifier, one.joins),
            one.joins,
        )
        for one in held[:SHOWN]
    ]


def _placeholder(found: Identifier) -> str:
    return (
        f"The {found.kind} {found.value!r} is a placeholder: it links nothing, and what came with it is kept under its "
        f"other identifiers. Send no {found.kind} where there is none."
    )


def _joins_too_many(found: Identifier, count: int) -> str:
    return (
        f"The {found.kind} {found.value!r} came with {count:,} customer ids, uids or billing ids, over {MOST}: it is "
        "held as ambiguous and links nothing. If it is an account that really is so large, say so: POST "
        "/v1/identifiers/large, or tenure app large."
    )
