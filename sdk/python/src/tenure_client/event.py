"""One call of track or identify as the element of a request."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import date, datetime, timezone
from typing import TypedDict

from tenure_client.errors import InvalidEvent
from tenure_client.options import MAX_BODY
from tenure_client.values import Json, rfc3339, to_json, well_formed

IDENTIFIERS = ("customer_id", "uid", "email", "anonymous_id")
OBJECTS = ("user", "traits", "properties", "context")
MAX_EVENT = MAX_BODY - 64
"""Bytes of one event; the rest of the request needs a few."""

Identifier = str | int
Time = datetime | date | str | int | float
Object = Mapping[str, object]


class Attributes(TypedDict, total=False):
    """The arguments of identify; None is the same as not given."""

    customer_id: Identifier | None
    uid: Identifier | None
    email: str | None
    anonymous_id: Identifier | None
    user: Object | None
    traits: Object | None
    context: Object | None
    occurred_at: Time | None
    message_id: Identifier | None
    auth_hash: str | None


class Fields(Attributes, total=False):
    """The arguments of track beside the name."""

    properties: Object | None


def track(event: str, fields: Fields, now: float) -> tuple[Identifier, bytes]:
    """Message id and JSON of a named event at `now` (seconds since 1970). Raises `InvalidEvent`."""
    _check_names(fields, Fields.__optional_keys__)
    return _element({"event": _text(event, "event")}, fields, now)


def identify(fields: Attributes, now: float) -> tuple[Identifier, bytes]:
    """Message id and JSON of an element that only sets attributes. Raises `InvalidEvent`."""
    _check_names(fields, Attributes.__optional_keys__)
    user = fields.get("user")
    if not fields.get("traits") and not (isinstance(user, Mapping) and user.get("traits")):
        raise InvalidEvent("identify needs traits, or user with traits: the attributes to set.")
    return _element({}, fields, now)


def _check_names(fields: Attributes, names: frozenset[str]) -> None:
    for name in fields.keys() - names:
        raise TypeError(f"{name!r} is not an argument of this call.")


def _element(element: dict[str, Json], fields: Attributes, now: float) -> tuple[Identifier, bytes]:
    given = {name: value for name, value in fields.items() if value is not None}
    message_id = _identifier(given.get("message_id", str(uuid.uuid4())), "message_id")
    element["message_id"] = message_id
    element["occurred_at"] = _time(given.get("occurred_at"), now)
    for name in IDENTIFIERS:
        if name in given:
            element[name] = _identifier(given[name], name)
    if not any(name in element for name in IDENTIFIERS):
        raise InvalidEvent(f"One of {', '.join(IDENTIFIERS)} is needed: whose event it is.")
    for name in OBJECTS:
        if name in given:
            element[name] = _object(given[name], name)
    if "auth_hash" in given:
        element["auth_hash"] = _text(given["auth_hash"], "auth_hash")
    return message_id, _encoded(element)


def _encoded(element: dict[str, Json]) -> bytes:
    body = json.dumps(element, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    if len(body) > MAX_EVENT:
        raise InvalidEvent(f"The event has {len(body)} bytes; the server takes up to {MAX_EVENT}.")
    return body


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidEvent(f"{name} must be text that is not empty.")
    return well_formed(value)


def _identifier(value: object, name: str) -> Identifier:
    if isinstance(value, int) and not isinstance(value, bool) and name != "email":
        return int(value)
    return _text(value, name)


def _object(value: object, name: str) -> Json:
    if not isinstance(value, Mapping):
        raise InvalidEvent(f"{name} must be a dictionary.")
    return to_json(dict(value), name)


def _time(value: object, now: float) -> Json:
    if value is None:
        return rfc3339(datetime.fromtimestamp(now, timezone.utc))
    converted = to_json(value, "occurred_at")
    if isinstance(converted, bool) or not isinstance(converted, (str, int, float)):
        raise InvalidEvent("occurred_at must be a datetime, text in ISO 8601, or seconds or milliseconds since 1970.")
    return converted
