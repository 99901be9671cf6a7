"""What an operator declares of how MRR is counted, checked: rules and rates. Every refusal names the field. Pure."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec
from msgspec.inspect import IntType, LiteralType, StructType, Type, UnionType

from tenure.errors import BadRequest
from tenure.subscriptions.currency import UNKNOWN, Rate, Rates
from tenure.subscriptions.currency import code as in_capitals
from tenure.subscriptions.rules import Rules

MAX_RATES: Final = 100_000
SWITCHES: Final = Rules.__struct_fields__
RATE_COLUMNS: Final = ["currency", "day", "rate"]

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DECIMAL = re.compile(r"\d{1,13}(\.\d{1,12})?", re.ASCII)


def rules(switches: Mapping[str, object], before: Rules, *, texts: bool = False) -> Rules:
    """Rules with these switches, the others as `before`. With `texts` every value is a text. Raises BadRequest."""
    found: dict[str, Any] = {}
    for name, value in switches.items():
        if name not in SWITCHES:
            raise _invalid("rules", f"there is no such switch; there are {', '.join(SWITCHES)}")
        try:
            found[name] = getattr(msgspec.convert({name: value}, Rules, strict=not texts), name)
        except msgspec.ValidationError:
            raise _invalid(f"rules.{name}", f"{name} must be {choices(name)}") from None
    return msgspec.structs.replace(before, **found)


def choices(switch: str) -> str:
    """What a switch can be, in words."""
    struct = msgspec.inspect.type_info(Rules)
    assert isinstance(struct, StructType)
    return next(_in_words(field.type) for field in struct.fields if field.name == switch)


def currency(value: object, field: str) -> str:
    """A currency's code in capitals, from either case. Raises BadRequest."""
    found = in_capitals(value) if isinstance(value, str) else None
    if found is None or found == UNKNOWN:
        raise _invalid(field, f"{field} must be the three letters of a currency, such as EUR")
    return found


def rate(day: object, worth: object, field: str) -> Rate:
    """A rate of a day, both as texts, at `field` of what was given. Raises BadRequest."""
    if not isinstance(day, str) or not _DAY.fullmatch(day):
        raise _invalid(field, f"{field}: day must be a day as text, such as 2026-01-31")
    if not isinstance(worth, str) or not _DECIMAL.fullmatch(worth):
        raise _invalid(field, f"{field}: rate must be a decimal as text, such as 0.92, of at most 12 places")
    try:
        found = Rate(date.fromisoformat(day), Decimal(worth))
    except (ValueError, InvalidOperation):
        raise _invalid(field, f"{field}: there is no such day, or the rate is over 1000000000000") from None
    if not found.rate:
        raise _invalid(field, f"{field}: rate must be more than 0")
    return found


def rates(base: str, given: Iterable[tuple[str, Rate]]) -> Rates:
    """Rates from other currencies to `base`, in any order.

    Raises BadRequest where a currency has two on one day, for one from `base` itself, and when there are too many.
    """
    found: defaultdict[str, dict[date, Rate]] = defaultdict(dict)
    for number, (code, each) in enumerate(given):
        if number >= MAX_RATES:
            raise _invalid("rates", f"rates has more than {MAX_RATES:,} rates")
        if code == base:
            raise _invalid("rates", f"rates must be from other currencies; {base} is the one to report in")
        if found[code].setdefault(each.day, each).rate != each.rate:
            raise _invalid("rates", f"{code} has two rates of {each.day}; give one")
    return Rates(base, {code: tuple(days[day] for day in sorted(days)) for code, days in sorted(found.items())})


def rates_in_csv(base: str, lines: Iterable[str]) -> Rates:
    """Rates to `base` from CSV with the columns currency, day and rate, in any order. Raises BadRequest."""
    return rates(base, _rows(csv.DictReader(lines)))


def _rows(rows: csv.DictReader[str]) -> Iterator[tuple[str, Rate]]:
    try:
        if sorted(rows.fieldnames or ()) != RATE_COLUMNS:
            raise _invalid("rates", f"the first line must name the columns {', '.join(RATE_COLUMNS)}")
        for row in rows:
            line = f"line {rows.line_num}"
            yield currency(row["currency"], f"{line}: currency"), rate(row["day"], row["rate"], line)
    except csv.Error:
        raise _invalid("rates", f"line {rows.line_num} cannot be read as CSV") from None


def _in_words(kind: Type) -> str:
    match kind:
        case LiteralType(values=values):
            return " or ".join(str(value) for value in values)
        case IntType(ge=low, le=None):
            return f"a whole number of {low} or more"
        case IntType(ge=low, le=high):
            return f"a whole number from {low} to {high}"
        case UnionType(types=types):
            return ", or ".join(_in_words(each) for each in types)
    return "null"


def _invalid(field: str, message: str) -> BadRequest:
    return BadRequest(message, field=field, code="invalid_rules")
