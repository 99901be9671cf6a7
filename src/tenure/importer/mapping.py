"""From a row of a file to an event: which column gives which field. Pure.

A field is given by `--map`, by `--set`, or by the first column whose name is one of its `ALIASES` (letters'
case, spaces and punctuation aside). Every column that gives no field is a property.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import ClassVar

import msgspec

from tenure.errors import BadRequest, ImportInvalid
from tenure.event import MAX_REFUSED_PAYLOAD, Event, Refusal
from tenure.identity import KINDS
from tenure.importer.row import Row
from tenure.importer.values import number_or_text
from tenure.wire import codes, fields, times
from tenure.wire.dialect import MAX_BYTES
from tenure.wire.json import canonical

ALIASES = {
    "name": ("eventname", "event", "eventtype", "name"),
    "occurred_at": ("occurredat", "timestamp", "eventtime", "time", "datetime", "date", "createdat"),
    "customer_id": ("customerid", "customer"),
    "uid": ("uid",),
    "email": ("email", "emailaddress"),
    "anonymous_id": ("anonymousid",),
    "user_id": ("userid",),
    "message_id": ("messageid", "eventid", "insertid"),
}
"""For each field the column names that give it, likeliest first, as `_plain_name` writes them."""

_IDS = ("customer_id", "uid", "anonymous_id", "user_id", "message_id")
_PUNCTUATION = re.compile(r"[\W_]+")
_EXACT_FLOAT = 2**53


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asks of the mapping."""

    columns: dict[str, str] = {}
    """From `--map`: field to column."""
    constants: dict[str, str] = {}
    """From `--set`: field to value."""
    properties: tuple[str, ...] | None = None
    """From `--properties`: the columns that become properties; None: all that give no field."""
    time_format: str | None = None
    """From `--time-format`, as `datetime.strptime` takes it; None: any form of `tenure.wire.times`."""


class FieldMapping(msgspec.Struct, frozen=True, kw_only=True):
    """How the rows of one file become events."""

    DIALECT: ClassVar[str] = "import"
    """Whose events they are."""

    unit: str
    """What a row's place counts: `line` or `row`."""
    columns: dict[str, str]
    """Field to column."""
    constants: dict[str, str]
    """Field to value."""
    properties: frozenset[str] | None
    """The columns that are properties; None: all that give no field."""
    numeric_text: bool
    """Numbers among the properties are written as text."""
    parse_time: Callable[[object], times.Moment]
    """Raises TimeInvalid."""

    @classmethod
    def choose(cls, wishes: Wishes, columns: Sequence[str], *, unit: str, numeric_text: bool) -> FieldMapping:
        """The mapping for a file with these columns. Raises ImportInvalid that says what is missing."""
        _check_wishes(wishes, columns)
        chosen = _by_alias(columns) | wishes.columns
        chosen = {field: column for field, column in chosen.items() if field not in wishes.constants}
        _check_complete({*chosen, *wishes.constants}, columns)
        return cls(
            unit=unit,
            columns=chosen,
            constants=wishes.constants,
            properties=None if wishes.properties is None else frozenset(wishes.properties),
            numeric_text=numeric_text,
            parse_time=_time_parser(wishes.time_format),
        )

    def take(self, row: Row, index: int) -> Event | Refusal:
        """The event that a row is, or why it is none; `index` is its position in its journal entry."""
        try:
            if row.fault is not None:
                raise row.fault
            return self._event(row.values, index)
        except BadRequest as fault:
            return Refusal(
                index=index,
                code=fault.code,
                message=f"{self.unit} {row.place}: {fault.message}",
                field=fault.field,
                payload=canonical(row.text or row.values)[:MAX_REFUSED_PAYLOAD],
            )

    def _event(self, values: Mapping[str, object], index: int) -> Event:
        given: dict[str, object] = {field: values.get(column) for field, column in self.columns.items()}
        given.update(self.constants)
        moment = self._moment(given.get("occurred_at"))
        customer_id, uid, anonymous_id, user_id, message_id = (_identifier(given.get(kind), kind) for kind in _IDS)
        email = fields.email(given.get("email"), "email")
        if customer_id is None and uid is None and email is None and anonymous_id is None:
            raise fields.missing(*KINDS)
        properties = self._properties(values)
        if len(properties) > MAX_BYTES:
            raise BadRequest(f"the properties have more than {MAX_BYTES} characters.", code=codes.TOO_LONG)
        return Event(
            index=index,
            name=fields.event_name(given.get("name"), "name"),
            occurred_at=moment.ms,
            precise=moment.precise,
            message_id=message_id,
            customer_id=customer_id,
            uid=uid,
            email=email,
            anonymous_id=anonymous_id,
            user_id=user_id,
            properties=properties,
        )

    def _moment(self, value: object) -> times.Moment:
        if value is None or value == "":
            raise fields.missing("occurred_at")
        try:
            return self.parse_time(value)
        except times.TimeInvalid as fault:
            raise fields.invalid_time("occurred_at", fault) from None

    def _properties(self, values: Mapping[str, object]) -> str:
        if self.properties is None:
            fields_given = self.columns.values()
            chosen = {column: value for column, value in values.items() if column not in fields_given}
        else:
            chosen = {column: value for column, value in values.items() if column in self.properties}
        if self.numeric_text:
            chosen = {column: number_or_text(str(value)) for column, value in chosen.items()}
        return canonical(chosen) if chosen else "{}"


def _identifier(value: object, field: str) -> str | None:
    """As `fields.identifier`; a whole number that a data frame has made a float is an integer again."""
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_FLOAT:
        value = int(value)
    return fields.identifier(value, field)


def _time_parser(time_format: str | None) -> Callable[[object], times.Moment]:
    if time_format is None:
        return times.parse
    try:
        datetime.strptime(datetime(2026, 12, 31, 23, 59, 58, tzinfo=UTC).strftime(time_format), time_format)
    except ValueError as error:
        raise ImportInvalid(f"--time-format: {error}") from None
    precise = any(directive in time_format for directive in ("%S", "%X", "%c"))
    return lru_cache(maxsize=10_000)(partial(_parse_time, time_format, precise))


def _parse_time(time_format: str, precise: bool, value: object) -> times.Moment:
    try:
        at = datetime.strptime(str(value), time_format)
    except ValueError:
        raise times.TimeInvalid(f"is not a time in the form {time_format}") from None
    return times.Moment(times.parse(at.isoformat()).ms, precise)


def _by_alias(columns: Sequence[str]) -> dict[str, str]:
    plain_names: dict[str, str] = {}
    for column in columns:
        plain_names.setdefault(_plain_name(column), column)
    return {
        field: next(plain_names[alias] for alias in aliases if alias in plain_names)
        for field, aliases in ALIASES.items()
        if not plain_names.keys().isdisjoint(aliases)
    }


def _plain_name(column: str) -> str:
    return _PUNCTUATION.sub("", column).lower()


def _check_wishes(wishes: Wishes, columns: Sequence[str]) -> None:
    for field in (*wishes.columns, *wishes.constants):
        if field not in ALIASES:
            raise ImportInvalid(f"there is no field {field!r}; the fields are {', '.join(ALIASES)}")
    for field in wishes.columns:
        if field in wishes.constants:
            raise ImportInvalid(f"{field} is given twice: by --map and by --set")
    for column in (*wishes.columns.values(), *(wishes.properties or ())):
        if column not in columns:
            raise ImportInvalid(f"there is no column {column!r}; {_listed(columns)}")


def _check_complete(given: set[str], columns: Sequence[str]) -> None:
    missing = [field for field in ("name", "occurred_at") if field not in given]
    if given.isdisjoint(KINDS):
        missing.append(f"the customer (one of {', '.join(KINDS)})")
    if missing:
        how = "say which column it is with --map FIELD=COLUMN, or give a value for all rows with --set FIELD=VALUE"
        raise ImportInvalid(f"no column gives {' or '.join(missing)}: {how}; {_listed(columns)}")


def _listed(columns: Sequence[str]) -> str:
    return f"the columns are {', '.join(columns)}" if columns else "the file has no columns"
