"""From a row of a file to a statement about a subscription (`tenure import --subscriptions`). Pure.

A row is an element of `POST /v1/subscriptions` laid flat: its one item is in the columns `plan`, `amount` and so on.
Columns that give no field are kept in the context of the event.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar, Final

import msgspec

from tenure.errors import BadRequest, ImportInvalid
from tenure.identity import KINDS
from tenure.importer import mapping, time_cells
from tenure.importer.mapping import NO_PRESET, UNITS, FieldMapping, Taken, Wishes
from tenure.importer.row import AMOUNT_NOT_EXACT, Layout
from tenure.importer.statement_lines import StatementLines
from tenure.importer.values import number_or_text, time_text
from tenure.subscriptions import statement
from tenure.subscriptions.sources import reading
from tenure.subscriptions.sources.reading import Problem
from tenure.wire import codes, fields, native, subscriptions, times

_ITEM: Final = ("plan", "amount", "quantity", "interval", "interval_count", "kind", "tax_percent", "tax_inclusive")
_WHOLE: Final = ("amount", "quantity", "interval_count", "sequence")
_FLAGS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_TEXTS: Final = ("source", "status", "currency", "cause", "reason")
_TIMES: Final = ("effective_at", *statement.TIMES)
_IDS: Final = (*KINDS, "subscription", "message_id", "plan")
_NAMES: Final = (*KINDS, "message_id", "subscription", "effective_at", "sequence", *_TEXTS, *_ITEM, *statement.TIMES)


class StatementMapping(FieldMapping, frozen=True, kw_only=True):
    """How the rows of one file become statements."""

    ALIASES: ClassVar[Mapping[str, tuple[str, ...]]] = (
        {name: (name.replace("_", ""),) for name in _NAMES}
        | {name: aliases for name, aliases in mapping.ALIASES.items() if name in (*KINDS, "message_id", "mode")}
        | {
            "subscription": ("subscriptionid", "subscription"),
            "effective_at": ("effectiveat", "occurredat", "timestamp", "asof"),
        }
    )
    REQUIRED: ClassVar[tuple[str, ...]] = ("subscription", "effective_at")
    lines: StatementLines = msgspec.field(default_factory=StatementLines)

    @classmethod
    def _preset(cls, wishes: Wishes, source: Layout) -> str | None:
        if wishes.preset not in (None, NO_PRESET):
            raise ImportInvalid("--from is for events, not for --subscriptions")
        return None

    def _take(self, values: Mapping[str, object], index: int) -> Taken:
        columns = self.columns | self._late_columns(values)
        given = {field: values[column] for field, column in columns.items() if column in values}
        element = self._element(given | self.constants)
        found = subscriptions.event(element, index)
        if found.occurred_at is None:
            raise fields.missing("effective_at")
        event = self.lines.whole(msgspec.structs.replace(found, context=self._rest(values)))
        return Taken(event, mode=native.mode_of(element), as_before=event)

    def _element(self, given: Mapping[str, object]) -> dict[str, object]:
        """The element that a row is."""
        element = {name: self._value(name, value) for name, value in given.items()}
        item: dict[str, Any] = {name: element.pop(name) for name in _ITEM if name in element}
        item = {name: value for name, value in item.items() if value is not None}
        if self.amounts == UNITS and "amount" in item:
            item["amount"] = _smallest_units(given["amount"], element.get("currency"))
        return element | {"items": [item]} if item else element

    def _value(self, name: str, value: object) -> object:
        """A value as the request would have it."""
        if name in _IDS:
            return mapping.whole(value)
        if name in _WHOLE and isinstance(value, str) and type(number := number_or_text(value)) is int:
            return number
        if name == "tax_inclusive" and isinstance(value, str):
            return _FLAGS.get(value.strip().lower(), value)
        if name in _TIMES and value is not None and self.parse_time is not time_cells.parse_time:
            return times.rfc3339(self._time(value, name).ms)
        if name in _TIMES:
            return time_text(value)
        return value


def _smallest_units(amount: object, currency: object) -> int:
    """An amount in units, exactly. Raises BadRequest."""
    if currency is None:
        raise fields.missing("currency")
    try:
        written = Decimal(repr(amount)) if isinstance(amount, float) else amount
        return reading.smallest_units(written, reading.currency_code(currency))
    except Problem as problem:
        if str(problem) == reading.AMOUNT_NOT_EXACT:
            message = "amount has more decimals than its currency."
            raise BadRequest(message, code=AMOUNT_NOT_EXACT, field="amount") from None
        field = "currency" if str(problem) == reading.INVALID_CURRENCY else "amount"
        raise BadRequest(f"{field} cannot be read.", code=codes.INVALID_VALUE, field=field) from None
