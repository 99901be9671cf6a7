"""What a Stripe event tells of what was before it: marks of the object then and now, by which events follow each other.

`previous_attributes` has the former values of what changed: of an object only the fields that changed, of a list all of
it. Laid over the object it gives the object before, which the event before it carried as its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from tenure.errors import BadRequest
from tenure.wire.json import canonical, parse

_PREVIOUS: Final = "previous_attributes"
_OF_THE_ITEM: Final = ("quantity", "plan")
"""Fields that a subscription of one item has itself in older API versions; they say what the item says."""


class Marks(NamedTuple):
    """Marks of an object before and after a change."""

    was: str = ""
    becomes: str = ""


def marks(properties: str) -> Marks:
    """Those of an event's object; `was` is empty where the event tells nothing of before. Never raises."""
    try:
        said = parse(properties.encode())
        if not isinstance(said, dict):
            return Marks()
        now = {name: value for name, value in said.items() if name != _PREVIOUS}
        previous = said.get(_PREVIOUS)
        was = _mark(_before(now, previous)) if isinstance(previous, dict) and previous else ""
        return Marks(was, _mark(now))
    except (BadRequest, RecursionError, ValueError, OverflowError):
        return Marks()


def _before(now: Mapping[str, Any], previous: Mapping[str, Any]) -> Any:
    """The object before; what is said of its one item at the top alone is the item's."""
    items = now.get("items")
    lines = items.get("data") if isinstance(items, dict) else None
    if isinstance(lines, list) and len(lines) == 1 and "items" not in previous:
        of_item = {name: previous[name] for name in _OF_THE_ITEM if name in previous}
        previous = {**previous, "items": {"data": [of_item]}} if of_item else previous
    return _laid_over(now, previous)


def _laid_over(now: Any, previous: Any) -> Any:
    if isinstance(now, dict) and isinstance(previous, dict):
        return {**now, **{name: _laid_over(now.get(name), value) for name, value in previous.items()}}
    if isinstance(now, list) and isinstance(previous, list):
        ids = {each["id"]: each for each in now if isinstance(each, dict) and isinstance(each.get("id"), str)}
        return [_laid_over(_counterpart(value, place, now, ids, len(previous)), value)
                for place, value in enumerate(previous)]  # fmt: skip
    return previous


def _counterpart(value: Any, place: int, now: list[Any], ids: Mapping[str, Any], count: int) -> Any:
    """What a line of a list was changed into: the one of its id, or without an id the one in its place."""
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("id"), str):
        return ids.get(value["id"])
    return now[place] if len(now) == count else None


def _mark(value: Any) -> str:
    value = _bare(value)
    if isinstance(value, dict) and "items" in value:
        value = {name: each for name, each in value.items() if name not in _OF_THE_ITEM}
    return blake2b(canonical(value).encode(), digest_size=9, person=b"stripe mark").hexdigest()


def _bare(value: Any) -> Any:
    """Without nulls and what has nothing else: a field that is added was null before, or was not there."""
    if isinstance(value, dict):
        found = {name: bare for name, each in value.items() if (bare := _bare(each)) is not None}
        return found or None
    if isinstance(value, list):
        return [_bare(each) for each in value] or None
    return value
