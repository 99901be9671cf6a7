"""The exports of other products, and Tenure's own, row by row in the form of `Said`. Pure.

Each preset knows its files by their columns and their first row, so that nobody has to name it. None takes for a
message id what is not unique over all files: Amplitude's `event_id` counts for each device, and `$insert_id` of
Amplitude and Mixpanel is unique only beside the device or the person, the time and the name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec

from tenure.errors import BadRequest
from tenure.wire import codes
from tenure.wire.json import canonical

Values = Mapping[str, object]

_NOTHING: Final[Values] = {}


class Said(msgspec.Struct, kw_only=True):
    """What a row says, not checked yet."""

    fields: dict[str, object] = {}
    """By the names of `mapping.ALIASES`."""
    properties: dict[str, object] = {}
    context: dict[str, object] = {}
    traits: dict[str, object] | None = None
    """Attributes that the row sets; None: it sets none."""
    is_flat: bool = False
    """Each column is a field or a property, and nothing was taken apart."""


class Preset(NamedTuple):
    """One product's exports."""

    name: str
    is_like: Callable[[Collection[str], Values], bool]
    """Whether a file with these columns and this first row is one of them."""
    read: Callable[[Values], Said]
    """Raises BadRequest for a row that is no event and sets nothing."""


def within(value: object, *path: str) -> object:
    """What is at a path of nested objects; None when there is nothing."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def object_at(value: object, *path: str) -> dict[str, object]:
    """The object at a path, as a copy; an empty one when there is none."""
    found = within(value, *path)
    return dict(found) if isinstance(found, dict) else {}


def rest(values: Values, *taken: str) -> dict[str, object]:
    """The columns that are not `taken`."""
    return {name: value for name, value in values.items() if name not in taken}


def _composed(kind: str, *parts: object) -> str | None:
    """A message id of parts that are unique together only; None when the first is missing."""
    if parts[0] in (None, ""):
        return None
    return f"{kind}:{blake2b(canonical(list(parts)).encode(), digest_size=16).hexdigest()}"


_SEGMENT_NAMES: Final = {"page": "page_viewed", "screen": "screen_viewed"}
_SEGMENT_TAKEN: Final = (
    "type", "event", "messageId", "timestamp", "originalTimestamp", "userId", "anonymousId", "properties", "context",
    "traits", "groupId",
)  # fmt: skip


def _segment(values: Values) -> Said:
    kind = values.get("type")
    said = Said(
        fields={
            "occurred_at": values.get("timestamp") or values.get("originalTimestamp"),
            "message_id": values.get("messageId"),
            "uid": values.get("userId"),
            "anonymous_id": values.get("anonymousId"),
            "email": within(values, "traits", "email") or within(values, "context", "traits", "email"),
        },
        properties=object_at(values, "properties"),
        context=object_at(values, "context") | rest(values, *_SEGMENT_TAKEN),
    )
    if kind == "track":
        said.fields["name"] = values.get("event")
    elif isinstance(kind, str) and kind in _SEGMENT_NAMES:
        said.fields["name"] = _SEGMENT_NAMES[kind]
        if "name" in values:
            said.properties.setdefault("name", said.context.pop("name", None))
    elif kind == "identify":
        said.traits = object_at(values, "traits")
    elif kind == "group":
        said.fields |= {
            "customer_id": values.get("groupId"),
            "user_id": values.get("userId"),
            "uid": None,
            "email": None,
        }
        said.traits = object_at(values, "traits")
    else:
        raise BadRequest("type must be track, page, screen, identify or group.", code=codes.INVALID_VALUE, field="type")
    return said


def _is_segment(columns: Collection[str], first: Values) -> bool:
    return {"type", "messageId"} <= set(columns) and first.get("type") in (
        "track",
        "page",
        "screen",
        "identify",
        "group",
    )


def _is_rudderstack(columns: Collection[str], first: Values) -> bool:
    return _is_segment(columns, first) and not {"rudderId", "originalTimestamp"}.isdisjoint(columns)


_DEVICE = "$device:"


def _mixpanel(values: Values) -> Said:
    properties = object_at(values, "properties")
    person, at = properties.pop("distinct_id", None), properties.pop("time", None)
    user, device = properties.pop("$user_id", None), properties.pop("$device_id", None)
    if isinstance(person, str) and person.startswith(_DEVICE):
        device = device or person.removeprefix(_DEVICE)
    elif user is None:
        user = person
    insert_id = properties.pop("$insert_id", None)
    return Said(
        fields={
            "name": values.get("event"),
            "occurred_at": at,
            "message_id": _composed("mixpanel", insert_id, person, at, values.get("event")),
            "uid": user,
            "anonymous_id": device,
            "email": properties.get("$email"),
        },
        properties=properties,
        context=rest(values, "event", "properties"),
    )


def _is_mixpanel(columns: Collection[str], first: Values) -> bool:
    said = object_at(first, "properties")
    return {"event", "properties"} <= set(columns) and {"time", "distinct_id"} <= said.keys()


_AMPLITUDE_TAKEN: Final = ("event_type", "event_time", "uuid", "$insert_id", "user_id", "device_id", "event_properties")


def _amplitude(values: Values) -> Said:
    at, device, user = values.get("event_time"), values.get("device_id"), values.get("user_id")
    composed = _composed("amplitude", values.get("$insert_id"), device, user, at, values.get("event_type"))
    return Said(
        fields={
            "name": values.get("event_type"),
            "occurred_at": at,
            "message_id": values.get("uuid") or composed,
            "uid": user,
            "anonymous_id": device,
        },
        properties=object_at(values, "event_properties"),
        context=rest(values, *_AMPLITUDE_TAKEN),
    )


def _is_amplitude(columns: Collection[str], _: Values) -> bool:
    return {"event_type", "event_time", "event_properties"} <= set(columns)


def _posthog(values: Values) -> Said:
    properties = object_at(values, "properties")
    person = values.get("distinct_id")
    known = properties.get(
        "$is_identified", properties.get("$user_id") is not None or "$anon_distinct_id" in properties
    )
    device = properties.get("$device_id")
    is_device = device is not None and device == person and not known
    return Said(
        fields={
            "name": values.get("event"),
            "occurred_at": values.get("timestamp"),
            "message_id": values.get("uuid"),
            "uid": None if is_device else person,
            "anonymous_id": person if is_device else device,
            "email": within(properties, "$set", "email"),
        },
        properties=rest(properties, "$set", "$set_once"),
        context=rest(values, "event", "timestamp", "uuid", "distinct_id", "properties"),
        traits=object_at(properties, "$set") or None,
    )


def _is_posthog(columns: Collection[str], _: Values) -> bool:
    return {"event", "distinct_id", "timestamp", "properties", "uuid"} <= set(columns)


_OWN: Final = (
    "name",
    "occurred_at",
    "customer_id",
    "uid",
    "billing_id",
    "email",
    "anonymous_id",
    "user_id",
    "message_id",
)


def _tenure(values: Values) -> Said:
    """A line of `event.jsonl` of an export of Tenure's own."""
    said = {name: value for name in _OWN if (value := values.get(name)) not in (None, "")}
    said.setdefault("message_id", f"tenure:{values.get('event_id')}")
    return Said(fields=said, properties=object_at(values, "properties"), context=object_at(values, "context"))


def _is_tenure(columns: Collection[str], _: Values) -> bool:
    return {"event_id", "customer_key", "receipt", "occurred_at", "properties", "context"} <= set(columns)


PRESETS: Final = {
    preset.name: preset
    for preset in (
        Preset("rudderstack", _is_rudderstack, _segment),
        Preset("segment", _is_segment, _segment),
        Preset("mixpanel", _is_mixpanel, _mixpanel),
        Preset("amplitude", _is_amplitude, _amplitude),
        Preset("posthog", _is_posthog, _posthog),
        Preset("tenure", _is_tenure, _tenure),
    )
}
"""By name; the first that a file is like is taken."""


def recognized(columns: Collection[str], first: Values) -> Preset | None:
    """The preset that a file is like; None when there is none."""
    return next((preset for preset in PRESETS.values() if preset.is_like(columns, first)), None)
