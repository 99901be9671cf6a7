"""The people who use the pages: accounts of this install alone, with their sessions and one-time sign-in links.

Of passwords argon2id hashes are kept, of tokens their SHA-256. E-mail addresses are compared in lower case. A session
ends 14 days after it was used last and 90 days after it began, and with every change of what its person may do.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b, sha256
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, Select, and_, func, not_, or_, select, update

from tenure.control import passwords
from tenure.control.actor import acting
from tenure.control.audit import difference, record
from tenure.control.database import writing
from tenure.control.tables import browser_session, person, sign_in_link
from tenure.control.throttle import Throttle
from tenure.errors import BadRequest, Conflict, NotFound, Unauthenticated, Unavailable

ADMIN: Final = "admin"
"""May change everything."""
VIEWER: Final = "viewer"
"""May look at everything that is no secret."""
ROLES: Final = (ADMIN, VIEWER)

LINK_SECONDS: Final = 24 * 3_600
IDLE_SECONDS: Final = 14 * 86_400
SESSION_SECONDS: Final = 90 * 86_400
"""The longest that a session lasts."""
SEEN_SECONDS: Final = 60
"""How exactly it is known when a session was used last."""
AHEAD_MS: Final = 300_000
"""What is later than now by more than this was written while the clock was ahead."""
MOST_OF_USER_AGENT: Final = 300

_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]{1,255}")
_own = browser_session.c
_WRITERS = 8752
"""The lock of PostgreSQL that those who change people take one after another; SQLite has but one writer."""


class Person(NamedTuple):
    """Somebody with an account; times in milliseconds since 1970 UTC."""

    id: str
    email: str
    role: str
    created_at: int
    disabled_at: int | None


class Session(NamedTuple):
    """A session that is going on; times in milliseconds since 1970 UTC."""

    id: str
    person: Person
    csrf: str
    """What forms of this session carry, to tell them from those of another site."""
    created_at: int
    seen_at: int
    expires_at: int


class SessionRow(NamedTuple):
    """A session as it is listed."""

    id: str
    user_agent: str
    created_at: int
    seen_at: int
    expires_at: int


class Use(NamedTuple):
    """In how many browsers a person is signed in, and when they were seen last."""

    sessions: int
    seen_at: int


class People:
    """The people of this install. Safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = writing(engine)
        self._throttle = Throttle(engine)

    def create(self, email: str, password: str | None, role: str) -> Person:
        """A new person, who cannot sign in while there is no password. Raises BadRequest, Conflict."""
        made = _new(email, role)
        kept = None if password is None else passwords.hashed(password)
        with self._changing() as db:
            _insert(db, made, kept)
        return made

    def any(self) -> bool:
        """Whether there is anybody; until then a sign-in link for the first admin is what opens the pages."""
        with self._engine.begin() as db:
            return db.execute(select(person.c.id).limit(1)).first() is not None

    def list(self) -> Sequence[Person]:
        """Everybody, by e-mail address."""
        with self._engine.begin() as db:
            return [Person(*row) for row in db.execute(_people().order_by(person.c.email))]

    def find(self, id_or_email: str) -> Person:
        """One by id or e-mail address. Raises NotFound."""
        with self._engine.begin() as db:
            return _find(db, id_or_email)

    def check_password(self, email: str, password: str) -> Person:
        """Who this is. Raises Unauthenticated, the same after the same time whatever is wrong; RateLimited."""
        email = normal_email(email)
        self._throttle.begin(email)
        query = _people().add_columns(person.c.password).where(person.c.email == email)
        with self._engine.begin() as db:
            row = db.execute(query.where(person.c.disabled_at.is_(None))).first()
        verdict = passwords.verify(None if row is None else row.password, password)
        if row is None or not verdict.right:
            raise Unauthenticated("there is nobody with this e-mail address and this password", code="wrong_password")
        self._throttle.forget(email)
        if verdict.renewed is not None:
            kept = person.c.id == row.id, person.c.password == row.password
            with self._writer.begin() as db:
                db.execute(update(person).where(*kept).values(password=verdict.renewed))
        return Person(*row[:-1])

    def set_password(self, person_id: str, password: str) -> None:
        """A new password, which ends all sessions and links of the person. Raises BadRequest, NotFound."""
        kept = passwords.hashed(password)
        with self._changing() as db:
            _set_password(db, _find(db, person_id), kept)

    def set_role(self, person_id: str, role: str) -> None:
        """What the person may do, from the next sign-in on. Raises BadRequest, NotFound, Conflict (the last admin)."""
        _check_role(role)
        with self._changing() as db:
            found = _find(db, person_id)
            if found.role == role:
                return
            if found.role == ADMIN:
                _check_another_admin(db, found)
            db.execute(update(person).where(person.c.id == found.id).values(role=role))
            _forget_sessions(db, found)
            record(db, "person.role", None, found.email, **difference({"role": found.role}, {"role": role}))

    def disable(self, person_id: str) -> None:
        """End all sessions and links of a person, who cannot sign in any more. Raises NotFound, Conflict (the last
        admin)."""
        with self._changing() as db:
            found = _find(db, person_id)
            if found.disabled_at is not None:
                return
            if found.role == ADMIN:
                _check_another_admin(db, found)
            db.execute(update(person).where(person.c.id == found.id).values(disabled_at=_now()))
            _forget_sessions(db, found)
            db.execute(sign_in_link.delete().where(sign_in_link.c.person_id == found.id))
            record(db, "person.disable", None, found.email)

    def enable(self, person_id: str) -> None:
        """Let a person sign in again. Raises NotFound."""
        with self._changing() as db:
            found = _find(db, person_id)
            if found.disabled_at is not None:
                db.execute(update(person).where(person.c.id == found.id).values(disabled_at=None))
                record(db, "person.enable", None, found.email)

    def sign_in_link(self, person_id: str | None) -> str:
        """A token, shown once and good once within a day, by which a person sets a password; None: by which the first
        admin is made. It replaces the one before. Raises NotFound, Conflict (disabled, or there is somebody)."""
        token = secrets.token_urlsafe(32)
        with self._changing() as db:
            _check_wanted(db, person_id)
            subject = None if person_id is None else _find(db, person_id).email
            earlier = sign_in_link.c.person_id.is_not_distinct_from(person_id)
            db.execute(sign_in_link.delete().where(or_(earlier, not_(_is_live_link()))))
            row = {"digest": _digest(token), "person_id": person_id, "expires_at": _now() + LINK_SECONDS * 1_000}
            db.execute(sign_in_link.insert(), row)
            record(db, "person.link", None, subject)
        return token

    def redeem(self, token: str, email: str, password: str) -> Person:
        """Use a sign-in link up: the person whose it is, who must say their own e-mail address, has this password from
        now on; or it makes the first admin. Raises BadRequest, Unauthenticated, Conflict."""
        email, kept = normal_email(email), passwords.hashed(password)
        live = sign_in_link.c.digest == _digest(token), _is_live_link()
        with self._changing() as db, acting(email):
            link = db.execute(select(sign_in_link.c.person_id).where(*live)).first()
            if link is None:
                message = "this link has been used, or is older than a day; ask for another"
                raise Unauthenticated(message, code="unknown_link")
            _check_wanted(db, link.person_id)
            db.execute(sign_in_link.delete().where(*live))
            if link.person_id is None:
                found = _new(email, ADMIN)
                _insert(db, found, kept)
                return found
            found = _find(db, link.person_id)
            if found.email != email:
                raise BadRequest("this link is for another e-mail address", code="wrong_email", field="email")
            _set_password(db, found, kept)
        self._throttle.forget(email)
        return found

    def open_session(self, of: Person, user_agent: str) -> str:
        """A new session; returns its token, which is never seen again."""
        token, now = secrets.token_urlsafe(32), _now()
        row = {"id": f"session_{secrets.token_hex(8)}", "digest": _digest(token), "person_id": of.id,
               "user_agent": user_agent[:MOST_OF_USER_AGENT].replace("\0", ""), "created_at": now, "seen_at": now,
               "expires_at": now + IDLE_SECONDS * 1_000}  # fmt: skip
        with self._writer.begin() as db, acting(of.email):
            db.execute(browser_session.delete().where(_own.expires_at <= now))
            db.execute(browser_session.insert(), row)
            record(db, "session.open", None, of.email, session=row["id"])
        return token

    def session(self, token: str) -> Session | None:
        """The session of this token, which lasts longer for it; None when there is none or it is over.

        One that was opened or used while the clock was ahead counts as opened now.
        """
        now = _now()
        live = _own.digest == _digest(token), _own.expires_at > now, person.c.disabled_at.is_(None)
        query = _people().add_columns(_own.id, _own.created_at, _own.seen_at, _own.expires_at)
        with self._engine.begin() as db:
            row = db.execute(query.join(browser_session, _own.person_id == person.c.id).where(*live)).first()
        if row is None:
            return None
        session_id, created_at, seen_at, expires_at = row[5:]
        is_ahead = seen_at > now + AHEAD_MS
        if now - seen_at >= SEEN_SECONDS * 1_000 or is_ahead:
            seen_at, created_at = now, min(now, created_at)
            expires_at = min(now + IDLE_SECONDS * 1_000, created_at + SESSION_SECONDS * 1_000)
            is_due = or_(_own.seen_at < now, _own.seen_at > now + AHEAD_MS)
            later = update(browser_session).where(_own.id == session_id, is_due)
            with suppress(Unavailable), self._writer.begin() as db:  # pages can be read while nothing can be written
                db.execute(later.values(seen_at=seen_at, created_at=created_at, expires_at=expires_at))
        return Session(session_id, Person(*row[:5]), _csrf(token), created_at, seen_at, expires_at)

    def sessions(self, person_id: str) -> Sequence[SessionRow]:
        """A person's sessions, the one used last first."""
        query = select(_own.id, _own.user_agent, _own.created_at, _own.seen_at, _own.expires_at)
        live = query.where(_own.person_id == person_id, _own.expires_at > _now())
        with self._engine.begin() as db:
            return [SessionRow(*row) for row in db.execute(live.order_by(_own.seen_at.desc(), _own.id))]

    def use(self) -> dict[str, Use]:
        """Of everybody who is signed in, by their id."""
        query = select(_own.person_id, func.count(), func.max(_own.seen_at)).where(_own.expires_at > _now())
        with self._engine.begin() as db:
            return {person_id: Use(*used) for person_id, *used in db.execute(query.group_by(_own.person_id))}

    def end_session(self, session_id: str) -> None:
        """End a session; one that is over already stays so."""
        self._end_sessions(_own.id == session_id)

    def end_sessions(self, person_id: str) -> None:
        """End all sessions of a person."""
        self._end_sessions(_own.person_id == person_id)

    def _end_sessions(self, which: ColumnElement[bool]) -> None:
        query = select(_own.id, person.c.email).join(person, person.c.id == _own.person_id)
        with self._writer.begin() as db:
            for session_id, email in db.execute(query.where(which)).all():
                db.execute(browser_session.delete().where(_own.id == session_id))
                record(db, "session.end", None, email, session=session_id)

    @contextmanager
    def _changing(self) -> Iterator[Connection]:
        with self._writer.begin() as db:
            if db.dialect.name == "postgresql":
                db.execute(select(func.pg_advisory_xact_lock(_WRITERS)))
            yield db


def normal_email(text: str) -> str:
    """The form in which e-mail addresses are kept and compared. Raises BadRequest when this is none."""
    email = text.strip().lower()
    if not _EMAIL.fullmatch(email):
        raise BadRequest("this is no e-mail address", code="bad_email", field="email")
    return email


def _digest(token: str) -> str:
    """What is kept of a token: it is random, so that a slow hash would protect nothing."""
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _csrf(token: str) -> str:
    """Derived, so that it needs no place and whoever reads the database does not know it."""
    return blake2b(token.encode("utf-8", "surrogatepass"), digest_size=16, person=b"csrf").hexdigest()


def _people() -> Select[Any]:
    return select(person.c.id, person.c.email, person.c.role, person.c.created_at, person.c.disabled_at)


def _find(db: Connection, id_or_email: str) -> Person:
    named = or_(person.c.id == id_or_email, person.c.email == id_or_email.strip().lower())
    row = db.execute(_people().where(named)).first()
    if row is None:
        raise NotFound("there is no such person; `tenure user list` shows all")
    return Person(*row)


def _new(email: str, role: str) -> Person:
    _check_role(role)
    return Person(f"person_{secrets.token_hex(8)}", normal_email(email), role, _now(), None)


def _insert(db: Connection, made: Person, kept: str | None) -> None:
    if db.execute(select(person.c.id).where(person.c.email == made.email)).first():
        raise Conflict("there is a person with this e-mail address already", code="email_taken", field="email")
    db.execute(person.insert(), made._asdict() | {"password": kept})
    record(db, "person.create", None, made.email, role=made.role)


def _set_password(db: Connection, found: Person, kept: str) -> None:
    db.execute(update(person).where(person.c.id == found.id).values(password=kept))
    _forget_sessions(db, found)
    db.execute(sign_in_link.delete().where(sign_in_link.c.person_id == found.id))
    record(db, "person.password", None, found.email)


def _forget_sessions(db: Connection, of: Person) -> None:
    db.execute(browser_session.delete().where(_own.person_id == of.id))


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise BadRequest(f"a role is {' or '.join(ROLES)}", code="unknown_role", field="role")


def _check_another_admin(db: Connection, than: Person) -> None:
    able = person.c.role == ADMIN, person.c.disabled_at.is_(None), person.c.password.is_not(None)
    if db.execute(select(person.c.id).where(person.c.id != than.id, *able).limit(1)).first() is None:
        raise Conflict("nobody else is an admin who can sign in; make another one first", code="last_admin")


def _is_live_link() -> ColumnElement[bool]:
    """The condition of the sign-in links that are good now: not those that were made while the clock was ahead."""
    now, longest = _now(), LINK_SECONDS * 1_000
    return and_(sign_in_link.c.expires_at > now, sign_in_link.c.expires_at <= now + longest + AHEAD_MS)


def _check_wanted(db: Connection, person_id: str | None) -> None:
    """Raises Conflict when a link for this person, or for the first admin, is of no use."""
    if person_id is None and db.execute(select(person.c.id).limit(1)).first() is not None:
        raise Conflict("there are people already; an admin can make a sign-in link for you", code="not_first")
    if person_id is not None and _find(db, person_id).disabled_at is not None:
        raise Conflict("this person is disabled; enable them first", code="disabled")


def _now() -> int:
    return time.time_ns() // 1_000_000
