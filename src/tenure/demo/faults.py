"""What integrations get wrong: elements and whole requests that a dialect refuses, each for a reason of its own."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec

from tenure.demo.call import (
    CHURNKEY_BULK,
    CUSTOMERSCORE,
    WHISPERR_BATCH,
    WINDBACK_BATCH,
    WINDBACK_EVENT,
    Channel,
)
from tenure.demo.life import DAY
from tenure.wire.times import rfc3339


def bad_element(rng: Random, channel: Channel, at: int) -> bytes | None:
    """An element that the channel's dialect refuses beside good ones; None for a channel of single elements."""
    made = {
        CHURNKEY_BULK: _churnkey,
        WINDBACK_BATCH: _windback,
        CUSTOMERSCORE: _customerscore,
        WHISPERR_BATCH: _whisperr,
    }
    return msgspec.json.encode(rng.choice(made[channel](rng, at))) if channel in made else None


def bad_request(rng: Random) -> tuple[Channel, bytes]:
    """A request that is refused as a whole."""
    return rng.choice(
        (
            (WINDBACK_EVENT, b'{"event":"login","properties":{"device":"ios"}}'),
            (WINDBACK_EVENT, b'{"event":"feature_used","customer_email":"${user.email}"}'),
            (WHISPERR_BATCH, b'{"events":[]}'),
            (CHURNKEY_BULK, b'{"event":"Task Completed"'),
        )
    )


def _churnkey(_: Random, at: int) -> list[dict[str, Any]]:
    return [
        {"event": "Task Completed", "eventDate": rfc3339(at), "eventData": {"feature": "tasks"}},
        {"event": "Report Viewed", "customerId": "cus_unknown", "eventDate": "yesterday"},
        {"event": "Report Exported", "customerId": "cus_unknown", "eventDate": rfc3339(at), "eventData": "format=pdf"},
    ]


def _windback(_: Random, at: int) -> list[dict[str, Any]]:
    return [
        {"event": "login", "customer_email": "undefined", "timestamp": rfc3339(at)},
        {"event": "feature_used", "timestamp": rfc3339(at), "properties": {"feature": "reports"}},
    ]


def _customerscore(_: Random, at: int) -> list[dict[str, Any]]:
    return [
        {"name": "Dashboard Opened", "identification": {"customer": "cus_unknown"}},
        {"name": "Dashboard Opened", "timestamp": at, "identification": {"contact": "usr_unknown"}},
    ]


def _whisperr(rng: Random, at: int) -> list[dict[str, Any]]:
    event = {
        "external_user_id": "ws_unknown",
        "event_type": "page_viewed",
        "occurred_at": rfc3339(at),
        "properties": {"path": "/home"},
        "context": {"$message_id": f"{rng.getrandbits(128):032x}"},
    }
    kept_offline = rfc3339(at - rng.randint(35, 60) * DAY)
    return [event | {"event_type": "Page Viewed"}, event | {"occurred_at": kept_offline}, event | {"context": {}}]
