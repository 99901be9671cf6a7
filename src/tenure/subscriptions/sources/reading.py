"""Reads the properties of an event, value by value, into what a fact says.

A value that cannot be read is not said, so that it makes no wrong fact; the rest of the event still counts, and the
first thing that was wrong is told. Null counts as absent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from tenure.event import Event
from tenure.subscriptions import names
from tenure.subscriptions.currency import code, exponent
from tenure.subscriptions.fact import SAID, Fact
from tenure.wire import times

INVALID_AMOUNT: Final = "invalid_amount"
AMOUNT_NOT_EXACT: Final = "amount_not_exact"
INVALID_CURRENCY: Final = "invalid_currency"
INVALID_INTERVAL: Final = "invalid_interval"
INCOMPLETE_PRICE: Final = "incomplete_price"
INVALID_TIME: Final = "invalid_time"
INVALID_VALUE: Final = "invalid_value"
UNKNOWN_TAX: Final = "unknown_tax"

PROBLEMS: Final[dict[str, str]] = {
    INVALID_AMOUNT: "An amount is not a number, is below zero, or is beyond 64 bits in the currency's smallest unit.",
    AMOUNT_NOT_EXACT: "An amount has more decimals than its currency.",
    INVALID_CURRENCY: "A currency is not a code of three letters (ISO 4217).",
    INVALID_INTERVAL: "The interval of a price is none that can be read.",
    INCOMPLETE_PRICE: "An amount came without its currency or its interval.",
    INVALID_TIME: "A time cannot be read, or is before 1900 or after 2299.",
    INVALID_VALUE: "A value is not one of those that the source documents.",
    UNKNOWN_TAX: "A price includes a tax, and its rate was not sent; where none is known the whole price counts.",
}
"""What can be wrong with an event of any source."""

_DECIMAL: Final = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,20})?")
_TEXT_LIMIT: Final = 1_024
_MOST: Final = 2**63 - 1

_decode = msgspec.json.Decoder(float_hook=Decimal).decode


class Reading(NamedTuple):
    """What an event says of subscriptions. Both may be there: what was read, and that something was not."""

    facts: tuple[Fact, ...] = ()
    problem: str | None = None
    """One of `PROBLEMS`: the first thing that could not be read."""


NOTHING: Final = Reading()


class Problem(ValueError):
    """A value cannot be read; its text is one of `PROBLEMS`."""


class Values:
    """The properties of an event, and what was wrong with those that were asked for."""

    def __init__(self, properties: str) -> None:
        self.problem: str | None = None
        self._values: Mapping[str, Any] = {}
        try:
            values = _decode(properties)
        except (msgspec.DecodeError, RecursionError):
            values = None
        if isinstance(values, dict):
            self._values = values
        else:
            self.wrong(INVALID_VALUE)

    def wrong(self, problem: str) -> None:
        """Say that something cannot be read."""
        self.problem = self.problem or problem

    def has(self, name: str) -> bool:
        """Whether there is a value."""
        return self._values.get(name) is not None

    def get(self, name: str) -> Any:
        """A value as it is; None when absent. Numbers with a fraction are decimals."""
        return self._values.get(name)

    def text(self, name: str) -> str | None:
        """Text of at most 1,024 characters, or an integer as text; None when absent, blank or anything else."""
        value = self._values.get(name)
        if type(value) is int:
            value = str(value)
        return value if isinstance(value, str) and value.strip() and len(value) <= _TEXT_LIMIT else None

    def time(self, name: str) -> int | None:
        """A time in milliseconds; None when absent or unreadable."""
        value = self._values.get(name)
        if value is None:
            return None
        try:
            is_number = isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)
            return times.counted(value) if is_number else times.parse(value).ms
        except times.TimeInvalid:
            self.wrong(INVALID_TIME)
            return None


def effective(event: Event, received_at: int) -> int:
    """When an event took effect, in milliseconds."""
    return received_at // 1_000 if event.occurred_at is None else event.occurred_at


def told(event: Event, received_at: int) -> dict[str, Any]:
    """The fields of a fact that an event gives by itself."""
    return {
        "customer": "",
        "id": event.message_id or "",
        "effective_at": effective(event, received_at),
        "received_at": received_at,
    }


def said(  # noqa: PLR0917 - what a fact is made of, in one place
    source: str, event: Event, received_at: int, values: Values, fields: Mapping[str, Any], also: Sequence[str] = ()
) -> Reading:
    """The one fact that an event states, at a source that gives subscriptions no ids.

    The subscription is that of the identifier that the event is kept under. Those that came with it are its names too.
    """
    own, *others = names.of_event(event)
    of = {"source": source, "subscription": own, "also": [*others, *also]}
    return converted(told(event, received_at) | of | dict(fields), values.problem)


def converted(fields: Mapping[str, Any], problem: str | None = None) -> Reading:
    """The fact with these fields, all ranges checked. What cannot be read is not said: it costs the rest nothing."""
    try:
        return Reading((msgspec.convert(fields, Fact),), problem)
    except msgspec.ValidationError:
        pass
    told = {name: value for name, value in fields.items() if name not in SAID}
    said = {name: value for name, value in fields.items() if name in SAID and _is_valid(told | {name: value})}
    return Reading((msgspec.convert(told | said, Fact),) if said else (), problem or INVALID_VALUE)


def _is_valid(fields: Mapping[str, Any]) -> bool:
    try:
        msgspec.convert(fields, Fact)
    except msgspec.ValidationError:
        return False
    return True


def currency_code(value: object) -> str:
    """ISO 4217 in capitals, from either case. Raises Problem."""
    found = code(value) if isinstance(value, str) else None
    if found is None:
        raise Problem(INVALID_CURRENCY)
    return found


def smallest_units(value: object, currency: str) -> int:
    """An amount in units of a currency, in its smallest units, exactly. Raises Problem.

    `value` is an integer, the text of a decimal, or a decimal that was a number of JSON: of more than 15 digits a
    double has lost some.
    """
    if isinstance(value, Decimal) and not _is_kept_by_a_double(value):
        raise Problem(INVALID_AMOUNT)
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = Decimal(value)
    if type(value) is int and abs(value) <= _MOST:
        value = Decimal(value)
    if not isinstance(value, Decimal):
        raise Problem(INVALID_AMOUNT)
    sign, digits, places = value.as_tuple()
    number, shift = int("".join(map(str, digits))), int(places) + exponent(currency)
    if number and shift < 0:
        number, rest = divmod(number, 10**-shift) if -shift < len(digits) else (0, number)
        if rest:
            raise Problem(AMOUNT_NOT_EXACT)
    elif number:
        number *= 10**shift
    if number > _MOST:
        raise Problem(INVALID_AMOUNT)
    return -number if sign else number


def _is_kept_by_a_double(number: Decimal) -> bool:
    return number.is_finite() and len(number.as_tuple().digits) <= 15 and number.adjusted() < 15
