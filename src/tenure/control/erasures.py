"""Erasures of customers: what was asked, how far it has come, and the keys by which what is old is known for ever.

An erasure goes through `PHASES` in order. The loader moves it on (`loader.erasing`); each phase is recorded when it has
been reached, so that after a crash only the phase that was broken off is done again.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, Engine, Row, case, func, select, update

from tenure import clock
from tenure.control.audit import record
from tenure.control.database import forget_log, writing
from tenure.control.holding import several
from tenure.control.link import BY_HAND, Link
from tenure.control.links import Links
from tenure.control.mentions import forget_mentions
from tenure.control.partition import partition
from tenure.control.tables import erased_key, erasure
from tenure.control.unchanged import Unchanged
from tenure.errors import NotFound
from tenure.identity import Identifier, identity_key

REQUESTED, UNLINKED, LOADED, HIDDEN = "requested", "unlinked", "loaded", "hidden"
PURGED, SCRUBBED, DONE = "purged", "scrubbed", "done"
PHASES = (REQUESTED, UNLINKED, LOADED, HIDDEN, PURGED, SCRUBBED, DONE)
"""requested: readers leave the customer's rows out; unlinked: links are removed, and what comes is a new customer's;
loaded: what the journals held at the request has been sorted out; hidden: the rows are marked, so that readers need not
leave them out; purged: the warehouse's files are free of them; scrubbed: the journals' files are; done: so is the
control database."""
LEFT_OUT = (REQUESTED, UNLINKED, LOADED)
"""The phases in which readers leave the rows out."""

CHUNK = 5_000
"""Values of one `IN`."""

CLOCK_WAS_SET_MS = 1_000
"""A difference of the wall clock to the uptime that grows or shrinks by more than this is somebody's doing."""

Removed = dict[str, dict[str, int]]
"""How much was removed, by store and table."""


class ErasedAt(NamedTuple):
    """When somebody was erased last: see `Erasure`."""

    ordered_at: int
    cut_off: int


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """One erasure. Times are in milliseconds since 1970 UTC."""

    id: str
    app: str
    phase: str
    requested_at: int
    """By the wall clock as it was: for people to read."""
    identifiers: list[Identifier]
    """Empty when it is done."""
    keys: list[bytes]
    reached: dict[str, int]
    """When each phase was reached."""
    removed: Removed
    ordered_at: int
    """A reading of the hybrid clock, in microseconds: what was received until then is erased."""
    cut_off: int
    """When the request was made by clocks that are right, as far as is known, in milliseconds: what comes later, but
    says that it happened until then, is erased too. See `Erasures.follow_clock`."""
    boot: str
    """The run of the machine on which it was asked for, by `clock.boot`."""
    uptime: int
    """`clock.uptime_ms` at the request."""
    known_at: int = 0
    """A reading of the hybrid clock, in microseconds: all that was received by then had its say on who the customer is.
    0 when not all could be read."""


def new_erasure(app_id: str, identifiers: Sequence[Identifier], known_at: int = 0) -> Erasure:
    """The erasure of the customer who has these identifiers, as of now."""
    now = _now()
    return Erasure(
        id=secrets.token_hex(16),
        app=app_id,
        phase=REQUESTED,
        requested_at=now,
        identifiers=list(identifiers),
        keys=list(dict.fromkeys(identity_key(app_id, identifier) for identifier in identifiers)),
        reached={REQUESTED: now},
        removed={},
        ordered_at=clock.now(),
        cut_off=now,
        boot=clock.boot(),
        uptime=clock.uptime_ms(),
        known_at=known_at,
    )


class Erasures:
    """Erasures in the control database. Safe to share between threads."""

    def __init__(self, engine: Engine, links: Links) -> None:
        self._engine = engine
        self._links = links
        self._writer = writing(engine)
        self._unchanged = Unchanged(engine)
        self._offset: int | None = None
        """Milliseconds from the uptime to the wall clock when it was looked at last."""

    def request(self, asked: Erasure) -> None:
        """Ask for an erasure. Durable when it returns."""
        row = {
            "id": asked.id,
            "app_id": asked.app,
            "phase": asked.phase,
            "requested_at": asked.requested_at,
            "identifiers": _names(asked),
            "reached": _text(asked.reached),
            "removed": _text(asked.removed),
            "ordered_at": asked.ordered_at,
            "cut_off": asked.cut_off,
            "boot": asked.boot,
            "uptime": asked.uptime,
            "known_at": asked.known_at,
        }
        with self._writer.begin() as db:
            db.execute(erasure.insert(), row)
            db.execute(erased_key.insert(), [{"key": key.hex(), "erasure_id": asked.id} for key in asked.keys])
            record(db, "erasure.request", asked.app, asked.id, identifiers=len(asked.identifiers))

    def extend(self, asked: Erasure) -> None:
        """Have it take the identifiers that it has now, from the first phase on."""
        with self._writer.begin() as db:
            taken = {"identifiers": _names(asked), "phase": REQUESTED}
            db.execute(update(erasure).where(erasure.c.id == asked.id).values(**taken))
            known = set(db.execute(select(erased_key.c.key).where(erased_key.c.erasure_id == asked.id)).scalars())
            new = [key.hex() for key in asked.keys if key.hex() not in known]
            if new:
                db.execute(erased_key.insert(), [{"key": key, "erasure_id": asked.id} for key in new])

    def with_links(self, asked: Erasure, links: Iterable[Link]) -> Erasure | None:
        """The erasure with the identifiers that the customer has by these links too, of those said before it was asked
        for, and not read then; None when there are none, or so many that they would have to be confirmed. What is known
        to be the customer's counts as joined by a person, since the links that said so are gone."""
        own = asked.identifiers
        facts = [
            fact
            for fact in links
            if fact.app == asked.app
            and asked.known_at < fact.received_at <= asked.ordered_at
            and not set(own).isdisjoint(fact.pair)
        ]
        others = {side for fact in facts for side in fact.pair}.difference(own)
        if not others:
            return None
        for side in others:
            facts += self._links.facts(asked.app, side)
        first = facts[0]
        facts += [first._replace(one=own[0], other=side, how=BY_HAND, note=None) for side in own[1:]]
        more = [side for side in partition(facts).customer(own[0]) if side not in own]
        if not more or several(more + own) != several(own):
            return None
        keys = [identity_key(asked.app, identifier) for identifier in more]
        return msgspec.structs.replace(asked, identifiers=own + more, keys=asked.keys + keys)

    def find(self, app_id: str, erasure_id: str) -> Erasure:
        """An erasure of this app. Raises NotFound."""
        with self._engine.begin() as db:
            row = db.execute(select(erasure).where(erasure.c.id == erasure_id, erasure.c.app_id == app_id)).first()
            if row is None:
                raise NotFound("this app has no erasure with that id", code="unknown_erasure")
            return _erasure(db, row)

    def pending(self, *phases: str) -> list[Erasure]:
        """Erasures that have come to one of these phases and not further, oldest first; without any, all not done.
        Costs next to nothing while nothing changes."""
        return self._unchanged.answer(("pending", phases), None, lambda: self._pending(*phases))

    def _pending(self, *phases: str) -> list[Erasure]:
        which = erasure.c.phase.in_(phases) if phases else erasure.c.phase != DONE
        with self._engine.begin() as db:
            rows = db.execute(select(erasure).where(which).order_by(erasure.c.ordered_at, erasure.c.id)).all()
            return [_erasure(db, row) for row in rows]

    def pending_of(self, keys: Iterable[bytes]) -> Erasure | None:
        """The latest erasure of one of these keys that is not done."""
        texts = [key.hex() for key in keys]
        query = (
            select(erasure)
            .join(erased_key, erased_key.c.erasure_id == erasure.c.id)
            .where(erased_key.c.key.in_(texts), erasure.c.phase != DONE)
            .order_by(erasure.c.ordered_at.desc())
        )
        with self._engine.begin() as db:
            row = db.execute(query).first()
            return None if row is None else _erasure(db, row)

    def hidden(self, app_id: str) -> list[str]:
        """Ids of the erasures whose customers are hidden from readers, since their rows are in the warehouse still:
        mostly none."""
        with self._engine.begin() as db:
            return list(db.execute(select(erasure.c.id).where(*_is_hidden(app_id))).scalars())

    def hides(self, app_id: str, keys: Iterable[bytes]) -> bool:
        """Whether one of these keys is of such a customer."""
        query = select(erased_key.c.key).join(erasure, erased_key.c.erasure_id == erasure.c.id)
        with self._engine.begin() as db:
            hidden = {bytes.fromhex(key) for key in db.execute(query.where(*_is_hidden(app_id))).scalars()}
        return bool(hidden) and not hidden.isdisjoint(keys)

    def count(self) -> int:
        """How many there ever were: cheap to ask for, so that who remembers `tombstones` knows when to ask again."""
        with self._engine.begin() as db:
            return int(db.execute(select(func.count()).select_from(erasure)).scalar_one())

    def tombstones(self) -> dict[bytes, ErasedAt]:
        """Every key that was ever erased, and when last."""
        with self._engine.begin() as db:
            return {bytes.fromhex(key): ErasedAt(*at) for key, *at in db.execute(_ERASED_AT)}

    def last_ordered_at(self) -> int:
        """The place of the last request in the order of receipt, in microseconds; 0 when there is none."""
        with self._engine.begin() as db:
            return int(db.execute(select(func.coalesce(func.max(erasure.c.ordered_at), 0))).scalar_one())

    def follow_clock(self) -> bool:
        """Correct the cut-offs after the wall clock was set; returns whether any changed. Costs no query otherwise.

        The wall clock is believed to be right now. By it, a request was made as long ago as the uptime tells. But never
        after its place in the order of receipt: the wall clock may be ahead now. An erasure that was asked for before
        the machine started keeps the cut-off that was known last.
        """
        offset = clock.wall_us() // 1_000 - clock.uptime_ms()
        if self._offset is not None and abs(offset - self._offset) <= CLOCK_WAS_SET_MS:
            return False
        by_order, by_uptime = erasure.c.ordered_at // 1_000, erasure.c.uptime + offset
        cut_off = case((by_uptime < by_order, by_uptime), else_=by_order)
        is_wrong = func.abs(cut_off - erasure.c.cut_off) > CLOCK_WAS_SET_MS
        wrong = select(erasure.c.id).where(erasure.c.boot == clock.boot(), erasure.c.boot != "", is_wrong)
        with self._engine.begin() as db:
            ids = db.execute(wrong).scalars().all()
        if ids:
            with self._writer.begin() as db:
                for start in range(0, len(ids), CHUNK):
                    chunk = erasure.c.id.in_(ids[start : start + CHUNK])
                    db.execute(update(erasure).where(chunk).values(cut_off=cut_off))
        self._offset = offset
        return bool(ids)

    def erased_at(self, keys: Iterable[bytes]) -> dict[bytes, ErasedAt]:
        """Those of the keys that were ever erased, and when last."""
        found: dict[bytes, ErasedAt] = {}
        texts = [key.hex() for key in keys]
        with self._engine.begin() as db:
            for start in range(0, len(texts), CHUNK):
                rows = db.execute(_ERASED_AT.where(erased_key.c.key.in_(texts[start : start + CHUNK])))
                found |= {bytes.fromhex(key): ErasedAt(*at) for key, *at in rows}
        return found

    def record(self, asked: Erasure, removed: Mapping[str, Mapping[str, int]]) -> None:
        """Note what is about to be removed: of what was noted before a crash, the larger number stands."""
        with self._writer.begin() as db:
            _record(db, asked.id, removed)

    def reach(self, asked: Erasure, phase: str) -> None:
        """Record that a phase has been reached."""
        with self._writer.begin() as db:
            _reach(db, asked.id, phase)
            if phase == DONE:
                record(db, "erasure.done", asked.app, asked.id)

    def unlink(self, asked: Erasure) -> None:
        """Remove the customer's links."""
        self.record(asked, {"control": {"link": len(self._links.of(asked.app, asked.identifiers))}})
        self._links.forget(asked.app, asked.identifiers)

    def finish(self, asked: Erasure) -> bool:
        """Forget the identifiers and what names them, and record that all is done; whether it could be, for readers may
        be in the way."""
        with self._writer.begin() as db:
            _record(db, asked.id, {"control": forget_mentions(db, asked.app, asked.id, asked.identifiers)})
            db.execute(update(erasure).where(erasure.c.id == asked.id).values(identifiers=None))
        if not forget_log(self._engine):
            return False
        self.reach(asked, DONE)
        return True


_ERASED_AT = (
    select(erased_key.c.key, func.max(erasure.c.ordered_at), func.max(erasure.c.cut_off))
    .join(erasure, erased_key.c.erasure_id == erasure.c.id)
    .group_by(erased_key.c.key)
)


def _is_hidden(app_id: str) -> tuple[ColumnElement[bool], ...]:
    return erasure.c.phase.in_(LEFT_OUT), erasure.c.app_id == app_id


def _names(asked: Erasure) -> str:
    return _text([[identifier.kind, identifier.value] for identifier in asked.identifiers])


def _record(db: Connection, erasure_id: str, removed: Mapping[str, Mapping[str, int]]) -> None:
    text = db.execute(select(erasure.c.removed).where(erasure.c.id == erasure_id)).scalar_one()
    known = msgspec.json.decode(text, type=Removed)
    for store, tables in removed.items():
        for table, count in tables.items():
            of_store = known.setdefault(store, {})
            of_store[table] = max(count, of_store.get(table, 0))
    db.execute(update(erasure).where(erasure.c.id == erasure_id).values(removed=_text(known)))


def _reach(db: Connection, erasure_id: str, phase: str) -> None:
    text = db.execute(select(erasure.c.reached).where(erasure.c.id == erasure_id)).scalar_one()
    reached = msgspec.json.decode(text, type=dict[str, int]) | {phase: _now()}
    db.execute(update(erasure).where(erasure.c.id == erasure_id).values(phase=phase, reached=_text(reached)))


def _erasure(db: Connection, row: Row[Any]) -> Erasure:
    keys = db.execute(select(erased_key.c.key).where(erased_key.c.erasure_id == row.id).order_by(erased_key.c.key))
    known = msgspec.json.decode(row.identifiers or "[]", type=list[tuple[str, str]])
    return Erasure(
        id=row.id,
        app=row.app_id,
        phase=row.phase,
        requested_at=row.requested_at,
        identifiers=[Identifier(kind, value) for kind, value in known],
        keys=[bytes.fromhex(key) for key in keys.scalars()],
        reached=msgspec.json.decode(row.reached, type=dict[str, int]),
        removed=msgspec.json.decode(row.removed, type=Removed),
        ordered_at=row.ordered_at,
        cut_off=row.cut_off,
        boot=row.boot,
        uptime=row.uptime,
        known_at=row.known_at,
    )


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _now() -> int:
    return clock.wall_us() // 1_000
