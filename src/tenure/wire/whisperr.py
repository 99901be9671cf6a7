"""Whisperr's ingestion: events one by one or up to 500, and `identify`.

Strict where the vendor is: an event with an unknown field, a name of another form, a time outside the window
or no `$message_id` is rejected, and told so by its count. One that is only too new is quarantined all the same, since
the clock of this server may be the wrong one. An `identify` is lenient: an optional value that
cannot be used is dropped and quarantined, and the rest counts.

The vendor marks its own keys with `$`; so do we where a value needs a place: `preferred_channel` is the
trait `$preferred_channel`, and the `anonymous_id` of an event that also has a user id is `$anonymous_id` in
the context, because the user id wins and only an identify says that both are one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Concatenate, ParamSpec, TypeVar

import msgspec

from tenure.errors import BadRequest, Refused
from tenure.event import Decoded, Event, Identify, Refusal
from tenure.mode import LIVE, TEST
from tenure.placeholder import is_placeholder
from tenure.wire import codes, elements, fields, times
from tenure.wire.credentials import api_key_or_bearer
from tenure.wire.dialect import SECRET_OR_PUBLISHABLE, Operation, Reply, Taken
from tenure.wire.json import canonical, parse

MAX_EVENTS = 500
MAX_CHANNELS = 100
"""Channels kept of one identify; more is no one's real list of addresses. [ours]"""
ID_LIMIT = 128
NAME_LIMIT = 128
ADDRESS_LIMIT = 4096
"""Characters in a channel's address: a web push subscription is the longest kind. [ours]"""
MAX_AGE = 30 * 24 * 60 * 60 * 1000
"""How far an event may lie before its acceptance, in ms. [page]"""
MAX_AHEAD = 5 * 60 * 1000
"""How far after it, in ms. [page]"""

_EVENT_NAME = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*")
_EVENT_FIELDS = frozenset({"external_user_id", "anonymous_id", "event_type", "occurred_at", "properties", "context"})
_BATCH_FIELDS = frozenset({"events"})
_IDENTIFY_FIELDS = frozenset({"external_user_id", "anonymous_id", "traits", "preferred_channel", "channels"})
PUSH = "push"
"""The channel whose addresses are of several kinds."""
_EXPO = re.compile(r"Expo(?:nent)?PushToken\[[^\]]*\]")
_APNS = re.compile(r"[0-9A-Fa-f]{64}")
_CHANNEL_TEXTS = ("kind", "platform", "push_env")
_CHANNEL_FLAGS = ("opted_in", "verified")
_CHANNEL_FIELDS = frozenset({"channel", "address", *_CHANNEL_TEXTS, *_CHANNEL_FLAGS})

P = ParamSpec("P")
T = TypeVar("T")


def decode_batch(body: bytes, now: int) -> Decoded:
    """1 to 500 events; a bad one is rejected by itself. `BadRequest` when `events` is not alone or no such list."""
    source = fields.whole_object(parse(body))
    if source.keys() - _BATCH_FIELDS:
        raise fields.unknown(source.keys() - _BATCH_FIELDS)
    events = fields.array(source.get("events"), "events")
    elements.check_count(events, MAX_EVENTS)
    decoded = Decoded()
    elements.take_each(
        events, lambda event, index, into: _take_event(event, index, into, now), decoded, reported=True, mode=mode_of
    )
    return decoded


def decode_track(body: bytes, now: int) -> Decoded:
    """One event. One that is dated ahead is kept; `_reply_track` tells the sender that it is refused."""
    decoded = Decoded()
    source = fields.whole_object(parse(body))
    elements.note_mode(decoded, 0, mode_of(source))
    try:
        _take_event(source, 0, decoded, now)
    except BadRequest as fault:
        if fault.code not in codes.KEPT:
            raise
        decoded.refusals.append(elements.refusal(fault, 0, source, reported=True))
    return decoded


def decode_identify(body: bytes, now: int) -> Decoded:
    """What is known of a user: traits, channels, and the anonymous id that was theirs."""
    source = fields.whole_object(parse(body))
    uid = fields.required_identifier(source.get("external_user_id"), "external_user_id", limit=ID_LIMIT)
    optional = _Optional()
    anonymous_id = optional.read(fields.identifier, source.get("anonymous_id"), "anonymous_id", limit=ID_LIMIT)
    traits = optional.read(fields.mapping, source.get("traits"), "traits") or {}
    preferred = optional.read(fields.text, source.get("preferred_channel"), "preferred_channel", limit=NAME_LIMIT)
    channels = _channels(source.get("channels"), optional)
    optional.drop_unknown(source, _IDENTIFY_FIELDS)
    if preferred is not None:
        traits = {**traits, "$preferred_channel": preferred}
    identify = Identify(
        index=0,
        uid=uid,
        anonymous_id=anonymous_id,
        traits=fields.canonical_or_empty(traits),
        channels=canonical(channels) if channels else "[]",
    )
    return Decoded(identifies=[identify], refusals=optional.dropped)


def mode_of(source: Mapping[str, object]) -> str:
    """The mode of an event, which the vendor's clients say in the context as `$mode`."""
    context = source.get("context")
    return TEST if isinstance(context, dict) and context.get("$mode") == TEST else LIVE


def _take_event(source: Mapping[str, object], index: int, decoded: Decoded, now: int) -> None:
    if not source.keys() <= _EVENT_FIELDS:
        raise fields.unknown(source.keys() - _EVENT_FIELDS)
    uid = fields.identifier(source.get("external_user_id"), "external_user_id", limit=ID_LIMIT)
    handle = source.get("anonymous_id")
    name = _event_name(source.get("event_type"))
    occurred_at = _occurred_at(source.get("occurred_at"), now)
    properties = fields.mapping(source.get("properties"), "properties")
    context = fields.mapping(source.get("context"), "context")
    message_id = fields.required_identifier(context.get("$message_id"), "context.$message_id")
    anonymous_id = None
    if uid is None or is_placeholder("uid", uid):
        anonymous_id = fields.identifier(handle, "anonymous_id", limit=ID_LIMIT)
        if uid is None and anonymous_id is None:
            raise fields.missing("external_user_id", "anonymous_id")
    elif handle is not None:
        context = {**context, "$anonymous_id": handle}
    decoded.events.append(
        Event(
            index=index,
            name=name,
            occurred_at=occurred_at,
            precise=occurred_at is not None,
            message_id=message_id,
            uid=uid,
            anonymous_id=anonymous_id,
            properties=fields.canonical_or_empty(properties),
            context=canonical(context),
        )
    )


def _event_name(value: object) -> str:
    name = fields.text(value, "event_type", limit=NAME_LIMIT)
    if name is None:
        raise fields.missing("event_type")
    if not _EVENT_NAME.fullmatch(name):
        message = "event_type must be in lower-case snake_case, such as payment_failed."
        raise BadRequest(message, code=codes.INVALID_NAME, field="event_type")
    return name


def _occurred_at(value: object, now: int) -> int | None:
    if value is None:
        return None
    try:
        ms = times.parse_rfc3339(value)
    except times.TimeInvalid as fault:
        raise fields.invalid_time("occurred_at", fault) from None
    if now - MAX_AGE <= ms <= now + MAX_AHEAD:
        return ms
    message = "occurred_at must be from 30 days ago to 5 minutes ahead."
    code = codes.DATED_AHEAD if ms > now else codes.OUTSIDE_TIME_WINDOW
    raise BadRequest(message, code=code, field="occurred_at")


class _Optional:
    """Reads values that a request may fail to get right: what cannot be used is dropped, and recorded."""

    def __init__(self) -> None:
        self.dropped: list[Refusal] = []

    def read(
        self,
        reader: Callable[Concatenate[object, str, P], T],
        value: object,
        field: str,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T | None:
        """What `reader` makes of the value; None when that fails."""
        try:
            return reader(value, field, *args, **kwargs)
        except BadRequest as fault:
            self.drop(fault, value)
            return None

    def drop(self, fault: BadRequest, value: object) -> None:
        """Records that `value` is left out for `fault`."""
        self.dropped.append(elements.refusal(fault, 0, value, reported=False))

    def drop_unknown(self, source: Mapping[str, object], known: frozenset[str], *, within: str = "") -> None:
        """Records the fields of `source` that have no place."""
        if rest := fields.rest(source, known):
            self.drop(fields.unknown(rest, within=within), rest)


def _channels(value: object, optional: _Optional) -> list[dict[str, object]]:
    """The channels that can be used, in their order."""
    if value is None:
        return []
    given = optional.read(fields.array, value, "channels") or []
    if len(given) > MAX_CHANNELS:
        message = f"channels has {len(given)} entries; the first {MAX_CHANNELS} are kept."
        fault = BadRequest(message, code=codes.TOO_MANY_CHANNELS, field="channels")
        optional.drop(fault, given[MAX_CHANNELS:])
    read = (
        optional.read(_channel, entry, f"channels[{at}]", optional) for at, entry in enumerate(given[:MAX_CHANNELS])
    )
    return [channel for channel in read if channel is not None]


def _channel(value: object, field: str, optional: _Optional) -> dict[str, object]:
    """One way to reach the user: `channel` and `address` are needed, the others are taken when they can be used."""
    if not isinstance(value, dict):
        raise fields.wrong_type(field, "an object")
    channel: dict[str, object] = {
        "channel": fields.required_identifier(value.get("channel"), f"{field}.channel", limit=NAME_LIMIT),
        "address": fields.required_identifier(value.get("address"), f"{field}.address", limit=ADDRESS_LIMIT),
    }
    for name in _CHANNEL_FLAGS:
        channel[name] = optional.read(fields.boolean, value.get(name), f"{field}.{name}")
    for name in _CHANNEL_TEXTS:
        channel[name] = optional.read(fields.text, value.get(name), f"{field}.{name}", limit=NAME_LIMIT)
    optional.drop_unknown(value, _CHANNEL_FIELDS, within=f"{field}.")
    if channel["channel"] == PUSH and channel["kind"] is None:
        channel["kind"] = _kind(str(channel["address"]))
    return {name: given for name, given in channel.items() if given is not None}


def _kind(address: str) -> str:
    """Which service a push address is of. [spec]"""
    if _EXPO.fullmatch(address):
        return "expo"
    return "apns" if _APNS.fullmatch(address) else "fcm"


def _reply_batch(taken: Taken) -> Reply:
    counts = {"accepted": len(taken.entry.events), "rejected": len(taken.entry.refusals)}
    return Reply(202, msgspec.json.encode(counts))


def _reply_track(taken: Taken) -> Reply:
    for refusal in taken.entry.refusals:
        return Reply(400, _error(BadRequest(refusal.message, code=refusal.code, field=refusal.field)))
    return Reply(202, b'{"event":{"mapping_status":"pending"},"processing":"queued"}')


def _reply_identify(taken: Taken) -> Reply:
    return Reply(202, b'{"processing":"queued"}')


def _error(refused: Refused) -> bytes:
    """The vendor's shape, and `message` at the top, where every other client looks for it."""
    error = {"code": refused.code, "message": refused.message}
    return msgspec.json.encode({"error": error, "message": refused.message})


def _operation(path: str, decode: Callable[[bytes, int], Decoded], reply: Callable[[Taken], Reply]) -> Operation:
    return Operation(
        dialect="whisperr",
        path=path,
        key_kinds=SECRET_OR_PUBLISHABLE,
        credentials=api_key_or_bearer,
        decode=decode,
        reply=reply,
        error=_error,
    )


OPERATIONS = (
    _operation("/v1/events/batch", decode_batch, _reply_batch),
    _operation("/v1/events/track", decode_track, _reply_track),
    _operation("/v1/identify", decode_identify, _reply_identify),
)
