"""The form in which Tenure itself is told of a subscription: the words of a `Fact`, as people write them.

Times are in any form of `tenure.wire.times`, an item has `interval` and `interval_count`. What is read is canonical:
times as RFC 3339 texts, currencies in capitals, all of an item's fields. Reading it again changes nothing, so that a
statement's event is read by the same rules as the request that made it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, TypeAlias, get_args

from tenure.errors import BadRequest
from tenure.subscriptions import currency
from tenure.subscriptions.fact import MAX_COUNT, SAID, STATUSES, Cause, Kind, Unit
from tenure.wire import codes, fields, times

Reader: TypeAlias = Callable[[object, str], Any]
"""From a value and its field's full name to its canonical form; None when absent. Raises BadRequest."""

NAME: Final = "subscription_updated"
"""The name of a statement's event."""
DEFAULT_SOURCE: Final = "native"
MAX_LINES: Final = 1_000
"""Items of a subscription, and discounts on it."""
INTERVALS: Final[tuple[str, ...]] = get_args(Unit)
KINDS: Final[tuple[str, ...]] = get_args(Kind)
CAUSES: Final[tuple[str, ...]] = get_args(Cause)
TIMES: Final = ("started_at", "period_start", "period_end", "trial_end", "canceled_at", "cancel_at", "ended_at")
CLEARABLE: Final = frozenset({*TIMES, "pause", "cause", "reason"})
"""Fields whose null says that there is none; any other null is as if it were absent."""
FIELDS: Final = frozenset({"source", "subscription", "sequence", *SAID})

_MOST: Final = 2**63 - 1
_PERCENT: Final = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,12})?")
_ITEM: Final = frozenset({
    "id", "plan", "amount", "quantity", "interval", "interval_count", "kind", "tax_percent", "tax_inclusive",
})  # fmt: skip
_DISCOUNT: Final = frozenset({"percent", "amount", "item", "starts_at", "ends_at", "once"})
_PAUSE: Final = frozenset({"starts_at", "ends_at"})
_DATED: Final = frozenset({*TIMES, "starts_at", "ends_at"})
_OF_A_FACT: Final = {"interval": "unit", "interval_count": "count"}


def read(source: Mapping[str, object]) -> dict[str, Any]:
    """What the fields of `FIELDS` in an object say, in canonical form; its other fields are not looked at.

    Raises BadRequest, also where nothing but the subscription is said.
    """
    said: dict[str, Any] = {}
    for name, reader in _READERS.items():
        value = source.get(name)
        found = None if value is None else reader(value, name)
        if found is not None or (name in CLEARABLE and name in source and value is None):
            said[name] = found
    if not said:
        raise fields.missing(*SAID)
    sequence = fields.whole_number(source.get("sequence"), "sequence", 0, _MOST)
    if sequence is not None:
        said["sequence"] = sequence
    said["subscription"] = fields.required_identifier(source.get("subscription"), "subscription")
    said["source"] = fields.text(source.get("source"), "source", limit=fields.NAME_LIMIT) or DEFAULT_SOURCE
    return said


def of_fact(statement: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the `Fact` that a canonical statement is."""
    return {_OF_A_FACT.get(name, name): _value(name, value) for name, value in statement.items()}


def _value(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return of_fact(value)
    if isinstance(value, list):
        return [of_fact(_with_tax(line)) for line in value]
    return times.parse_rfc3339(value) if name in _DATED and value is not None else value


def _with_tax(line: Mapping[str, Any]) -> Mapping[str, Any]:
    """A line with its tax as an item has it: one on top of the amount is none of it."""
    percent, is_inclusive = line.get("tax_percent"), line.get("tax_inclusive", True)
    if "tax_percent" not in line and "tax_inclusive" not in line:
        return line
    rest = {name: value for name, value in line.items() if name not in ("tax_percent", "tax_inclusive")}
    if not is_inclusive:
        return rest | {"tax": 0}
    return rest | ({"taxed": True} if percent is None else {"tax": percent, "taxed": Decimal(percent) > 0})


def _time(value: object, field: str) -> str | None:
    moment = fields.time(value, field)
    return None if moment is None else times.rfc3339(moment.ms)


def _currency(value: object, field: str) -> str | None:
    given = fields.text(value, field, limit=fields.NAME_LIMIT)
    code = None if given is None else currency.code(given)
    if given is not None and code is None:
        raise _invalid(field, "a currency's code of three letters (ISO 4217)")
    return code


def _reason(value: object, field: str) -> str | None:
    return fields.text(value, field, limit=fields.ID_LIMIT)


def _one_of(choices: tuple[str, ...]) -> Reader:
    def read(value: object, field: str) -> str | None:
        found = fields.text(value, field, limit=fields.NAME_LIMIT)
        if found is not None and found not in choices:
            raise _invalid(field, f"one of {', '.join(choices)}")
        return found

    return read


def _lines(known: frozenset[str], line: Callable[[Mapping[str, object], str], dict[str, Any]]) -> Reader:
    def read(value: object, field: str) -> list[dict[str, Any]]:
        given = fields.array(value, field)
        if len(given) > MAX_LINES:
            raise _invalid(field, f"at most {MAX_LINES} long")
        return [line(_object(each, f"{field}[{at}]", known), f"{field}[{at}]") for at, each in enumerate(given)]

    return read


def _object(value: object, field: str, known: frozenset[str]) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise fields.wrong_type(field, "an object")
    if not value.keys() <= known:
        raise fields.unknown(value.keys() - known, within=f"{field}.")
    return value


def _item(given: Mapping[str, object], field: str) -> dict[str, Any]:
    amount = _amount(given.get("amount"), f"{field}.amount", -_MOST)
    if amount is None:
        raise fields.missing(f"{field}.amount")
    kind = _one_of(KINDS)(given.get("kind"), f"{field}.kind") or KINDS[0]
    interval = _one_of(INTERVALS)(given.get("interval"), f"{field}.interval")
    if interval is None and kind != "one_off":
        raise fields.missing(f"{field}.interval")
    quantity = fields.whole_number(given.get("quantity"), f"{field}.quantity", 0, _MOST)
    said = {name: fields.identifier(given.get(name), f"{field}.{name}") for name in ("id", "plan")} | {
        "tax_percent": _percent(given.get("tax_percent"), f"{field}.tax_percent"),
        "tax_inclusive": fields.boolean(given.get("tax_inclusive"), f"{field}.tax_inclusive"),
    }
    return {name: value for name, value in said.items() if value is not None} | {
        "amount": amount,
        "quantity": 1 if quantity is None else quantity,
        "interval": interval or "month",
        "interval_count": fields.whole_number(given.get("interval_count"), f"{field}.interval_count", 1, MAX_COUNT)
        or 1,
        "kind": kind,
    }


def _discount(given: Mapping[str, object], field: str) -> dict[str, Any]:
    found = {
        "percent": _percent(given.get("percent"), f"{field}.percent"),
        "amount": _amount(given.get("amount"), f"{field}.amount", 0),
        "item": fields.identifier(given.get("item"), f"{field}.item"),
        "starts_at": _time(given.get("starts_at"), f"{field}.starts_at"),
        "ends_at": _time(given.get("ends_at"), f"{field}.ends_at"),
        "once": fields.boolean(given.get("once"), f"{field}.once"),
    }
    if found["percent"] is None and found["amount"] is None:
        raise fields.missing(f"{field}.percent", f"{field}.amount")
    return {name: value for name, value in found.items() if value is not None}


def _amount(value: object, field: str, least: int) -> int | None:
    """In smallest units. 49.0 is none: it looks like units."""
    if isinstance(value, float):
        raise fields.wrong_type(field, "an integer, in the currency's smallest unit")
    return fields.whole_number(value, field, least, _MOST)


def _percent(value: object, field: str) -> str | None:
    """As decimal text."""
    if value is None:
        return None
    text = format(Decimal(repr(value)), "f") if type(value) in (int, float) else value
    if not isinstance(text, str) or not _PERCENT.fullmatch(text) or Decimal(text) > 100:
        raise _invalid(field, "a number from 0 to 100 with at most 12 decimals")
    return text


def _pause(value: object, field: str) -> dict[str, Any]:
    given = _object(value, field, _PAUSE)
    starts_at = _time(given.get("starts_at"), f"{field}.starts_at")
    if starts_at is None:
        raise fields.missing(f"{field}.starts_at")
    ends_at = _time(given.get("ends_at"), f"{field}.ends_at")
    return {"starts_at": starts_at} if ends_at is None else {"starts_at": starts_at, "ends_at": ends_at}


def _invalid(field: str, expected: str) -> BadRequest:
    return BadRequest(f"{field} must be {expected}.", code=codes.INVALID_VALUE, field=field)


_READERS: Final[dict[str, Reader]] = {
    "status": _one_of(STATUSES),
    "currency": _currency,
    "items": _lines(_ITEM, _item),
    "discounts": _lines(_DISCOUNT, _discount),
    **dict.fromkeys(TIMES, _time),
    "pause": _pause,
    "cause": _one_of(CAUSES),
    "reason": _reason,
}
