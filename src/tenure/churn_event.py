"""Churn events: the facts that Windback's client records about a cancellation.

A churn event is an event like any other, under one of the names below, and has an id of its own, by which a
reason can be added later. The id is computed from the event's, so that nothing has to be looked up to give it
out, and it ends in a check, so that a mistyped one, or one of another app, is told without a look-up too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

import msgspec

DIALECT: Final = "windback"
RECORDED: Final = "churn_recorded"
"""A customer cancelled (`track_churn`)."""
SUBMITTED: Final = "cancel_flow_submitted"
"""A customer went through a cancel flow (`submit_cancel_flow`)."""
REASON_REPORTED: Final = "cancel_reason_reported"
"""The reason of a churn event that was recorded before (`report_cancel_reason`)."""

OPENING: Final = frozenset({RECORDED, SUBMITTED})
"""Names of the events that are a churn event; the third one adds to one."""

ID_BYTES: Final = 12
"""Bytes of the event's id that a churn event's id begins with."""

_FORM = re.compile(r"[0-9a-f]{32}")


class ChurnEvent(msgspec.Struct, kw_only=True):
    """A churn event, in the field names of Windback's client. Times are RFC 3339 in UTC."""

    id: str
    status: str
    """`recorded`; Tenure sends no e-mail, so no other state follows."""
    customer_email: str
    created_at: str
    updated_at: str
    """Of the last reason that was reported, or else `created_at`."""
    provider: str = ""
    mrr: int = 0
    """In the currency's smallest unit, a month."""
    currency: str = "USD"
    provider_customer_id: str | None = None
    provider_subscription_id: str | None = None
    customer_name: str | None = None
    plan_name: str | None = None
    tenure_days: int | None = None
    last_active_at: str | None = None
    cancel_reason: str | None = None
    cancel_reason_text: str | None = None
    notes: str | None = None
    project: str | None = None
    verified: bool = False


class Report(msgspec.Struct):
    """A reason that was reported for a churn event, and when that was received (RFC 3339)."""

    properties: Mapping[str, Any]
    received_at: str


_FIELDS: Final = frozenset(ChurnEvent.__struct_fields__)
_REASON: Final = ("cancel_reason", "cancel_reason_text")


def churn_event(known: Mapping[str, Any], properties: Mapping[str, Any], reports: Sequence[Report]) -> ChurnEvent:
    """The churn event that an event is: what is known of it beside its properties, and the last report's reason.

    `known` has at least id, customer_email and created_at; `reports` are in the order of receipt.
    """
    found = {name: value for name, value in properties.items() if name in _FIELDS} | dict(known)
    found |= {"status": "recorded", "updated_at": found["created_at"]}
    if reports:
        last = reports[-1]
        found |= {name: last.properties.get(name) for name in _REASON} | {"updated_at": last.received_at}
    return ChurnEvent(**found)


def churn_event_id(app: str, event_id: bytes) -> str:
    """The id (32 hex digits) of the churn event that the event with this id (16 bytes) is."""
    start = event_id[:ID_BYTES]
    return start.hex() + _check(app, start)


def is_churn_event_id(app: str, text: str) -> bool:
    """Whether this app may have given out this id. Says yes to one in 4 billion that it did not."""
    return (
        _FORM.fullmatch(text) is not None and _check(app, bytes.fromhex(text[: 2 * ID_BYTES])) == text[2 * ID_BYTES :]
    )


def _check(app: str, start: bytes) -> str:
    return blake2b(app.encode() + start, digest_size=4, person=b"churn event").hexdigest()
