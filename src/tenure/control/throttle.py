"""How often a password may be guessed: so many times for one e-mail address, and for all together.

Attempts that were counted while the clock was ahead do not count when it is right. An
attempt is counted before the password is looked at, and taken back when it was right; so guesses at the same time count
too. Kept in the control database, for all processes together.
"""

from __future__ import annotations

import time
from hashlib import sha256

from sqlalchemy import Engine, func, not_, or_, select

from tenure import receipt
from tenure.control.database import writing
from tenure.control.tables import sign_in_attempt
from tenure.errors import RateLimited

WINDOW_SECONDS, MOST_OF_ONE = 15 * 60, 10
"""Failures of one e-mail address in so many seconds. Who is locked out by somebody else's guesses waits, or is given a
sign-in link."""
MINUTE_SECONDS, MOST_OF_ALL = 60, 60
"""Failures of all, which also bounds what is kept."""
AHEAD_MS = 1_000
"""An attempt that is later than now by more than this was counted while the clock was ahead, not by another process."""


class Throttle:
    """Safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = writing(engine)

    def begin(self, email: str) -> None:
        """Count an attempt. Raises RateLimited, without writing, when there were too many."""
        now, digest = _now(), _digest(email)
        at = sign_in_attempt.c.at
        is_past = at <= now + AHEAD_MS
        with self._engine.begin() as db:
            own = db.execute(
                select(func.count(), func.min(at)).where(
                    sign_in_attempt.c.email_digest == digest, at > now - WINDOW_SECONDS * 1_000, is_past
                )
            ).one()
            of_all = select(func.count(), func.min(at)).where(at > now - MINUTE_SECONDS * 1_000, is_past)
            everybody = db.execute(of_all).one()
        for (count, first), most, seconds in (
            (own, MOST_OF_ONE, WINDOW_SECONDS),
            (everybody, MOST_OF_ALL, MINUTE_SECONDS),
        ):
            if count >= most:
                wait = min(seconds, max(1, seconds - (now - first) // 1_000))
                raise RateLimited("too many attempts to sign in; wait a while, or use a sign-in link", retry_after=wait)
        with self._writer.begin() as db:
            db.execute(sign_in_attempt.delete().where(or_(at <= now - WINDOW_SECONDS * 1_000, not_(is_past))))
            db.execute(sign_in_attempt.insert(), {"id": receipt.new(), "email_digest": digest, "at": now})

    def forget(self, email: str) -> None:
        """Who knows the password is not counted."""
        with self._writer.begin() as db:
            db.execute(sign_in_attempt.delete().where(sign_in_attempt.c.email_digest == _digest(email)))


def _now() -> int:
    return time.time_ns() // 1_000_000


def _digest(email: str) -> str:
    """Of any text of any length."""
    return sha256(email.encode("utf-8", "surrogatepass")).hexdigest()
