"""The checks of single values that all dialects share.

Each takes a value of the parsed body and the field's full name, such as `user.uid`, for the message. Null
counts as absent, and so does blank text where text is read. A value that cannot be used raises
`BadRequest` with a code of `codes`; the message names the field and never holds the value.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Set

from tenure import mail_address
from tenure.errors import BadRequest
from tenure.wire import codes, times
from tenure.wire.json import canonical

NAME_LIMIT = 256
"""Characters in an event's name."""
ID_LIMIT = 1024
"""Characters in an identifier."""
EMAIL_LIMIT = 320
"""Characters in an e-mail address: 64, the @, and 255 (RFC 3696, erratum 1690)."""

_EXACT_FLOAT = 2**53
_NOTHING: dict[str, object] = {}
_PLAIN_FIELD_NAME = re.compile(r"[A-Za-z0-9_$.-]{1,64}")


def text(value: object, field: str, *, limit: int) -> str | None:
    """Text of at most `limit` characters exactly as given; None when absent or blank."""
    if isinstance(value, str):
        if len(value) > limit:
            raise BadRequest(f"{field} has more than {limit} characters.", code=codes.TOO_LONG, field=field)
        return None if not value or value.isspace() else value
    if value is None:
        return None
    raise wrong_type(field, "text")


def event_name(value: object, field: str) -> str:
    """The name of an event, required: any text of 1 to 256 characters, kept exactly."""
    name = text(value, field, limit=NAME_LIMIT)
    if name is None:
        raise missing(field)
    return name


def identifier(value: object, field: str, *, limit: int = ID_LIMIT) -> str | None:
    """An id, exactly as given; an integer becomes its decimal text. None when absent or blank."""
    if type(value) is int:  # not a bool, which is an int to isinstance
        return text(str(value), field, limit=limit)
    if value is None or isinstance(value, str):
        return text(value, field, limit=limit)
    raise wrong_type(field, "text or an integer")


def required_identifier(value: object, field: str, *, limit: int = ID_LIMIT) -> str:
    """As `identifier`, but it must be there."""
    found = identifier(value, field, limit=limit)
    if found is None:
        raise missing(field)
    return found


def email(value: object, field: str) -> str | None:
    """An e-mail address exactly as given, if its normal form has one @ with text on both sides; None when absent."""
    address = text(value, field, limit=EMAIL_LIMIT)
    if address is None:
        return None
    if mail_address.parts(address) is None:
        raise BadRequest(f"{field} must be an e-mail address.", code=codes.INVALID_EMAIL, field=field)
    return address


def time(value: object, field: str) -> times.Moment | None:
    """A time in any form of `times.parse`; None when absent."""
    if value is None:
        return None
    try:
        return times.parse(value)
    except times.TimeInvalid as fault:
        raise invalid_time(field, fault) from None


def mapping(value: object, field: str) -> Mapping[str, object]:
    """An object; an absent one is empty, and so is `[]`, which is how PHP writes an empty object."""
    if isinstance(value, dict):
        return value
    if value is None or value == []:
        return _NOTHING
    raise wrong_type(field, "an object")


def boolean(value: object, field: str) -> bool | None:
    """True or false; None when absent."""
    if value is None or isinstance(value, bool):
        return value
    raise wrong_type(field, "true or false")


def whole_number(value: object, field: str, least: int, most: int) -> int | None:
    """An integer of a range; None when absent. A float without a fraction counts as one, as far as floats are exact."""
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT_FLOAT:
        value = int(value)
    if type(value) is not int or not least <= value <= most:
        raise wrong_type(field, f"a whole number from {least} to {most}")
    return value


def array(value: object, field: str) -> list[object]:
    """A list, required."""
    if isinstance(value, list):
        return value
    raise missing(field) if value is None else wrong_type(field, "an array")


def whole_object(body: object) -> dict[str, object]:
    """A body that must be one object."""
    if isinstance(body, dict):
        return body
    raise BadRequest("The body must be a JSON object.", code=codes.WRONG_TYPE)


def whole_array(body: object) -> list[object]:
    """A body that must be one bare array."""
    if isinstance(body, list):
        return body
    raise BadRequest("The body must be a JSON array, with nothing around it.", code=codes.WRONG_TYPE)


def rest(source: Mapping[str, object], known: Set[str]) -> dict[str, object]:
    """What `source` holds beyond the `known` fields."""
    if source.keys() <= known:
        return {}
    return {key: value for key, value in source.items() if key not in known}


def canonical_or_empty(source: Mapping[str, object]) -> str:
    """The canonical text of an object; most are empty, which costs nothing."""
    return canonical(source) if source else "{}"


def missing(*fields: str) -> BadRequest:
    """Nothing usable in any of the `fields`, one of which is required."""
    return BadRequest(f"{' or '.join(fields)} is required.", code=codes.MISSING_FIELD, field=fields[0])


def wrong_type(field: str, expected: str) -> BadRequest:
    """The field holds something else than what is `expected`."""
    return BadRequest(f"{field} must be {expected}.", code=codes.WRONG_TYPE, field=field)


def invalid_time(field: str, fault: times.TimeInvalid) -> BadRequest:
    """The field holds no usable time, for the reason in `fault`."""
    return BadRequest(f"{field} {fault}.", code=codes.INVALID_TIME, field=field)


def unknown(names: Collection[str], *, within: str = "") -> BadRequest:
    """Fields that have no place. The first in order is named, unless it looks more like data than a name."""
    first = min(names)
    if not is_plain_name(first):
        return BadRequest("There is a field that is not known here.", code=codes.UNKNOWN_FIELD)
    field = within + first
    return BadRequest(f"{field} is not a field that is known here.", code=codes.UNKNOWN_FIELD, field=field)


def is_plain_name(name: str) -> bool:
    """Whether a client's own name of something may stand in a message: it looks like a name, not like data."""
    return _PLAIN_FIELD_NAME.fullmatch(name) is not None
