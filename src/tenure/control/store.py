"""What is read from and written to the control database: apps and their rules, and keys. Links: `links`."""

from __future__ import annotations

import secrets
import time
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import NamedTuple

from sqlalchemy import Connection, Engine, or_, select, update

from tenure.control import keys
from tenure.control.audit import AuditLog, record
from tenure.control.backfills import Backfills
from tenure.control.billing import Billings
from tenure.control.database import writing
from tenure.control.erasures import Erasures
from tenure.control.health import HealthBook
from tenure.control.incidents import Incidents
from tenure.control.key_use import KeyUse
from tenure.control.keys import Key
from tenure.control.links import Links
from tenure.control.people import People
from tenure.control.policy import Policy
from tenure.control.received import ReceivedLedger
from tenure.control.reinstated import Reinstated
from tenure.control.repairs import Repairs
from tenure.control.revision import next_revision, revision, touch
from tenure.control.saved_views import SavedViews
from tenure.control.signing import signing_state
from tenure.control.stripe_secrets import StripeSecrets
from tenure.control.tables import api_key, app, app_origin, rate_limit
from tenure.entry import RETRY_SECONDS
from tenure.errors import NotFound, TenureError
from tenure.mode import APART, LIVE, MODES, app_of

MAX_NAME = 200
"""Characters of an app's name."""


_APP = (app.c.id, app.c.name, app.c.mode, app.c.live_app_id)


class App(NamedTuple):
    """One tenant."""

    id: str
    name: str
    mode: str = LIVE
    """Of what it keeps: see `tenure.mode`."""
    live: str | None = None
    """The id of the app whose data of that mode it keeps; None for live data."""

    @property
    def of(self) -> str:
        """The id of the app that people know: it has the keys, the rules and the names."""
        return self.live or self.id


class KeyRow(NamedTuple):
    """A key as `tenure key list` shows it; times in milliseconds since 1970 UTC."""

    id: str
    app: str
    kind: str
    prefix: str
    created_at: int
    revoked_at: int | None
    used_at: int | None
    """Up to `key_use.WRITE_SECONDS` ago."""
    trusted_at: int | None = None
    """Since when a publishable key is trusted."""


class Rotation(NamedTuple):
    """A new key in clear, and the id of the one that it replaces."""

    key: str
    old: str


class Store:
    """Apps and their rules, and keys; what else there is has its own part. Safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = writing(engine)
        self.links = Links(engine)
        self.billing = Billings(engine)
        self.erasures = Erasures(engine, self.links)
        self.stripe_secrets = StripeSecrets(engine)
        self.health = HealthBook(engine)
        self.saved_views = SavedViews(engine)
        self.people = People(engine)
        self.audit = AuditLog(engine)
        self.key_use = KeyUse(engine)
        self.repairs = Repairs(engine)
        self.incidents = Incidents(engine)
        self.received = ReceivedLedger(engine)
        self.backfills = Backfills(engine)
        self.reinstated = Reinstated(engine)

    def create_app(self, name: str) -> App:
        """A new app; raises TenureError when the name is taken, or none."""
        created = App(f"app_{secrets.token_hex(8)}", name)
        with self._writer.begin() as db:
            _check_name(db, name)
            db.execute(app.insert().values(id=created.id, name=name, created_at=_now(), changed=next_revision(db)))
            record(db, "app.create", created.id, name)
        return created

    def rename_app(self, app_id: str, name: str) -> None:
        """Give an app another name; raises TenureError when it is taken, or none."""
        with self._writer.begin() as db:
            was = db.execute(select(app.c.name).where(app.c.id == app_id)).scalar_one()
            if was == name:
                return
            _check_name(db, name)
            db.execute(update(app).where(app.c.id == app_id).values(name=name))
            for mode in APART:
                renamed = update(app).where(app.c.live_app_id == app_id, app.c.mode == mode)
                db.execute(renamed.values(name=_name_of_mode(name, mode)))
            record(db, "app.rename", app_id, name, was=was)

    def apps(self) -> list[App]:
        """All apps that people know, oldest first; not those that keep their other modes."""
        return [one for one in self.all_apps() if one.live is None]

    def all_apps(self) -> list[App]:
        """All apps, oldest first, with those that keep another mode than live."""
        with self._engine.begin() as db:
            return [App(*row) for row in db.execute(select(*_APP).order_by(app.c.created_at, app.c.id))]

    def siblings(self, app_id: str) -> list[App]:
        """The apps that keep the other modes of an app, as far as there is data of them; live first."""
        every = {one.id: one for one in self.all_apps()}
        live = every[app_id].of
        found = [one for one in every.values() if one.of == live and one.id != app_id]
        return sorted(found, key=lambda one: MODES.index(one.mode))

    def add_mode_apps(self, ids: Collection[str]) -> None:
        """Make those of these apps that keep another mode of an app and are not there yet."""
        if {one.id for one in self.all_apps()}.issuperset(ids):
            return
        with self._writer.begin() as db:
            there = {row.id: row for row in db.execute(select(*_APP, app.c.created_at))}
            for live in [row for row in there.values() if row.live_app_id is None]:
                for mode in APART:
                    made = app_of(live.id, mode)
                    if made in ids and made not in there:
                        name = _name_of_mode(live.name, mode)
                        db.execute(app.insert().values(id=made, name=name, created_at=_now(), mode=mode,
                                                       live_app_id=live.id, changed=next_revision(db)))  # fmt: skip

    def app(self, name_or_id: str) -> App:
        """An app by its id or its name; raises NotFound."""
        with self._engine.begin() as db:
            matches = or_(app.c.id == name_or_id, app.c.name == name_or_id)
            found = db.execute(select(*_APP).where(matches).order_by(app.c.live_app_id.is_not(None))).first()
        if found is None:
            raise NotFound(f"there is no app {name_or_id!r}; `tenure app list` shows all")
        return App(*found)

    def policies(self) -> dict[str, Policy]:
        """The rules of every app, by its id."""
        origins: defaultdict[str, set[str]] = defaultdict(set)
        limits: defaultdict[str, dict[str, int | None]] = defaultdict(dict)
        with self._engine.begin() as db:
            windows = dict(db.execute(select(app.c.id, app.c.retry_seconds)).tuples().all())
            for app_id, origin in db.execute(select(app_origin.c.app_id, app_origin.c.origin)):
                origins[app_id].add(origin)
            for app_id, dialect, per_minute in db.execute(select(rate_limit)):
                limits[app_id][dialect] = per_minute
        return {
            app_id: Policy(frozenset(origins[app_id]) if app_id in origins else None, limits[app_id],
                           RETRY_SECONDS if seconds is None else seconds)
            for app_id, seconds in windows.items()
        }  # fmt: skip

    def set_origins(self, app_id: str, origins: Iterable[str]) -> None:
        """Let an app's browsers send from these origins only (as `policy.origin` writes them); from any when none."""
        rows = [{"app_id": app_id, "origin": origin} for origin in sorted(set(origins))]
        with self._writer.begin() as db:
            db.execute(app_origin.delete().where(app_origin.c.app_id == app_id))
            if rows:
                db.execute(app_origin.insert(), rows)
            touch(db, app_id)
            record(db, "app.origins", app_id, None, origins=[row["origin"] for row in rows])

    def set_limit(self, app_id: str, dialect: str, per_minute: int | None) -> None:
        """Let each key of an app send so many requests a minute to a dialect; None: as many as it likes."""
        with self._writer.begin() as db:
            _drop_limit(db, app_id, dialect)
            db.execute(rate_limit.insert().values(app_id=app_id, dialect=dialect, per_minute=per_minute))
            touch(db, app_id)
            record(db, "app.limit", app_id, dialect, per_minute=per_minute)

    def reset_limit(self, app_id: str, dialect: str) -> None:
        """Go back to the default limit of a dialect."""
        with self._writer.begin() as db:
            _drop_limit(db, app_id, dialect)
            touch(db, app_id)
            record(db, "app.limit", app_id, dialect, per_minute="default")

    def set_retry_seconds(self, app_id: str, seconds: int | None) -> None:
        """How long a request can be a retry (`Policy.retry_seconds`), from now on; None: as where nothing is said."""
        with self._writer.begin() as db:
            was = db.execute(select(app.c.retry_seconds).where(app.c.id == app_id)).scalar_one()
            if was == seconds:
                return
            db.execute(update(app).where(app.c.id == app_id).values(retry_seconds=seconds))
            touch(db, app_id)
            record(db, "app.retries", app_id, None, seconds="default" if seconds is None else seconds)

    def create_keys(self, app_id: str) -> dict[str, str]:
        """One new key of each kind, in clear, each under its kind and `_key`."""
        return {f"{kind}_key": self.create_key(app_id, kind) for kind in keys.KINDS}

    def create_key(self, app_id: str, kind: str) -> str:
        """A new key, in clear: this is the only time that it is seen."""
        key = keys.generate(kind)
        self._keep_key("key.create", app_id, kind, key)
        return key

    def import_key(self, app_id: str, kind: str, key: str) -> str:
        """Take a key that a client uses already; returns its id. Raises TenureError when it is taken."""
        return self._keep_key("key.import", app_id, kind, key)

    def _keep_key(self, action: str, app_id: str, kind: str, key: str, **details: str) -> str:
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
                    changed=next_revision(db),
                    signing_state=signing_state(key) if kind == keys.SECRET else None,
                )
            )
            record(db, action, app_id, key_id, kind=kind, prefix=keys.shown_prefix(key), **details)
        return key_id

    def revoke_key(self, key_id: str) -> None:
        """End a key, given its id or the prefix that is shown of it; raises NotFound, TenureError if ambiguous."""
        with self._writer.begin() as db:
            row = _one_live_key(db, key_id)
            db.execute(
                update(api_key).where(api_key.c.id == row.id).values(revoked_at=_now(), changed=next_revision(db))
            )
            record(db, "key.revoke", row.app, row.id, kind=row.kind, prefix=row.prefix)

    def trust_key(self, key_id: str, *, trusted: bool) -> None:
        """Take what a publishable key sends from now on as verified, or do so no more (see `keys.TRUST_RISK`).

        Raises NotFound, TenureError if ambiguous or of another kind.
        """
        with self._writer.begin() as db:
            row = _one_live_key(db, key_id)
            if row.kind != keys.PUBLISHABLE:
                raise TenureError(f"only a publishable key can be trusted, and this is a {row.kind} key")
            db.execute(
                update(api_key)
                .where(api_key.c.id == row.id)
                .values(trusted_at=_now() if trusted else None, changed=next_revision(db))
            )
            record(db, "key.trust" if trusted else "key.distrust", row.app, row.id, prefix=row.prefix)

    def rotate_key(self, key_id: str) -> Rotation:
        """A new key of the same kind. The old one, and what was signed with it, is good until it is revoked.

        Raises NotFound, TenureError if ambiguous or not a key that we make.
        """
        with self._engine.begin() as db:
            row = _one_live_key(db, key_id)
        if row.kind == keys.APP_ID:
            raise TenureError("a vendor's app id cannot be rotated; import another with `tenure key import`")
        fresh = keys.generate(row.kind)
        self._keep_key("key.rotate", row.app, row.kind, fresh, replaces=row.id)
        return Rotation(fresh, row.id)

    def list_keys(self, app_id: str | None = None) -> list[KeyRow]:
        """Keys of one app or of all, oldest first, revoked ones included."""
        columns = (api_key.c.id, api_key.c.app_id, api_key.c.kind, api_key.c.prefix)
        times = (api_key.c.created_at, api_key.c.revoked_at, api_key.c.used_at, api_key.c.trusted_at)
        query = select(*columns, *times).order_by(api_key.c.created_at, api_key.c.id)
        if app_id is not None:
            query = query.where(api_key.c.app_id == app_id)
        with self._engine.begin() as db:
            return [KeyRow(*row) for row in db.execute(query)]

    def revision(self) -> int:
        """A number that grows with every change to any app or key: cheap to ask for, so that caches know."""
        with self._engine.begin() as db:
            return revision(db)

    def live_keys(self) -> list[Key]:
        """Every key that has not been revoked."""
        columns = (api_key.c.id, api_key.c.app_id, api_key.c.kind, api_key.c.prefix, api_key.c.digest)
        query = select(*columns, api_key.c.trusted_at.is_not(None)).where(api_key.c.revoked_at.is_(None))
        with self._engine.begin() as db:
            return [Key(*row) for row in db.execute(query)]

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


def _name_of_mode(name: str, mode: str) -> str:
    ending = f" ({mode})"
    return name[: MAX_NAME - len(ending)] + ending


def _check_name(db: Connection, name: str) -> None:
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise TenureError(f"an app's name has 1 to {MAX_NAME} characters, without line breaks")
    if db.execute(select(app.c.id).where(app.c.name == name)).first():
        raise TenureError(f"there is an app named {name!r} already; `tenure app list` shows all")


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


def _now() -> int:
    return time.time_ns() // 1_000_000
