"""Incidents: what is wrong with this installation, kept until it is right again or an operator accepts it.

Whoever finds something wrong reports it; whoever sees that it is right again resolves it. `tenure check`, `/readyz`,
the pages and the metric `tenure_incidents` show what is open. Nothing personal belongs in an incident.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Iterable
from enum import StrEnum

import msgspec
import structlog
from sqlalchemy import Connection, Engine, delete, select, update
from sqlalchemy.exc import SQLAlchemyError

from tenure.control.audit import record
from tenure.control.database import writing
from tenure.control.tables import incident as table
from tenure.control.unchanged import Unchanged
from tenure.errors import NotFound, Unavailable
from tenure.wire.times import rfc3339

log = structlog.get_logger()

MAX_AGE_SECONDS = 2.0
"""How old the list may be that `Incidents.current` returns."""


class Kind(StrEnum):
    """What went wrong. Add kinds here: each is a value of the label `kind` of `tenure_incidents`."""

    MISSING_ELEMENTS = "missing_elements"
    """Elements were acknowledged that the warehouse does not have."""
    EXTRA_ELEMENTS = "extra_elements"
    """The warehouse has more elements than were acknowledged."""
    JOURNAL_LOST = "journal_lost"
    """A journal lacks entries that were acknowledged and not loaded."""
    JOURNAL_UNREADABLE = "journal_unreadable"
    """A journal cannot be opened or read."""
    STATE_FILE_DAMAGED = "state_file_damaged"
    """A small state file does not match its checksum."""
    PART_DAMAGED = "part_damaged"
    """The warehouse cannot read a part of a table."""
    FREE_SPACE = "free_space"
    """Too little space is left on a disk."""
    CLOCK = "clock"
    """The server's clock is wrong."""


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong. `kind`, `place` and `app` together identify it. Times: milliseconds since 1970 UTC."""

    kind: Kind
    place: str
    """What is affected: a table and part, a journal's id, a file's name."""
    text: str
    """One or two sentences for the operator: what is wrong, and what to do."""
    app: str = ""
    """The app's id; empty when all apps are affected, or when it is not known which."""
    count: int | None = None
    """How many elements are affected; None when it is not known."""
    at_least: bool = False
    """Whether `count` is a lower bound."""
    first_at: int | None = None
    """Start of the range of times of receipt that is affected."""
    last_at: int | None = None
    """End of that range."""
    incomplete: bool = False
    """Whether answers about the app may lack something as long as the incident is open."""
    since: int = 0
    """When it was first reported. `Incidents.report` sets it."""

    @property
    def id(self) -> str:
        """A short name for the key, for commands."""
        return hashlib.sha256("\0".join((self.kind, self.place, self.app)).encode()).hexdigest()[:12]

    @property
    def extent(self) -> str:
        """How many elements of which app and time are affected, in words; empty when nothing of it is known."""
        words = []
        if self.count is not None:
            words.append(f"{'at least ' if self.at_least else ''}{self.count:,} elements")
        if self.app:
            words.append(f"of app {self.app}")
        if self.first_at is not None and self.last_at is not None:
            words.append(f"received between {rfc3339(self.first_at)} and {rfc3339(self.last_at)}")
        return " ".join(words)

    def as_json(self) -> dict[str, str | int | bool | None]:
        """The incident as `/readyz` and `tenure incident list --json` show it; times as RFC 3339."""
        return {
            "id": self.id,
            "kind": self.kind.value,
            "place": self.place,
            "app": self.app or None,
            "count": self.count,
            "at_least": self.at_least,
            "first_at": None if self.first_at is None else rfc3339(self.first_at),
            "last_at": None if self.last_at is None else rfc3339(self.last_at),
            "incomplete": self.incomplete,
            "since": rfc3339(self.since),
            "text": self.text,
        }


class Incidents:
    """The incidents in the control database. Safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = writing(engine)
        self._unchanged = Unchanged(engine)
        self._unwritten: dict[str, Incident | None] = {}
        self._lock = threading.Lock()
        self._known: list[Incident] = []
        self._known_at = float("-inf")
        self.observed: list[Incident] = []
        """What this process sees by itself at the moment, such as a full disk, and what is therefore not written."""

    def report(self, incident: Incident) -> None:
        """Open an incident, or bring the open one with the same key up to date.

        An accepted incident stays closed unless more is affected than was accepted. While the control database cannot
        be written, the incident waits in memory for the next call of `report`, `resolve` or `write_waiting`.
        """
        with self._lock:
            self._unwritten[incident.id] = incident
        self.write_waiting()

    def resolve(self, kind: Kind, place: str, app: str = "") -> None:
        """Remove an incident: the fault is gone. Does nothing when there is none."""
        gone = Incident(kind=kind, place=place, app=app, text="")
        with self._lock:
            self._unwritten[gone.id] = None
        self.write_waiting()

    def write_waiting(self) -> bool:
        """Write what could not be written before; returns whether nothing waits now."""
        with self._lock:
            try:
                if self._unwritten:
                    with self._writer.begin() as db:
                        for key, incident in self._unwritten.items():
                            _write(db, key, incident)
            except (Unavailable, SQLAlchemyError) as error:
                log.warning("incidents not written; will try again", error=type(error).__name__)
                return False
            self._unwritten.clear()
            self._known_at = float("-inf")
            return True

    def open(self) -> list[Incident]:
        """All open incidents, oldest first. Raises Unavailable."""
        return list(self._unchanged.answer("open", None, lambda: self._select(accepted=False)))

    def accepted(self) -> list[Incident]:
        """Incidents that an operator accepted and that are not resolved, oldest first. Raises Unavailable."""
        return self._select(accepted=True)

    def current(self) -> list[Incident]:
        """Open incidents, at most `MAX_AGE_SECONDS` old; the last known while the database does not answer."""
        if time.monotonic() - self._known_at > MAX_AGE_SECONDS:
            try:
                self._known = self.open()
            except (Unavailable, SQLAlchemyError):
                log.warning("incidents not read; showing the last known")
            self._known_at = time.monotonic()
        return self.known

    @property
    def known(self) -> list[Incident]:
        """What `current` returned last. Reads nothing, so that it answers at once."""
        return [*self.observed, *self._known]

    def incomplete(self, app: str) -> list[Incident]:
        """Open incidents because of which answers about an app may lack something."""
        return [one for one in self.current() if one.incomplete and one.app in {"", app}]

    def accept(self, incident_id: str) -> Incident:
        """Close an open incident whose loss cannot be made good. Raises NotFound and Unavailable."""
        found = next((one for one in self.open() if one.id == incident_id), None)
        if found is None:
            raise NotFound(f"there is no open incident {incident_id!r}; `tenure incident list` shows all")
        with self._writer.begin() as db:
            db.execute(update(table).where(table.c.id == incident_id).values(accepted_at=_now()))
            record(db, "incident.accept", found.app or None, found.id, kind=found.kind, place=found.place)
        self._known_at = float("-inf")
        log.info("incident accepted", kind=found.kind, place=found.place, app=found.app, count=found.count)
        return found

    def _select(self, *, accepted: bool) -> list[Incident]:
        wanted = table.c.accepted_at.is_not(None) if accepted else table.c.accepted_at.is_(None)
        with self._engine.begin() as db:
            rows = db.execute(select(table.c.body).where(wanted).order_by(table.c.since, table.c.id)).scalars()
            return [msgspec.json.decode(row, type=Incident) for row in rows]


def count_by_kind(incidents: Iterable[Incident]) -> dict[str, int]:
    """How many incidents there are of each kind, 0 included."""
    counts = Counter(incident.kind for incident in incidents)
    return {kind.value: counts[kind] for kind in Kind}


def _write(db: Connection, key: str, incident: Incident | None) -> None:
    kept = db.execute(select(table.c.body, table.c.accepted_at).where(table.c.id == key)).first()
    if incident is None:
        if kept is not None:
            db.execute(delete(table).where(table.c.id == key))
            log.info("incident resolved", id=key)
        return
    since, accepted_at = _now(), None
    if kept is not None:
        before = msgspec.json.decode(kept.body, type=Incident)
        since, accepted_at = before.since, kept.accepted_at
        if accepted_at is not None and (incident.count or 0) <= (before.count or 0):
            return
    written = msgspec.structs.replace(incident, since=since)
    if kept is not None and accepted_at is None and written == before:
        return
    values = {"since": since, "body": msgspec.json.encode(written).decode(), "accepted_at": None}
    if kept is None:
        db.execute(table.insert().values(id=key, **values))
    else:
        db.execute(update(table).where(table.c.id == key).values(**values))
    log.error("incident", id=key, kind=incident.kind, place=incident.place, app=incident.app, count=incident.count,
              first_at=incident.first_at, last_at=incident.last_at, text=incident.text)  # fmt: skip


def _now() -> int:
    return time.time_ns() // 1_000_000
