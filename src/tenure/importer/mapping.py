"""From a row of a file to an event, to attributes, or to both: which column gives which field. Pure.

A field is given by `--map`, by `--set`, by the preset of another product's export, or by the first column whose name is
one of its `ALIASES` (letters' case, spaces and punctuation aside). Every column that gives no field is a property.
Columns named `properties`, `context` and `traits` that hold an object are what they are called.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar, Final, NamedTuple

import msgspec
from msgspec import structs

from tenure.errors import BadRequest, ImportInvalid
from tenure.event import MAX_REFUSED_PAYLOAD, Event, Identify, Refusal
from tenure.identity import KINDS
from tenure.importer.presets import PRESETS, Said, recognized, within
from tenure.importer.row import Layout, Row
from tenure.importer.time_cells import time_parser
from tenure.importer.values import number_or_text
from tenure.mode import LIVE
from tenure.wire import attributes, codes, fields, native, times
from tenure.wire.dialect import MAX_BYTES
from tenure.wire.json import canonical, parse

ALIASES = {
    "name": ("eventname", "event", "eventtype", "name"),
    "occurred_at": ("occurredat", "timestamp", "eventtime", "time", "datetime", "date", "createdat"),
    "customer_id": ("customerid", "customer"),
    "uid": ("uid",),
    "billing_id": ("billingid",),
    "email": ("email", "emailaddress"),
    "anonymous_id": ("anonymousid",),
    "user_id": ("userid",),
    "message_id": ("messageid", "insertid"),
    "mode": (),
}
"""For each field the column names that give it, likeliest first, as `_plain_name` writes them. None
gives the message id that need not be unique: an `event_id` may count for each device. A column `mode` may be of
anything."""

PROPERTIES, CONTEXT, TRAITS = "properties", "context", "traits"
_CONTAINERS: Final = {"properties": PROPERTIES, "eventproperties": PROPERTIES, "context": CONTEXT, "traits": TRAITS}
"""Columns that hold an object of its own meaning, as `_plain_name` writes them."""

_IDS = ("customer_id", "uid", "billing_id", "anonymous_id", "user_id", "message_id")
_PUNCTUATION = re.compile(r"[\W_]+")
_EXACT_FLOAT = 2**53

MINOR: Final = "minor"
UNITS: Final = "units"
AMOUNTS: Final = (MINOR, UNITS)
"""What amounts count: a currency's smallest units, or its units, with decimals."""


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
    amounts: str = MINOR
    """From `--amounts`: one of `AMOUNTS`."""
    preset: str | None = None
    """From `--from`: one of `PRESETS` or `NO_PRESET`; None: the one that the file is like."""


NO_PRESET: Final = "none"


class Taken(NamedTuple):
    """What a row became."""

    event: Event | None = None
    identify: Identify | None = None
    refusal: Refusal | None = None
    mode: str = LIVE
    """See `tenure.mode`."""
    as_before: Event | None = None
    """What the content of a row without a message id is told by: the event that releases before presets made of it, so
    that a file that was imported by one of them is recognized."""

    @property
    def items(self) -> list[Event | Identify | Refusal]:
        """All of it: one item, or an event and the attributes that came with it."""
        return [item for item in (self.event, self.identify, self.refusal) if item is not None]

    def with_message_id(self, message_id: str) -> Taken:
        """The same under this message id."""
        event = self.event and structs.replace(self.event, message_id=message_id)
        identify = self.identify and structs.replace(self.identify, message_id=message_id)
        return self._replace(event=event, identify=identify)


class FieldMapping(msgspec.Struct, frozen=True, kw_only=True):
    """How the rows of one file become events."""

    DIALECT: ClassVar[str] = "import"
    """Whose events they are."""
    ALIASES: ClassVar[Mapping[str, tuple[str, ...]]] = ALIASES
    """The fields that there are, with the names of columns that give them."""
    REQUIRED: ClassVar[tuple[str, ...]] = ("name", "occurred_at")
    """Fields that a file must give, beside the customer."""

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
    amounts: str = MINOR
    """One of `AMOUNTS`."""
    preset: str | None = None
    """One of `PRESETS`."""
    is_flat: bool = False
    """None of the known columns holds an object that is taken apart."""
    known: frozenset[str] = frozenset()
    """The columns that were there when `columns` was chosen. One that first comes later in the file gives a field that
    none of these gives, by its name."""

    @classmethod
    def choose(cls, wishes: Wishes, source: Layout) -> FieldMapping:
        """The mapping for a file. Raises ImportInvalid that says what is missing."""
        columns = source.columns
        _check_wishes(wishes, source, cls.ALIASES)
        preset = cls._preset(wishes, source)
        chosen = wishes.columns if preset else _by_alias(columns, cls.ALIASES) | wishes.columns
        chosen = {field: column for field, column in chosen.items() if field not in wishes.constants}
        if preset is None:
            _check_complete({*chosen, *wishes.constants}, columns, cls.REQUIRED)
        return cls(
            preset=preset,
            known=frozenset(columns),
            is_flat=not any(_plain_name(column) in _CONTAINERS for column in columns)
            and set(chosen.values()) <= set(columns),
            unit=source.unit,
            columns=chosen,
            constants=wishes.constants,
            properties=None if wishes.properties is None else frozenset(wishes.properties),
            numeric_text=source.numeric_text,
            parse_time=time_parser(wishes.time_format),
            amounts=wishes.amounts,
        )

    @classmethod
    def _preset(cls, wishes: Wishes, source: Layout) -> str | None:
        if wishes.preset == NO_PRESET:
            return None
        if wishes.preset is not None:
            if wishes.preset not in PRESETS:
                raise ImportInvalid(f"--from must be one of {', '.join((*PRESETS, NO_PRESET))}")
            return wishes.preset
        if wishes.columns or wishes.constants:
            return None
        found = recognized(source.columns, source.sample)
        return None if found is None else found.name

    def take(self, row: Row, index: int) -> Taken:
        """What a row is, or why it is nothing; `index` is its position in its journal entry."""
        try:
            if row.fault is not None:
                raise row.fault
            return self._take(row.values, index)
        except BadRequest as fault:
            refusal = Refusal(
                index=index,
                code=fault.code,
                message=f"{self.unit} {row.place}: {fault.message}",
                field=fault.field,
                payload=canonical(row.text or row.values)[:MAX_REFUSED_PAYLOAD],
            )
            return Taken(refusal=refusal)

    def _take(self, values: Mapping[str, object], index: int) -> Taken:
        said = self._said(values)
        given = said.fields
        mode = native.mode(given.get("mode"))
        moment = self._moment(given.get("occurred_at"))
        ids: dict[str, Any] = {kind: _identifier(given.get(kind), kind) for kind in _IDS}
        email = fields.email(given.get("email"), "email")
        if email is None and all(ids.get(kind) is None for kind in KINDS):
            raise fields.missing(*KINDS)
        who: dict[str, Any] = {"index": index, "precise": moment.precise, "email": email, **ids}
        name = fields.text(given.get("name"), "name", limit=fields.NAME_LIMIT)
        event = identify = None
        if name is None and said.traits is None:
            raise fields.missing("name")
        if name is not None:
            event = Event(
                name=name,
                occurred_at=moment.ms,
                properties=_text_of(said.properties, "properties"),
                context=_text_of(said.context, "context"),
                **who,
            )
        if said.traits:
            traits = attributes.read({"traits": said.traits}, within="").traits()
            identify = Identify(set_at=moment.ms, traits=traits, **who)
        if event is None and identify is None:
            raise fields.missing("name", "traits")
        if ids["message_id"] is not None or (event is not None and said.is_flat):
            return Taken(event, identify, mode=mode, as_before=event)
        as_before = Event(name=name or "", occurred_at=moment.ms, properties=self._rest(values), **who)
        return Taken(event, identify, mode=mode, as_before=as_before)

    def _said(self, values: Mapping[str, object]) -> Said:
        """What a row says, by the preset or by its columns, and then by `--map` and `--set`."""
        said = self._said_by_columns(values) if self.preset is None else PRESETS[self.preset].read(values)
        if self.preset is not None:
            said.fields.update((field, at_path(values, column)) for field, column in self.columns.items())
            if self.properties is not None:
                said.properties = {name: value for name, value in said.properties.items() if name in self.properties}
        said.fields.update(self.constants)
        return said

    def _said_by_columns(self, values: Mapping[str, object]) -> Said:
        if self.is_flat and values.keys() <= self.known:
            given = {field: values.get(column) for field, column in self.columns.items()}
            return Said(fields=given, properties=self._flat_properties(values), is_flat=True)
        columns = self.columns | self._late_columns(values)
        said = Said(
            fields={field: at_path(values, column) for field, column in columns.items()},
            is_flat=len(columns) == len(self.columns),
        )
        paths = {tuple(column.split(".")) for column in columns.values() if column not in values}
        for column, value in values.items():
            chosen = column in self.properties if self.properties is not None else column not in columns.values()
            if not chosen:
                continue
            kind = _CONTAINERS.get(_plain_name(column))
            content = _object(value) if kind is not None else None
            if content is None:
                said.properties[column] = number_or_text(str(value)) if self.numeric_text else value
                continue
            said.is_flat = False
            content = {name: inner for name, inner in content.items() if (column, name) not in paths}
            if kind == TRAITS:
                said.traits = content
            elif kind == CONTEXT:
                said.context |= content
            else:
                _add(said.properties, content)
        return said

    def _flat_properties(self, values: Mapping[str, object]) -> dict[str, object]:
        """The columns that are kept as they are."""
        if self.properties is None:
            given = self.columns.values()
            chosen = {column: value for column, value in values.items() if column not in given}
        else:
            chosen = {column: value for column, value in values.items() if column in self.properties}
        if self.numeric_text:
            return {column: number_or_text(str(value)) for column, value in chosen.items()}
        return chosen

    def _late_columns(self, values: Mapping[str, object]) -> dict[str, str]:
        """Fields that columns give which the beginning of the file did not have."""
        if values.keys() <= self.known:
            return {}
        late = _by_alias([column for column in values if column not in self.known], self.ALIASES)
        return {name: late[name] for name in late if name not in self.columns and name not in self.constants}

    def _moment(self, value: object) -> times.Moment:
        if value is None or value == "":
            raise fields.missing("occurred_at")
        return self._time(value, "occurred_at")

    def _time(self, value: object, field: str) -> times.Moment:
        try:
            return self.parse_time(value)
        except times.TimeInvalid as fault:
            raise fields.invalid_time(field, fault) from None

    def _rest(self, values: Mapping[str, object]) -> str:
        """The columns that are kept as they are, as canonical JSON. Raises BadRequest for too many characters."""
        return _text_of(self._flat_properties(values), "properties")


def at_path(values: Mapping[str, object], column: str) -> object:
    """The value of a column, or, where none has that name, what is at a path of nested objects, such as `a.b`."""
    return values[column] if column in values else within(dict(values), *column.split("."))


def _add(properties: dict[str, object], content: Mapping[str, object]) -> None:
    """Take the properties that a row has as an object; a column of the same name is kept as `row.NAME`."""
    for name, value in content.items():
        if name in properties and properties[name] != value:
            properties[f"row.{name}"] = properties[name]
        properties[name] = value


def _object(value: object) -> dict[str, object] | None:
    """An object, also one that is written as JSON in a cell; None for anything else."""
    if isinstance(value, str) and value.startswith("{"):
        try:
            value = parse(value.encode())
        except BadRequest:
            return None
    return value if isinstance(value, dict) else None


def _text_of(values: Mapping[str, object], what: str) -> str:
    text = fields.canonical_or_empty(values)
    if len(text) > MAX_BYTES:
        raise BadRequest(f"the {what} have more than {MAX_BYTES} characters.", code=codes.TOO_LONG)
    return text


def whole(value: object) -> object:
    """The value; a whole number that a data frame has made a float is an integer again."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_FLOAT else value


def _identifier(value: object, field: str) -> str | None:
    return fields.identifier(whole(value), field)


def _by_alias(columns: Sequence[str], known: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    plain_names: dict[str, str] = {}
    for column in columns:
        plain_names.setdefault(_plain_name(column), column)
    return {
        field: next(plain_names[alias] for alias in aliases if alias in plain_names)
        for field, aliases in known.items()
        if not plain_names.keys().isdisjoint(aliases)
    }


@lru_cache(maxsize=10_000)
def _plain_name(column: str) -> str:
    return _PUNCTUATION.sub("", column).lower()


def _check_wishes(wishes: Wishes, source: Layout, known: Mapping[str, tuple[str, ...]]) -> None:
    for field in (*wishes.columns, *wishes.constants):
        if field not in known:
            raise ImportInvalid(f"there is no field {field!r}; the fields are {', '.join(known)}")
    for field in wishes.columns:
        if field in wishes.constants:
            raise ImportInvalid(f"{field} is given twice: by --map and by --set")
    columns = source.columns
    for column in (*wishes.columns.values(), *(wishes.properties or ())):
        is_path = not source.numeric_text and column.partition(".")[0] in columns
        if column not in columns and not is_path and source.complete:
            raise ImportInvalid(f"there is no column {column!r}; {_listed(columns)}")


def _check_complete(given: set[str], columns: Sequence[str], required: Sequence[str]) -> None:
    missing = [field for field in required if field not in given]
    if given.isdisjoint(KINDS):
        missing.append(f"the customer (one of {', '.join(KINDS)})")
    if missing:
        how = "say which column it is with --map FIELD=COLUMN, or give a value for all rows with --set FIELD=VALUE"
        raise ImportInvalid(f"no column gives {' or '.join(missing)}: {how}; {_listed(columns)}")


def _listed(columns: Sequence[str]) -> str:
    return f"the columns are {', '.join(columns)}" if columns else "the file has no columns"
