"""Reads an object of JSON field by field: one that cannot be read costs the others nothing. Pure."""

from __future__ import annotations

from typing import Any, TypeVar, get_args, get_origin

import msgspec
from msgspec import Raw

One = TypeVar("One", bound=msgspec.Struct)

_UNREADABLE = (msgspec.DecodeError, RecursionError)


def read(text: str | bytes | Raw, form: type[One], within: frozenset[type[msgspec.Struct]]) -> tuple[One, bool]:
    """The object of a form, and whether all of it could be read.

    So are the objects of the forms `within` read that are fields of it, or in lists that are. What cannot be read is as
    if it were absent. Raises DecodeError and RecursionError where a field that must be there cannot be.
    """
    try:
        return msgspec.json.decode(text, type=form), True
    except _UNREADABLE:
        pass
    given = msgspec.json.decode(text, type=dict[str, Raw])
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(form):
        if field.encode_name in given:
            try:
                found[field.encode_name] = _field(given[field.encode_name], field.type, within)
            except _UNREADABLE:
                if field.required:
                    raise
    try:
        return form(**found), False
    except TypeError:
        raise msgspec.ValidationError("a field is missing") from None


def _field(text: Raw, kind: Any, within: frozenset[type[msgspec.Struct]]) -> Any:
    try:
        return msgspec.json.decode(text, type=kind)
    except _UNREADABLE:
        forms = [form for form in (kind, *get_args(kind)) if form in within or get_origin(form) is list]
        if not forms:
            raise
    if forms[0] in within:
        return read(text, forms[0], within)[0]
    (of,) = get_args(forms[0])
    return [_field(each, of, within) for each in msgspec.json.decode(text, type=list[Raw])]
