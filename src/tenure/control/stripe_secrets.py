"""Secrets of Stripe webhooks: what Stripe signs what it sends to an app with.

Unlike keys they are kept in clear, since a signature can be checked with the secret itself alone. An app may have
several, so that one can be rotated; of one that is revoked nothing is kept but what it was shown as.
"""

from __future__ import annotations

import re
import secrets
import time
from collections import defaultdict
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import Engine, or_, select, update

from tenure.control.audit import record
from tenure.control.database import writing
from tenure.control.keys import shown_prefix
from tenure.control.revision import touch
from tenure.control.tables import stripe_secret
from tenure.errors import NotFound, TenureError

_FORM: Final = re.compile(r"whsec_[A-Za-z0-9+/=_-]{16,250}")


class StripeSecret(msgspec.Struct, frozen=True):
    """A live secret. Its text does not show what must not be seen."""

    id: str
    app: str
    prefix: str
    secret: str

    def __repr__(self) -> str:
        return f"StripeSecret({self.id}, {self.prefix}…)"


class StripeSecretRow(NamedTuple):
    """A secret as `tenure app stripe` lists it; times in milliseconds since 1970 UTC."""

    id: str
    prefix: str
    created_at: int
    revoked_at: int | None


class StripeSecrets:
    """The secrets of all apps, in the control database. Safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = writing(engine)

    def add(self, app_id: str, secret: str) -> str:
        """Take a secret of Stripe's; returns its id. Raises TenureError when it is none, or there already."""
        if not _FORM.fullmatch(secret):
            raise TenureError("this is no webhook secret: Stripe's begin with whsec_ and have at least 22 characters")
        row_id = secrets.token_hex(8)
        there = select(stripe_secret.c.id).where(stripe_secret.c.app_id == app_id, stripe_secret.c.secret == secret)
        row = {"id": row_id, "app_id": app_id, "prefix": shown_prefix(secret), "secret": secret, "created_at": _now()}
        with self._writer.begin() as db:
            if found := db.execute(there).first():
                raise TenureError(f"this app has this secret already, as {found.id}")
            db.execute(stripe_secret.insert(), row)
            touch(db, app_id)
            record(db, "stripe_secret.add", app_id, row_id, prefix=row["prefix"])
        return row_id

    def revoke(self, app_id: str, id_or_prefix: str) -> None:
        """End a secret of this app and forget it. Raises NotFound, TenureError if ambiguous."""
        named = or_(stripe_secret.c.id == id_or_prefix, stripe_secret.c.prefix == id_or_prefix)
        live = stripe_secret.c.app_id == app_id, stripe_secret.c.revoked_at.is_(None)
        with self._writer.begin() as db:
            found = db.execute(select(stripe_secret.c.id).where(named, *live)).scalars().all()
            if not found:
                raise NotFound(f"this app has no live webhook secret {id_or_prefix!r}; `--list` shows all")
            if len(found) > 1:
                raise TenureError(f"{len(found)} secrets begin with {id_or_prefix!r}; name one by its id")
            ended = {"revoked_at": _now(), "secret": None}
            db.execute(update(stripe_secret).where(stripe_secret.c.id == found[0]).values(ended))
            touch(db, app_id)
            record(db, "stripe_secret.revoke", app_id, found[0])

    def rows(self, app_id: str) -> list[StripeSecretRow]:
        """The secrets of an app, oldest first, revoked ones included."""
        columns = (stripe_secret.c.id, stripe_secret.c.prefix, stripe_secret.c.created_at, stripe_secret.c.revoked_at)
        query = select(*columns).where(stripe_secret.c.app_id == app_id)
        with self._engine.begin() as db:
            ordered = db.execute(query.order_by(stripe_secret.c.created_at, stripe_secret.c.id))
            return [StripeSecretRow(*row) for row in ordered]

    def live(self) -> dict[str, tuple[StripeSecret, ...]]:
        """Every secret that has not been revoked, by the app's id."""
        columns = (stripe_secret.c.id, stripe_secret.c.app_id, stripe_secret.c.prefix, stripe_secret.c.secret)
        query = select(*columns).where(stripe_secret.c.revoked_at.is_(None)).order_by(stripe_secret.c.created_at.desc())
        found: defaultdict[str, tuple[StripeSecret, ...]] = defaultdict(tuple)
        with self._engine.begin() as db:
            for row in db.execute(query):
                found[row.app_id] += (StripeSecret(*row),)
        return dict(found)


def _now() -> int:
    return time.time_ns() // 1_000_000
