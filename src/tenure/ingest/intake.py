"""The steps of the write path, and nothing of HTTP: authenticate, check, keep."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any

import structlog

from tenure import clock, mode
from tenure import entry as entries
from tenure.churn_event import is_churn_event_id
from tenure.control.keys import Key
from tenure.errors import Forbidden, NotFound, RateLimited, Refused, Unavailable
from tenure.event import Decoded, whole_request
from tenure.ingest.claims import check_claims
from tenure.ingest.keyring import Keyring
from tenure.ingest.limiter import Limiter
from tenure.ingest.memory import Memory
from tenure.ingest.skew import Skew
from tenure.ingest.turned_away import Door, TurnedAway
from tenure.journal import GroupCommit
from tenure.telemetry import EVENTS, IDENTIFIES, REFUSALS, REQUESTS
from tenure.wire.dialect import Credentials, Operation, Taken

log = structlog.get_logger()

MAX_IDEMPOTENCY_KEY = 255


class Intake:
    """Takes decoded requests into the journal of this process."""

    def __init__(self, keyring: Keyring, journal: GroupCommit, limiter: Limiter, memory: Memory, door: Door) -> None:
        self.keyring = keyring
        self.door = door
        self.journal = journal
        self.limiter = limiter
        self.memory = memory
        self.skew = Skew()
        self._tally: Counter[tuple[Any, ...]] = Counter()

    def authenticate(self, operation: Operation, credentials: Credentials) -> Key:
        """The key that a request came with. Raises Unauthenticated or Forbidden."""
        if credentials.key is None:
            return self.keyring.app_key(credentials.app or "")
        key = self.keyring.authenticate(credentials.key, operation.key_kinds)
        if credentials.app is not None:
            self.keyring.check_app_id(credentials.app, key.app, credentials.app_field)
        return key

    async def authenticate_signed(self, credentials: Credentials, body: bytes) -> Key:
        """The key that stands for the signature of a body. Raises Unauthenticated."""
        signature, app = credentials.signature or "", credentials.app or ""
        return await asyncio.to_thread(self.keyring.stripe_key, app, signature, body)  # a large body takes some ms

    async def admit(self, operation: Operation, key: Key, origin: str | None) -> None:
        """Raises Forbidden for a browser's page that the app does not take events from, and RateLimited."""
        policy = self.keyring.policy(key.app)
        if policy.origins is not None and origin is not None and origin not in policy.origins:
            message = "this app does not take events from pages of this origin; `tenure app origins` sets which it does"
            raise Forbidden(message, code="origin_not_allowed", field="Origin")
        limit = policy.limit(operation.dialect)
        if limit is None:
            return
        seconds = await self.limiter.check(key.id, operation.dialect, limit)
        if seconds is not None:
            message = f"this key may send {limit} requests a minute here; try again in {seconds} s"
            raise RateLimited(message, retry_after=seconds)

    async def keep(
        self, operation: Operation, key: Key, decoded: Decoded, receipt: str, idempotency_key: str | None
    ) -> Taken:
        """Put a request on disk. Raises Unauthenticated, Forbidden, NotFound or Unavailable."""
        if decoded.tracker_key is not None:
            self.keyring.check_tracker(decoded.tracker_key, key.app)
        if decoded.churn_event_id is not None and not is_churn_event_id(key.app, decoded.churn_event_id):
            raise NotFound("this app has no churn event with that id", code="unknown_churn_event")
        unproven: frozenset[int] = frozenset()
        if decoded.claims:  # in a thread: each customer's signature takes part of a millisecond
            unproven = await asyncio.to_thread(check_claims, decoded, partial(self.keyring.has_signed, key.app))
        kept = entries.of(
            decoded,
            app=key.app,
            receipt=receipt,
            received_at=clock.wall_us(),
            dialect=operation.dialect,
            verified=key.vouches,
            key_prefix=key.prefix,
            idempotency_key=idempotency_key,
            path=operation.path,
            order=clock.now(),
            key=key.id,
            retry_seconds=self.keyring.policy(key.app).retry_seconds,
        )
        parts = mode.parts(kept, decoded.modes)
        known: dict[int, str] = {}
        if operation.asks_what_is_known:
            for part in parts:
                known |= await self.memory.known(part)
        await self.journal.append(*(entries.record(part) for part in parts))
        if operation.asks_what_is_known:
            for part in parts:
                self.memory.remember(part)
        self.skew.note(kept)
        self._count(operation.dialect, decoded)
        return Taken(kept, known, unproven, decoded.modes)

    async def keep_refusal(self, operation: Operation, key: Key, error: Refused, receipt: str) -> None:
        """Put a request that was refused as a whole on record, so that its receipt can tell why.

        Only what an app's own key sent gets here; a full journal takes no such record.
        """
        try:
            await self.keep(operation, key, Decoded(refusals=[whole_request(error)]), receipt, None)
        except Unavailable:
            log.warning("refusal not recorded", receipt=receipt, app=key.app, code=error.code)

    def turn_away(self, operation: Operation, headers: Mapping[str, str], error: Refused) -> None:
        """Note a request that was refused before it could be put on record, and what can be told of its key."""
        try:
            credentials = operation.credentials(headers)
        except Refused:
            credentials = Credentials(None)
        known = self.keyring.begins_like(credentials.key or "")
        self.door.note(
            TurnedAway(
                app=known.app if known else self.keyring.knows_app(credentials.app or ""),
                dialect=operation.dialect,
                path=operation.path,
                status=error.status,
                code=error.code,
                field=error.field or "",
                message=error.message,
                key_prefix=known.prefix if known else "",
                key_state=("live" if known.is_live else "revoked") if known else "",
                first=time.time_ns() // 1_000_000,
            )
        )

    def count_request(self, dialect: str, status: int) -> None:
        """Count an answered request."""
        self._tally[REQUESTS, dialect, str(status)] += 1

    def measure(self) -> None:
        """Bring the metrics up to date. In between, counts are kept here: a metric's own `inc` costs as much as
        decoding an event."""
        tally, self._tally = self._tally, Counter()
        for (metric, *labels), count in tally.items():
            metric.labels(*labels).inc(count)

    def _count(self, dialect: str, decoded: Decoded) -> None:
        if decoded.events:
            self._tally[EVENTS, dialect] += len(decoded.events)
        if decoded.identifies:
            self._tally[IDENTIFIES, dialect] += len(decoded.identifies)
        for refusal in decoded.refusals:
            self._tally[REFUSALS, dialect, refusal.code, str(refusal.reported).lower()] += 1
