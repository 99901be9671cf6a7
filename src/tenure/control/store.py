"""What is read from and written to the control database: apps and their rules, keys, and links."""

from __future__ import annotations

import secrets
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import NamedTuple

from sqlalchemy import Connection, Engine, func, or_, select, union_all, update
from sqlalchemy.dialects import postgresql, sqlite

from tenure.control import keys
from tenure.control.database import writing
from tenure.control.erasures import Erasures
from tenure.control.keys import Key
from tenure.control.policy import Policy
from tenure.control.signing import signing_state
from tenure.control.tables import api_key, app, app_origin, link, rate_limit
from tenure.errors import NotFound, TenureError
from tenure.identity import CHURN_EVENT_ID, Identifier, identity_key


class App(NamedTuple):
    """One tenant."""

    id: str
    name: str


class KeyRow(NamedTuple):
    """A key as `tenure key list` shows it; times in milliseconds since 1970 UTC."""

    id: str
    app: str
    kind: str
    prefix: str
    created_at: int
    revoked_at: int | None


class Rotation(NamedTuple):
    """A new key in clear, and the id of the one that it replaces."""

    key: str
    old: str


class Link(NamedTuple):
    """A fact: these two identifiers are one customer, said by `source` in `receipt` at `linked_at` (ms)."""

    app: str
    one: Identifier
    other: Identifier
    source: str
    receipt: str
    linked_at: int


class Store:
    """Apps and their rules, keys, and links. Safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = writing(engine)
        self.erasures = Erasures(engine)

    def create_app(self, name: str) -> App:
        """A new app; raises TenureError when the name is taken."""
        created = App(f"app_{secrets.token_hex(8)}", name)
        with self._writer.begin() as db:
            if db.execute(select(app.c.id).where(app.c.name == name)).first():
                raise TenureError(f"there is an app named {name!r} already; `tenure app list` shows all")
            db.execute(app.insert().values(id=created.id, name=name, created_at=_now(), changed=_next_revision(db)))
        return created

    def apps(self) -> list[App]:
        """All apps, oldest first."""
        with self._engine.begin() as db:
            return [App(*row) for row in db.execute(select(app.c.id, app.c.name).order_by(app.c.created_at, app.c.id))]

    def app(self, name_or_id: str) -> App:
        """An app by its id or its name; raises NotFound."""
        with self._engine.begin() as db:
            found = db.execute(
                select(app.c.id, app.c.name).where(or_(app.c.id == name_or_id, app.c.name == name_or_id))
            ).first()
        if found is None:
            raise NotFound(f"there is no app {name_or_id!r}; `tenure app list` shows all")
        return App(*found)

    def policies(self) -> dict[str, Policy]:
        """The rules of every app, by its id."""
        origins: defaultdict[str, set[str]] = defaultdict(set)
        limits: defaultdict[str, dict[str, int | None]] = defaultdict(dict)
        with self._engine.begin() as db:
            ids = db.execute(select(app.c.id)).scalars().all()
            for app_id, origin in db.execute(select(app_origin.c.app_id, app_origin.c.origin)):
                origins[app_id].add(origin)
            for app_id, dialect, per_minute in db.execute(select(rate_limit)):
                limits[app_id][dialect] = per_minute
        return {
            app_id: Policy(frozenset(origins[app_id]) if app_id in origins else None, limits[app_id]) for app_id in ids
        }

    def set_origins(self, app_id: str, origins: Iterable[str]) -> None:
        """Let an app's browsers send from these origins only (as `policy.origin` writes them); from any when none."""
        rows = [{"app_id": app_id, "origin": origin} for origin in sorted(set(origins))]
        with self._writer.begin() as db:
            db.execute(app_origin.delete().where(app_origin.c.app_id == app_id))
            if rows:
                db.execute(app_origin.insert(), rows)
            _touch(db, app_id)

    def set_limit(self, app_id: str, dialect: str, per_minute: int | None) -> None:
        """Let each key of an app send so many requests a minute to a dialect; None: as many as it likes."""
        with self._writer.begin() as db:
            _drop_limit(db, app_id, dialect)
            db.execute(rate_limit.insert().values(app_id=app_id, dialect=dialect, per_minute=per_minute))
            _touch(db, app_id)

    def reset_limit(self, app_id: str, dialect: str) -> None:
        """Go back to the default limit of a dialect."""
        with self._writer.begin() as db:
            _drop_limit(db, app_id, dialect)
            _touch(db, app_id)

    def create_keys(self, app_id: str) -> dict[str, str]:
        """One new key of each kind, in clear, each under its kind and `_key`."""
        return {f"{kind}_key": self.create_key(app_id, kind) for kind in keys.KINDS}

    def create_key(self, app_id: str, kind: str) -> str:
        """A new key, in clear: this is the only time that it is seen."""
        key = keys.generate(kind)
        self.import_key(app_id, kind, key)
        return key

    def import_key(self, app_id: str, kind: str, key: str) -> str:
        """Take a key that a client uses already; returns its id. Raises TenureError when it is taken."""
        key_id = secrets.token_hex(8)
        with self._writer.begin() as db:
            taken = db.execute(select(api_key.c.id).where(api_key.c.digest == keys.digest(key))).first()
            if taken:
                raise TenureError(f"this key is known already, as {taken.id}")
            db.execute(
                api_key.insert().values(
                    id=key_id,
                    app_id=app_id,
                    kind=kind,
                    prefix=keys.shown_prefix(key),
                    digest=keys.digest(key),
                    created_at=_now(),
                    changed=_next_revision(db),
                    signing_state=signing_state(key) if kind == keys.SECRET else None,
                )
            )
        return key_id

    def revoke_key(self, key_id: str) -> None:
        """End a key, given its id or the prefix that is shown of it; raises NotFound, TenureError if ambiguous."""
        with self._writer.begin() as db:
            row = _one_live_key(db, key_id)
            db.execute(
                update(api_key).where(api_key.c.id == row.id).values(revoked_at=_now(), changed=_next_revision(db))
            )

    def rotate_key(self, key_id: str) -> Rotation:
        """A new key of the same kind. The old one, and what was signed with it, is good until it is revoked.

        Raises NotFound, TenureError if ambiguous or not a key that we make.
        """
        with self._engine.begin() as db:
            row = _one_live_key(db, key_id)
        if row.kind == keys.APP_ID:
            raise TenureError("a vendor's app id cannot be rotated; import another with `tenure key import`")
        return Rotation(self.create_key(row.app, row.kind), row.id)

    def list_keys(self, app_id: str | None = None) -> list[KeyRow]:
        """Keys of one app or of all, oldest first, revoked ones included."""
        columns = (api_key.c.id, api_key.c.app_id, api_key.c.kind, api_key.c.prefix)
        query = select(*columns, api_key.c.created_at, api_key.c.revoked_at).order_by(
            api_key.c.created_at, api_key.c.id
        )
        if app_id is not None:
            query = query.where(api_key.c.app_id == app_id)
        with self._engine.begin() as db:
            return [KeyRow(*row) for row in db.execute(query)]

    def revision(self) -> int:
        """A number that grows with every change to any app or key: cheap to ask for, so that caches know."""
        with self._engine.begin() as db:
            return _revision(db)

    def live_keys(self) -> list[Key]:
        """Every key that has not been revoked."""
        columns = (api_key.c.id, api_key.c.app_id, api_key.c.kind, api_key.c.prefix, api_key.c.digest)
        with self._engine.begin() as db:
            return [Key(*row) for row in db.execute(select(*columns).where(api_key.c.revoked_at.is_(None)))]

    def signing_states(self) -> dict[str, tuple[bytes, ...]]:
        """What checks signatures: the states of each app's live secret keys, by the app's id.

        A key that was made before states were kept has none, and checks nothing.
        """
        query = select(api_key.c.app_id, api_key.c.signing_state).where(
            api_key.c.signing_state.is_not(None), api_key.c.revoked_at.is_(None)
        )
        states: defaultdict[str, tuple[bytes, ...]] = defaultdict(tuple)
        with self._engine.begin() as db:
            for app_id, state in db.execute(query):
                states[app_id] += (state,)
        return dict(states)

    def add_links(self, links: Iterable[Link]) -> None:
        """Record links; one that is known keeps its first evidence."""
        rows = [_link_row(found) for found in links]
        if not rows:
            return
        insert = postgresql.insert if self._engine.dialect.name == "postgresql" else sqlite.insert
        with self._writer.begin() as db:
            db.execute(insert(link).on_conflict_do_nothing(), rows)

    def linked(self, app_id: str, start: Sequence[Identifier], limit: int = 10_000) -> list[Identifier]:
        """All identifiers that are one customer with those of `start`, which come first (breadth first).

        An e-mail address that is linked to two or more customers belongs to none of them and links nothing.
        """
        found = dict.fromkeys(start)
        with self._engine.begin() as db:
            frontier = [identifier for identifier in start if not _is_shared_email(db, app_id, identifier)]
            while frontier and len(found) < limit:
                step, frontier = frontier[:500], frontier[500:]
                fresh = [other for other in _neighbours(db, app_id, step) if other not in found]
                fresh = [other for other in fresh if not _is_shared_email(db, app_id, other)]
                found.update(dict.fromkeys(fresh))
                frontier += dict.fromkeys(fresh)
        return list(found)


def _link_row(found: Link) -> dict[str, str | int]:
    key, to_key = (identity_key(found.app, side).hex() for side in (found.one, found.other))
    return {
        "id": blake2b(f"{key}{to_key}".encode(), digest_size=16, person=b"link").hexdigest(),
        "app_id": found.app,
        "key": key,
        "kind": found.one.kind,
        "value": found.one.value,
        "to_key": to_key,
        "to_kind": found.other.kind,
        "to_value": found.other.value,
        "source": found.source,
        "receipt": found.receipt,
        "linked_at": found.linked_at,
    }


def _neighbours(db: Connection, app_id: str, step: Sequence[Identifier]) -> list[Identifier]:
    keys_of_step = [identity_key(app_id, identifier).hex() for identifier in step]
    there = select(link.c.to_kind, link.c.to_value).where(link.c.app_id == app_id, link.c.key.in_(keys_of_step))
    back = select(link.c.kind, link.c.value).where(link.c.app_id == app_id, link.c.to_key.in_(keys_of_step))
    return [Identifier(*row) for query in (there, back) for row in db.execute(query)]


def _is_shared_email(db: Connection, app_id: str, identifier: Identifier) -> bool:
    if identifier.kind != "email":
        return False
    others = _neighbours(db, app_id, [identifier])
    return sum(other.kind != CHURN_EVENT_ID for other in others) > 1  # a churn event is no other customer


def _one_live_key(db: Connection, key_id: str) -> Key:
    columns = (api_key.c.id, api_key.c.app_id, api_key.c.kind, api_key.c.prefix, api_key.c.digest)
    matches = or_(api_key.c.id == key_id, api_key.c.prefix == key_id)
    rows = db.execute(select(*columns).where(matches, api_key.c.revoked_at.is_(None))).all()
    if not rows:
        raise NotFound(f"there is no live key {key_id!r}; `tenure key list` shows all")
    if len(rows) > 1:
        raise TenureError(f"{len(rows)} keys begin with {key_id!r}; name one by its id")
    return Key(*rows[0])


def _drop_limit(db: Connection, app_id: str, dialect: str) -> None:
    db.execute(rate_limit.delete().where(rate_limit.c.app_id == app_id, rate_limit.c.dialect == dialect))


def _touch(db: Connection, app_id: str) -> None:
    db.execute(update(app).where(app.c.id == app_id).values(changed=_next_revision(db)))


def _revision(db: Connection) -> int:
    changes = union_all(select(api_key.c.changed), select(app.c.changed)).subquery()
    return int(db.execute(select(func.coalesce(func.max(changes.c.changed), 0))).scalar_one())


def _next_revision(db: Connection) -> int:
    return _revision(db) + 1


def _now() -> int:
    return time.time_ns() // 1_000_000
