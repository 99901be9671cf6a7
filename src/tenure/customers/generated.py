"""Which names look as if a program had put a value into them, so that there is no end of such names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection

MANY = 50
"""Names that differ in their numbers alone: so many are taken as generated, whatever the numbers are."""

_RECORDS = (
    "user|customer|account|contact|member|team|org|workspace|project|session|order|invoice|payment|subscription|"
    "ticket|post|id|uid"
)
_ADDRESS = re.compile(r"[^\s@]@[^\s@.]+\.[^\s@.]|[A-Za-z]://\S|(?<!\w)www\.\w")
_VALUE = re.compile(
    r"(?<![a-z0-9])(?:"
    rf"({_RECORDS})[\s_\-.:/#=]*(?!360)\d{{3,}}(?!\d)"  # a record's number; "Customer 360" is a product
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-f])"  # a UUID
    r"|(?=(?:[a-z]*\d){4})[a-z0-9]{16,})"  # a random id
    r"|(?<!\d)(?:"
    r"(?:19|20)\d\d[-_/.](?:0[1-9]|1[0-2])[-_/.](?:0[1-9]|[12]\d|3[01])(?!\d)"  # a date
    r"|(?!\d0+(?!\d))\d{6,})"  # an id or a time; 100000 is a milestone
    r"|(?<!\S)(?P<path>(?:/[\w.~%-]+)+?)/\d+(?=[/?#\s]|\Z)",  # a path to a record
    re.IGNORECASE | re.ASCII,
)
_NUMBER = re.compile(r"[0-9]+")


def find(names: Collection[str]) -> dict[str, str]:
    """The names that look generated, each with what is left of it without the values: empty when that says nothing."""
    suspects = [name for name in names if "@" in name or "://" in name or _NUMBER.search(name)]
    templates = {name: _NUMBER.sub("0", name) for name in suspects}
    sizes = Counter(templates.values())
    found = {}
    for name in suspects:
        if _ADDRESS.search(name):
            found[name] = ""
        elif _VALUE.search(name):
            found[name] = _VALUE.sub(lambda value: value[1] or value["path"] or "", name)
        elif sizes[templates[name]] >= MANY:
            found[name] = _NUMBER.sub("", name)
    return found
