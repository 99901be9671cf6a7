"""What an element of Tenure's own form says of attributes: `traits`, `set_once`, `increment` and `unset`."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from tenure.errors import BadRequest
from tenure.event import Changes
from tenure.wire import codes, fields
from tenure.wire.json import canonical

FIELDS: Final = ("traits", "set_once", "increment", "unset")
NAME_LIMIT: Final = 1_024
"""Characters in an attribute's name."""
VALUE_LIMIT: Final = 65_536
"""Characters in a value, as canonical JSON."""

_NOTHING: Final[Mapping[str, object]] = {}


class Given(NamedTuple):
    """What to do with the attributes of a customer or a user."""

    set: Mapping[str, object] = _NOTHING
    once: Mapping[str, object] = _NOTHING
    increment: Mapping[str, object] = _NOTHING
    unset: tuple[str, ...] = ()

    def traits(self) -> str:
        """What is set, as canonical JSON."""
        return fields.canonical_or_empty(self.set)

    def changes(self) -> Changes | None:
        """What else there is to do; None: nothing."""
        if not self.once and not self.increment and not self.unset:
            return None
        once, increment = fields.canonical_or_empty(self.once), fields.canonical_or_empty(self.increment)
        return Changes(set_once=once, increment=increment, unset=self.unset)


def read(source: Mapping[str, object], *, within: str) -> Given:
    """What `source` says, checked. `within` is what stands before its fields in messages. Raises BadRequest."""
    given = Given(
        fields.mapping(source.get("traits"), f"{within}traits"),
        fields.mapping(source.get("set_once"), f"{within}set_once"),
        fields.mapping(source.get("increment"), f"{within}increment"),
        _unset(source.get("unset"), f"{within}unset"),
    )
    _check_once_each(given, within)
    for field, values in (("traits", given.set), ("set_once", given.once)):
        for name, value in values.items():
            _check_value(name, value, f"{within}{field}")
    for name, value in given.once.items():
        if value is None:
            raise fields.wrong_type(_named(f"{within}set_once", name), "a value, not null")
    for name, value in given.increment.items():
        if not _is_number(value):
            raise fields.wrong_type(_named(f"{within}increment", name), "a number")
    return given


def _unset(value: object, field: str) -> tuple[str, ...]:
    """Names, sorted, each once."""
    names: set[str] = set()
    for at, name in enumerate(fields.array(value, field) if value is not None else ()):
        if not isinstance(name, str):
            raise fields.wrong_type(f"{field}[{at}]", "text")
        names.add(name)
    return tuple(sorted(names))


def _check_once_each(given: Given, within: str) -> None:
    """No name in two fields, and none that is too long."""
    seen: set[str] = set()
    names: Collection[str]
    for field, names in zip(FIELDS, given, strict=True):
        for name in names:
            if len(name) > NAME_LIMIT:
                message = f"{within}{field} has a name of more than {NAME_LIMIT} characters."
                raise BadRequest(message, code=codes.TOO_LONG, field=f"{within}{field}")
            if name in seen:
                named = _named(f"{within}{field}", name)
                message = f"{named} is in another of traits, set_once, increment and unset too."
                raise BadRequest(message, code=codes.CONTRADICTION, field=named)
        seen |= set(names)


def _check_value(name: str, value: object, field: str) -> None:
    if isinstance(value, (str, dict, list)) and len(canonical(value)) > VALUE_LIMIT:
        named = _named(field, name)
        message = f"{named} has more than {VALUE_LIMIT} characters as JSON."
        raise BadRequest(message, code=codes.TOO_LONG, field=named)


def _is_number(value: object) -> bool:
    return type(value) is int or (isinstance(value, float) and math.isfinite(value))


def _named(field: str, name: str) -> str:
    """The attribute's full name, unless the name looks more like data than a name."""
    return f"{field}.{name}" if fields.is_plain_name(name) else field
