"""What Windback's published client records about a cancellation: churn events and cancel flows. [sdk]

Each is an event on the customer's timeline (`tenure.churn_event`). Which project the client names in the path does
not matter, since the key tells the app; it is kept as `project`. Amounts are in the currency's smallest unit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Final

import msgspec

from tenure import churn_event
from tenure.event import Decoded, Event, Identify
from tenure.identity import event_ids
from tenure.wire import fields
from tenure.wire.credentials import api_key_or_bearer
from tenure.wire.dialect import SECRET, SECRET_OR_PUBLISHABLE, Operation, Reply, Taken
from tenure.wire.json import canonical, parse
from tenure.wire.times import rfc3339

SUBMIT_PATH: Final = "/api/v1/cancel-flow/submit"
EVENTS_PATH: Final = "/api/v1/projects/{slug}/churn-events"
REASON_PATH: Final = "/api/v1/projects/{slug}/churn-events/{churn_event_id}/cancel-reason"

MAX_AMOUNT: Final = 2**53
"""Amounts above are not exact in every client. [ours]"""
TEXT_LIMIT: Final = 65_536
"""Characters in free text: `cancel_reason_text` and `notes`. [ours]"""
SHORT_LIMIT: Final = 256

_SHORT_TEXTS = ("provider", "currency", "plan_name", "cancel_reason", "provider_subscription_id")
_LONG_TEXTS = ("cancel_reason_text", "notes")
_FIELDS = frozenset(
    {"customer_email", "customer_name", "provider_customer_id", "mrr", "tenure_days", "last_active_at",
     *_SHORT_TEXTS, *_LONG_TEXTS}
)  # fmt: skip
_REASON_FIELDS = frozenset({"cancel_reason", "cancel_reason_text"})
_PROJECT = re.compile(r"/api/v1/projects/([^/]+)/churn-events(?:/([^/]+)/cancel-reason)?")


def find(path: str) -> Operation | None:
    """The operation under a project's path (without a trailing slash); None when there is none."""
    found = _PROJECT.fullmatch(path)
    if found is None:
        return None
    slug, about = found.groups()
    if about is None:
        return msgspec.structs.replace(RECORD, decode=partial(decode_churn_event, project=slug))
    return msgspec.structs.replace(REPORT, decode=partial(decode_reason, project=slug, about=about))


def decode_churn_event(body: bytes, now: int, *, project: str | None = None) -> Decoded:
    """A cancellation: of whom, what they paid and why. `customer_email`, `provider`, `mrr` and `currency` are there."""
    return _decode(body, churn_event.RECORDED, project, required=("provider",))


def decode_cancel_flow(body: bytes, now: int) -> Decoded:
    """A cancel flow that a customer went through; as a churn event, with the reason required."""
    return _decode(body, churn_event.SUBMITTED, None, required=("provider", "cancel_reason"))


def decode_reason(body: bytes, now: int, *, project: str, about: str) -> Decoded:
    """The reason of the churn event `about`, recorded before."""
    source = fields.whole_object(parse(body))
    properties = _texts(source, ("cancel_reason",), SHORT_LIMIT) | _texts(source, ("cancel_reason_text",), TEXT_LIMIT)
    if "cancel_reason" not in properties:
        raise fields.missing("cancel_reason")
    event = Event(
        index=0,
        name=churn_event.REASON_REPORTED,
        churn_event_id=about,
        properties=canonical({**properties, "churn_event_id": about, "project": project}),
        context=fields.canonical_or_empty(fields.rest(source, _REASON_FIELDS)),
    )
    return Decoded(events=[event], churn_event_id=about)


def _decode(body: bytes, name: str, project: str | None, *, required: tuple[str, ...]) -> Decoded:
    source = fields.whole_object(parse(body))
    email = fields.email(source.get("customer_email"), "customer_email")
    if email is None:
        raise fields.missing("customer_email")
    customer_id = fields.identifier(source.get("provider_customer_id"), "provider_customer_id")
    customer_name = fields.text(source.get("customer_name"), "customer_name", limit=fields.ID_LIMIT)
    properties = _texts(source, _SHORT_TEXTS, SHORT_LIMIT) | _texts(source, _LONG_TEXTS, TEXT_LIMIT)
    for field in required:
        if field not in properties:
            raise fields.missing(field)
    mrr = fields.whole_number(source.get("mrr"), "mrr", 0, MAX_AMOUNT)
    if mrr is None:
        raise fields.missing("mrr")
    properties |= {"mrr": mrr, "currency": str(properties.get("currency", "USD")).upper()}
    tenure_days = fields.whole_number(source.get("tenure_days"), "tenure_days", 0, MAX_AMOUNT)
    last_active = fields.time(source.get("last_active_at"), "last_active_at")
    optional = {
        "tenure_days": tenure_days,
        "last_active_at": rfc3339(last_active.ms) if last_active else None,
        "customer_name": customer_name,
        "project": project,
    }
    properties |= {field: value for field, value in optional.items() if value is not None}
    event = Event(
        index=0,
        name=name,
        customer_id=customer_id,
        email=email,
        properties=canonical(properties),
        context=fields.canonical_or_empty(fields.rest(source, _FIELDS)),
    )
    decoded = Decoded(events=[event])
    if customer_name is not None:
        traits = canonical({"name": customer_name})
        decoded.identifies.append(Identify(index=0, customer_id=customer_id, email=email, traits=traits))
    return decoded


def _texts(source: Mapping[str, object], names: tuple[str, ...], limit: int) -> dict[str, object]:
    """The fields of these names that are there."""
    found = {name: fields.text(source.get(name), name, limit=limit) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def _churn_event_id(taken: Taken) -> str:
    entry = taken.entry
    ids = event_ids(entry)
    return churn_event.churn_event_id(entry.app, ids[0])


def _reply_recorded(taken: Taken) -> Reply:
    (event,) = taken.entry.events
    known = {
        "id": _churn_event_id(taken),
        "customer_email": event.email,
        "provider_customer_id": event.customer_id,
        "created_at": rfc3339(taken.entry.received_at // 1_000),
        "verified": taken.verified,
    }
    return Reply(201, msgspec.json.encode(churn_event.churn_event(known, msgspec.json.decode(event.properties), [])))


def _reply_submitted(taken: Taken) -> Reply:
    message = "The cancel flow is recorded on the customer's timeline."
    churn_event_id = _churn_event_id(taken)
    body = {
        "success": True,
        "churn_event_id": churn_event_id,
        "event_id": churn_event_id,  # one id under both names that the vendor documents
        "status": "recorded",
        "message": message,
        "offer": None,  # Tenure makes none
    }
    return Reply(200, msgspec.json.encode(body))


def _reply_reported(taken: Taken) -> Reply:
    (event,) = taken.entry.events
    return Reply(200, msgspec.json.encode({"id": event.churn_event_id, "status": "recorded"}))


SUBMIT = Operation(
    dialect=churn_event.DIALECT,
    path=SUBMIT_PATH,
    key_kinds=SECRET_OR_PUBLISHABLE,
    credentials=api_key_or_bearer,
    decode=decode_cancel_flow,
    reply=_reply_submitted,
)
RECORD = Operation(
    dialect=churn_event.DIALECT,
    path=EVENTS_PATH,
    key_kinds=SECRET,
    credentials=api_key_or_bearer,
    decode=decode_churn_event,
    reply=_reply_recorded,
)
REPORT = Operation(
    dialect=churn_event.DIALECT,
    method="PATCH",
    path=REASON_PATH,
    key_kinds=SECRET,
    credentials=api_key_or_bearer,
    decode=partial(decode_reason, project="", about=""),  # `find` puts in what the path says
    reply=_reply_reported,
)
OPERATIONS = (SUBMIT, RECORD, REPORT)
