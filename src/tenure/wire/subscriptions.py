"""What users say of subscriptions themselves, in Tenure's own form: each statement is an event of the customer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tenure.event import Decoded, Event
from tenure.identity import KINDS
from tenure.subscriptions import statement
from tenure.wire import elements, fields, native
from tenure.wire.credentials import api_key_or_bearer
from tenure.wire.dialect import SECRET, Operation
from tenure.wire.json import canonical, parse

MAX_STATEMENTS: Final = 1_000

_BODY_FIELDS = frozenset({"subscriptions"})
_FIELDS = frozenset({"message_id", "effective_at", "mode", *KINDS, *statement.FIELDS})


def decode(body: bytes, now: int) -> Decoded:
    """1 to 1,000 statements under `subscriptions`; a bad one is told by its index and costs the others nothing."""
    source = fields.whole_object(parse(body))
    if source.keys() - _BODY_FIELDS:
        raise fields.unknown(source.keys() - _BODY_FIELDS)
    statements = fields.array(source.get("subscriptions"), "subscriptions")
    elements.check_count(statements, MAX_STATEMENTS)
    decoded = Decoded()
    elements.take_each(statements, _take, decoded, reported=True, mode=native.mode_of)
    return decoded


def event(source: Mapping[str, object], index: int) -> Event:
    """The event that a statement is. Raises BadRequest."""
    if not source.keys() <= _FIELDS:
        raise fields.unknown(source.keys() - _FIELDS)
    native.mode(source.get("mode"))
    who: dict[str, Any] = native.identifiers(source)
    moment = fields.time(source.get("effective_at"), "effective_at")
    return Event(
        index=index,
        name=statement.NAME,
        occurred_at=moment.ms if moment else None,
        precise=moment.precise if moment else False,
        message_id=fields.identifier(source.get("message_id"), "message_id"),
        properties=canonical(statement.read(source)),
        **who,
    )


def _take(source: Mapping[str, object], index: int, decoded: Decoded) -> None:
    decoded.events.append(event(source, index))


OPERATIONS = (
    Operation(
        dialect="native",
        path="/v1/subscriptions",
        key_kinds=SECRET,
        credentials=api_key_or_bearer,
        decode=decode,
        reply=native.reply,
        asks_what_is_known=True,
    ),
)
