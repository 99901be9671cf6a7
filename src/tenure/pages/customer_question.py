"""What the page of customers is asked for, as it stands in its URL: filters, sort and columns. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Annotated, Final, Literal, NamedTuple, TypeAlias
from urllib.parse import urlencode

import msgspec
from msgspec import Meta

from tenure.customers.attribute_condition import readings, written
from tenure.customers.conditions import MAX_ATTRIBUTES, Filter, conditions
from tenure.customers.listing import ATTRIBUTE, MAX_COLUMNS, SORTS
from tenure.errors import BadRequest
from tenure.web.strict_parameters import SHOWN, unknown
from tenure.wire import times

Text: TypeAlias = Annotated[str, Meta(max_length=1_024)]
Name: TypeAlias = Annotated[str, Meta(max_length=256)]
Days: TypeAlias = Annotated[int, Meta(ge=1, le=36_500)]
Count: TypeAlias = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Score: TypeAlias = Annotated[int, Meta(ge=0, le=100)]
Amount: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9]{1,18}(\.[0-9]{1,10})?$")]
Status: TypeAlias = Literal["active", "past_due", "trialing", "unpaid", "paused", "incomplete", "canceled", "none"]
Time: TypeAlias = Annotated[str, Meta(max_length=64)]

TIMES: Final = (
    "last_seen_after", "last_seen_before", "first_seen_after", "first_seen_before", "renews_after", "renews_before",
)  # fmt: skip
OPERATORS: Final = {
    "eq": "is", "ne": "is not", "gt": "is more than", "lt": "is less than", "exists": "is there",
    "missing": "is not there",
}  # fmt: skip
"""Of conditions on attributes, as a person reads them."""
NO_NAME: Final = '""'
"""How a person writes and reads the name of an attribute that has none."""
DEFAULT_SORT: Final = "-last_seen"
PARTS: Final = ("attribute_name", "attribute_operator", "attribute_value", "new_column")
"""Fields of the form that together make one more condition, or one more column."""


class Question(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields are those of `GET /v1/customers`; `column` are attributes that are shown."""

    q: Text | None = None
    status: Status | None = None
    plan: Text | None = None
    past_due: bool | None = None
    currency: Annotated[str, Meta(pattern="^[A-Za-z]{3}$")] | None = None
    mrr_at_least: Amount | None = None
    mrr_below: Amount | None = None
    health_at_least: Score | None = None
    health_below: Score | None = None
    active_days: Days | None = None
    inactive_days: Days | None = None
    did: Name | None = None
    did_within_days: Days | None = None
    did_at_least: Count | None = None
    did_not: Name | None = None
    did_not_within_days: Days | None = None
    events_at_least: Count | None = None
    verified: bool | None = None
    last_seen_after: Time | None = None
    last_seen_before: Time | None = None
    first_seen_after: Time | None = None
    first_seen_before: Time | None = None
    renews_after: Time | None = None
    renews_before: Time | None = None
    attribute: tuple[Text, ...] = ()
    column: tuple[Text, ...] = ()
    sort: Text = DEFAULT_SORT

    @property
    def query(self) -> str:
        """The query string: no fields that were not asked for, always in one order."""
        return urlencode(list(self._pairs()), doseq=True)

    def _pairs(self) -> Iterator[tuple[str, object]]:
        for field in self.__struct_fields__:
            value = getattr(self, field)
            if isinstance(value, bool):
                yield field, str(value).lower()
            elif value not in (None, ()) and (field, value) != ("sort", DEFAULT_SORT):
                yield field, value

    @property
    def filter(self) -> Filter:
        """What is asked of the list, now. Raises BadRequest."""
        given = {name: _moment(name, getattr(self, name)) for name in TIMES}
        shared = {name for name in Filter.__struct_fields__ if name in self.__struct_fields__} - given.keys()
        given |= {name: getattr(self, name) for name in shared}
        if self.currency is not None:
            given["currency"] = self.currency.upper()  # type: ignore[assignment] # of several types
        if self.status == "none":
            given["status"] = ""  # type: ignore[assignment] # of several types
        return Filter(**given, attributes=self.attribute, now=time.time_ns() // 1_000_000)  # type: ignore[arg-type]

    def changed(self, **changes: object) -> Question:
        """The same with some fields changed."""
        return msgspec.structs.replace(self, **changes)

    def sorted_by(self, field: str, *, descending_first: bool) -> Question:
        """Sorted by a field; by one that it is sorted by already, the other way round."""
        first, second = (f"-{field}", field) if descending_first else (field, f"-{field}")
        return self.changed(sort=second if self.sort == first else first)

    def without_column(self, name: str) -> Question:
        """The same without a column, sorted by it no more."""
        changes = {"sort": DEFAULT_SORT} if self.sort.removeprefix("-") == f"{ATTRIBUTE}{name}" else {}
        return self.changed(column=tuple(one for one in self.column if one != name), **changes)

    @property
    def chips(self) -> list[Chip]:
        """Each thing that was asked, in words, with the question without it."""
        chips = [
            Chip(f"{label}{getattr(self, field)}", self.changed(**dict.fromkeys((field, *more))))
            for field, (label, more) in _LABELS.items()
            if getattr(self, field) is not None
        ]
        chips += [
            Chip(_in_words(text), self.changed(attribute=tuple(one for one in self.attribute if one != text)))
            for text in self.attribute
        ]
        return chips


class Chip(NamedTuple):
    """Something that was asked for."""

    text: str
    without: Question


_LABELS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "q": ("Search: ", ()),
    "status": ("Status: ", ()),
    "plan": ("Plan: ", ()),
    "past_due": ("Past due: ", ()),
    "currency": ("Currency: ", ()),
    "mrr_at_least": ("MRR at least ", ()),
    "mrr_below": ("MRR below ", ()),
    "health_at_least": ("Health at least ", ()),
    "health_below": ("Health below ", ()),
    "active_days": ("Active within days: ", ()),
    "inactive_days": ("Inactive for days: ", ()),
    "did": ("Did ", ("did_within_days", "did_at_least")),
    "did_within_days": ("… within days: ", ()),
    "did_at_least": ("… times at least: ", ()),
    "did_not": ("Did not ", ("did_not_within_days",)),
    "did_not_within_days": ("… for days: ", ()),
    "events_at_least": ("Events at least ", ()),
    "verified": ("Verified events: ", ()),
    "last_seen_after": ("Last seen from ", ()),
    "last_seen_before": ("Last seen before ", ()),
    "first_seen_after": ("First seen from ", ()),
    "first_seen_before": ("First seen before ", ()),
    "renews_after": ("Renews from ", ()),
    "renews_before": ("Renews before ", ()),
}
"""What stands before the value, and what goes with it when it is taken away."""


def parse(given: Iterable[tuple[str, str]]) -> Question:
    """The question of a form or a URL, in which what is empty was not asked. Raises BadRequest, also for what the list
    cannot be asked."""
    found: dict[str, str | list[str]] = {"attribute": [], "column": []}
    parts = dict.fromkeys(PARTS, "")
    for name, text in given:
        value = text.strip() if name != "attribute" else text
        if name in parts:
            parts[name] = value
        elif isinstance(many := found.get(name), list):
            many.extend([value] if value and value not in many else ())
        elif value:
            if name in found:
                raise BadRequest(f"{name[:SHOWN]} is given twice; give it once", field=name[:SHOWN],
                                 code="repeated_parameter")  # fmt: skip
            if name not in Question.__struct_fields__:
                raise BadRequest(unknown(name, Question.__struct_fields__), field=name[:SHOWN],
                                 code="unknown_parameter")  # fmt: skip
            found[name] = value
    _add(found, parts)
    try:
        question = msgspec.convert(found, Question, strict=False)
    except msgspec.ValidationError as error:
        raise _wrong(str(error)) from None
    if len(question.column) > MAX_COLUMNS:
        raise BadRequest(f"up to {MAX_COLUMNS} attributes can be shown", field="column", code="invalid_parameter")
    if question.sort.removeprefix("-") not in SORTS and not question.sort.removeprefix("-").startswith(ATTRIBUTE):
        raise BadRequest("the list cannot be sorted by that", field="sort", code="invalid_parameter")
    conditions(question.filter)
    return question


def _add(found: dict[str, str | list[str]], parts: dict[str, str]) -> None:
    """One more condition and one more column, where the form has them filled in."""
    attributes, columns = found["attribute"], found["column"]
    name, operator, value = (parts[part] for part in PARTS[:3])
    if name and isinstance(attributes, list) and len(attributes) < MAX_ATTRIBUTES:
        text = written("" if name == NO_NAME else name, operator or "eq", value)
        attributes.extend([text] if text not in attributes else ())
    column = parts["new_column"]
    if column and isinstance(columns, list) and column not in columns:
        columns.append(column)


def _wrong(message: str) -> BadRequest:
    """What msgspec says, with the field by its name: "Expected `int` >= 1 - at `$.did_at_least`"."""
    what, _, place = message.partition(" - at `$.")
    field = place.rstrip("`").partition("[")[0]
    # A value that is none of those that there are is part of what msgspec says: it is not told again.
    text = f"{field} has no such value" if "enum" in what else f"{field}: {what[:1].lower()}{what[1:]}"
    if "unknown field" in message:
        text = "the address has a parameter that this page does not know"
    return BadRequest(text, field=field or None, code="invalid_parameter")


def _in_words(condition: str) -> str:
    name, operator, value = readings(condition)[0]
    return f"{name or NO_NAME} {OPERATORS.get(operator, operator)} {value}".strip()


def _moment(field: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return times.parse(text).ms
    except times.TimeInvalid as error:
        raise BadRequest(f"{field} {error}", field=field, code="invalid_parameter") from None
