"""People, their passwords, sessions and sign-in links, in the control database."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable

import argon2
import pytest
from sqlalchemy import update

from tenure.control import passwords, people, throttle
from tenure.control.database import connect, migrate, writing
from tenure.control.people import ADMIN, VIEWER, People, Person
from tenure.control.store import Store
from tenure.control.tables import browser_session, metadata, person, sign_in_link
from tenure.errors import BadRequest, Conflict, NotFound, RateLimited, Unauthenticated
from tenure.settings import Settings

PASSWORD, OTHER = "correct horse battery", "staple staple staple"
DAY = 86_400_000


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same algorithm, with parameters that cost little."""
    monkeypatch.setattr(passwords, "_HASHER", argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    passwords._nobodys.cache_clear()


@pytest.fixture
def settings(new_settings: Callable[[], Settings]) -> Settings:
    return new_settings()


@pytest.fixture
def store(settings: Settings) -> Store:
    engine = connect(settings)
    migrate(engine)
    return Store(engine)


@pytest.fixture
def them(store: Store) -> People:
    return store.people


@pytest.fixture
def ann(them: People) -> Person:
    return them.create("Ann@Example.com ", PASSWORD, ADMIN)


class Clock:
    """The time, where it is asked for, a number of milliseconds later than it is."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.later = 0
        for module in (people, throttle):
            monkeypatch.setattr(module, "_now", lambda now=module._now: now() + self.later)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_people_are_made_and_listed(them: People, ann: Person) -> None:
    """Each e-mail address once, in whatever case; a role is one of two."""
    assert (ann.email, ann.role, ann.disabled_at) == ("ann@example.com", ADMIN, None)
    bob = them.create("bob@example.com", None, VIEWER)
    assert (list(them.list()), them.any()) == ([ann, bob], True)
    assert them.find(bob.id) == them.find("BOB@example.com") == bob
    for email, password, role, error in (
        ("ANN@example.com", PASSWORD, VIEWER, Conflict),
        ("c@example.com", PASSWORD, "owner", BadRequest),
        ("c@example.com", "too short", VIEWER, BadRequest),
        ("c@example.com", "x" * 257, VIEWER, BadRequest),
        ("no address", PASSWORD, VIEWER, BadRequest),
        ("c\x00@example.com", PASSWORD, VIEWER, BadRequest),
    ):
        with pytest.raises(error):
            them.create(email, password, role)
    with pytest.raises(NotFound):
        them.find("c@example.com")


def test_the_right_password_alone_signs_in(them: People, ann: Person) -> None:
    """Whatever is wrong, the refusal is the same: nobody of that name, no password yet, another password, disabled."""
    them.create("bob@example.com", None, VIEWER)
    gone = them.create("gone@example.com", PASSWORD, VIEWER)
    them.disable(gone.id)
    assert them.check_password(" ANN@example.com", PASSWORD) == ann
    refusals = set()
    for email, password in (
        ("ann@example.com", OTHER),
        ("ann@example.com", ""),
        ("ann@example.com", PASSWORD + "x" * 300),
        ("bob@example.com", PASSWORD),
        ("bob@example.com", ""),
        ("gone@example.com", PASSWORD),
        ("who@example.com", PASSWORD),
        ("who@example.com", ""),
    ):
        with pytest.raises(Unauthenticated) as refused:
            them.check_password(email, password)
        refusals.add((refused.value.code, refused.value.message))
    assert len(refusals) == 1


def test_every_refusal_costs_one_hash(them: People, ann: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its time too nobody learns whether an address is known: each attempt verifies one argon2id hash."""
    them.create("bob@example.com", None, VIEWER)
    verified: list[str] = []
    verify = argon2.PasswordHasher.verify

    def counted(self: argon2.PasswordHasher, kept: str, password: bytes) -> bool:
        verified.append(kept.rpartition("$")[0].rpartition("$")[0])  # the parameters
        return verify(self, kept, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", counted)
    for email in ("ann@example.com", "bob@example.com", "who@example.com"):
        with pytest.raises(Unauthenticated):
            them.check_password(email, OTHER)
    assert len(verified) == 3
    assert len(set(verified)) == 1


def test_hash_is_renewed_when_parameters_change(
    them: People, ann: Person, store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the next sign-in, and the sessions stay."""
    token = them.open_session(ann, "")
    monkeypatch.setattr(passwords, "_HASHER", argon2.PasswordHasher(time_cost=2, memory_cost=128, parallelism=1))
    assert them.check_password(ann.email, PASSWORD) == ann
    with connect(settings).connect() as db:
        assert db.execute(person.select()).one().password.startswith("$argon2id$v=19$m=128,t=2,p=1$")
    assert them.check_password(ann.email, PASSWORD) == ann
    assert them.session(token) is not None


def test_passwords_are_equal_however_they_are_composed(them: People) -> None:
    """A letter with its accent in one character or in two."""
    them.create("zoe@example.com", "pass word zo\u00e9 \u212b", VIEWER)
    assert them.check_password("zoe@example.com", "pass word zoe\u0301 \u00c5").email == "zoe@example.com"


def test_guesses_are_counted(them: People, ann: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some failures not even the right password is looked at; others sign in, up to a number of failures of all.

    Who signs in is not counted, and little is kept.
    """
    bob = them.create("bob@example.com", PASSWORD, VIEWER)
    monkeypatch.setattr(throttle, "MOST_OF_ONE", 3)
    monkeypatch.setattr(throttle, "MOST_OF_ALL", 7)

    def fail(email: str) -> None:
        with pytest.raises(Unauthenticated):
            them.check_password(email, OTHER)

    for _ in range(2):
        fail(ann.email)
        fail(ann.email)
        them.check_password(ann.email, PASSWORD)
    for _ in range(3):
        fail(ann.email)
    with pytest.raises(RateLimited) as refused:
        them.check_password(ann.email, PASSWORD)
    assert 0 < (refused.value.retry_after or 0) <= throttle.WINDOW_SECONDS
    assert them.check_password(bob.email, PASSWORD) == bob
    for number in range(4):
        fail(f"{number}@example.com")
    with pytest.raises(RateLimited):
        them.check_password(bob.email, PASSWORD)


def test_guesses_counted_while_the_clock_was_ahead_lock_nobody_out(
    them: People, ann: Person, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it is right; those that are made then count, and nobody is told to wait longer than the window."""
    monkeypatch.setattr(throttle, "MOST_OF_ONE", 3)
    monkeypatch.setattr(throttle, "MOST_OF_ALL", 4)

    def guess() -> type[Exception]:
        with pytest.raises((Unauthenticated, RateLimited)) as refused:
            them.check_password(ann.email, OTHER)
        return refused.type

    clock.later = DAY
    assert [guess() for _ in range(4)] == [Unauthenticated] * 3 + [RateLimited]
    clock.later = 0
    assert them.check_password(ann.email, PASSWORD) == ann
    assert [guess() for _ in range(4)] == [Unauthenticated] * 3 + [RateLimited]
    clock.later = -500
    with pytest.raises(RateLimited) as refused:
        them.check_password(ann.email, PASSWORD)
    assert 0 < (refused.value.retry_after or 0) <= throttle.WINDOW_SECONDS


def test_guesses_at_the_same_time_count_too(them: People, ann: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that guess together have not many more guesses than one."""
    monkeypatch.setattr(throttle, "MOST_OF_ONE", 3)

    def guess(number: int) -> str:
        try:
            them.check_password(ann.email, f"guess number {number}")
        except (Unauthenticated, RateLimited) as refused:
            return refused.code
        return "right"

    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(guess, range(20)))
    assert answers.count("wrong_password") <= 4
    assert "right" not in answers


def test_attempts_that_count_no_longer_are_forgotten(
    them: People, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When their time has passed the password is looked at again, and the rows are gone."""
    monkeypatch.setattr(throttle, "MOST_OF_ONE", 1)
    with pytest.raises(Unauthenticated):
        them.check_password(ann.email, OTHER)
    with pytest.raises(RateLimited):
        them.check_password(ann.email, PASSWORD)
    monkeypatch.setattr(throttle, "WINDOW_SECONDS", 0)
    assert them.check_password(ann.email, PASSWORD) == ann


def test_session_slides_and_ends(them: People, ann: Person, clock: Clock) -> None:
    """It lasts 14 days after it was used last, and 90 in all."""
    token = them.open_session(ann, "a browser")
    opened = them.session(token)
    assert opened is not None
    assert (opened.person, opened.expires_at - opened.created_at) == (ann, 14 * DAY)
    clock.later = 59_000
    assert them.session(token) == opened
    for day in range(13, 90, 13):
        clock.later = day * DAY
        found = them.session(token)
        assert found is not None
        assert (found.id, found.csrf, found.seen_at > opened.seen_at) == (opened.id, opened.csrf, True)
    assert found.expires_at == opened.created_at + 90 * DAY
    clock.later = 90 * DAY
    assert them.session(token) is None
    other = them.open_session(ann, "")
    clock.later += 14 * DAY
    assert them.session(other) is None
    assert them.sessions(ann.id) == []


def test_session_opened_while_the_clock_was_ahead_lasts_no_longer(them: People, ann: Person, clock: Clock) -> None:
    """It counts as opened when it is used first once the clock is right, and slides as others do."""
    clock.later = 400 * DAY
    token = them.open_session(ann, "")
    clock.later = 0
    found = them.session(token)
    assert found is not None
    assert (found.seen_at - found.created_at, found.expires_at - found.created_at) == (0, 14 * DAY)
    for day in range(13, 90, 13):
        clock.later = day * DAY
        assert them.session(token) is not None
    clock.later = 91 * DAY
    assert them.session(token) is None


def test_link_made_while_the_clock_was_ahead_is_good_no_longer(them: People, clock: Clock) -> None:
    """It would be for days, or years; the next one replaces it."""
    clock.later = 400 * DAY
    token = them.sign_in_link(None)
    clock.later = 0
    with pytest.raises(Unauthenticated):
        them.redeem(token, "ann@example.com", PASSWORD)
    assert them.redeem(them.sign_in_link(None), "ann@example.com", PASSWORD).role == ADMIN


def test_token_is_all_that_names_a_session(them: People, ann: Person) -> None:
    """Nothing else does, and no two sessions share what their forms carry."""
    tokens = [them.open_session(ann, "x" * 1_000) for _ in range(2)]
    found = [them.session(token) for token in tokens]
    assert len({session.csrf for session in found if session}) == 2
    assert found[0] is not None
    for guess in ("", "x", found[0].id, tokens[0][:-1], tokens[0].lower(), "\udc80"):
        assert them.session(guess) is None
    assert {row.id for row in them.sessions(ann.id)} == {session.id for session in found if session}
    them.end_session(found[0].id)
    assert [them.session(token) is None for token in tokens] == [True, False]
    them.end_sessions(ann.id)
    assert them.session(tokens[1]) is None


@pytest.mark.parametrize("change", ["set_password", "set_role", "disable", "redeem"])
def test_sessions_end_with_what_they_were_opened_for(them: People, ann: Person, change: str) -> None:
    """A new password, another role and disabling end all sessions of this person and of nobody else."""
    bob = them.create("bob@example.com", PASSWORD, VIEWER)
    tokens = [them.open_session(who, "") for who in (bob, bob, ann)]
    if change == "set_password":
        them.set_password(bob.id, OTHER)
    elif change == "set_role":
        them.set_role(bob.id, ADMIN)
    elif change == "disable":
        them.disable(bob.id)
    else:
        them.redeem(them.sign_in_link(bob.id), bob.email, OTHER)
    assert [them.session(token) is not None for token in tokens] == [False, False, True]


def test_the_last_admin_stays(them: People, ann: Person) -> None:
    """There is always one enabled admin who has a password, even when two take it from each other at once."""
    them.create("new@example.com", None, ADMIN)
    for change in (lambda: them.disable(ann.id), lambda: them.set_role(ann.id, VIEWER)):
        with pytest.raises(Conflict, match="nobody else"):
            change()
    for _ in range(3):
        other = (
            them.create("other@example.com", PASSWORD, ADMIN) if not _there(them) else them.find("other@example.com")
        )
        with concurrent.futures.ThreadPoolExecutor(2) as threads:
            done = [threads.submit(them.set_role, who.id, VIEWER) for who in (ann, other)]
        assert sorted(type(future.exception()) is Conflict for future in done) == [False, True]
        for who in (ann, other):
            them.set_role(who.id, ADMIN)
    them.disable(other.id)
    them.enable(other.id)
    assert them.find(other.id).disabled_at is None


def _there(them: People) -> bool:
    return any(found.email == "other@example.com" for found in them.list())


def test_link_makes_the_first_admin_once(them: People) -> None:
    """It is good once; another one replaces it; and when there is somebody there is no such link."""
    old, token = them.sign_in_link(None), them.sign_in_link(None)
    with pytest.raises(BadRequest):
        them.redeem(token, "ann@example.com", "short")
    with pytest.raises(Unauthenticated):
        them.redeem(old, "ann@example.com", PASSWORD)
    made = them.redeem(token, "Ann@example.com", PASSWORD)
    assert (made.role, them.check_password(made.email, PASSWORD)) == (ADMIN, made)
    with pytest.raises(Unauthenticated):
        them.redeem(token, "eve@example.com", PASSWORD)
    with pytest.raises(Conflict):
        them.sign_in_link(None)


def test_links_redeemed_at_once_make_one_admin(them: People) -> None:
    """However many use it at the same time."""
    token = them.sign_in_link(None)
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        done = [threads.submit(them.redeem, token, f"{n}@example.com", PASSWORD) for n in range(4)]
    assert sum(future.exception() is None for future in done) == 1
    assert len(them.list()) == 1


def test_link_sets_its_persons_password(them: People, ann: Person, clock: Clock) -> None:
    """For the person whose address it is, within a day, and not when they have been disabled since."""
    bob = them.create("bob@example.com", None, VIEWER)
    token = them.sign_in_link(bob.id)
    with pytest.raises(BadRequest, match="another e-mail"):
        them.redeem(token, ann.email, OTHER)
    assert them.redeem(token, bob.email, OTHER) == bob == them.check_password(bob.email, OTHER)
    late, useless = them.sign_in_link(ann.id), them.sign_in_link(bob.id)
    them.disable(bob.id)
    with pytest.raises(Unauthenticated):
        them.redeem(useless, bob.email, OTHER)
    with pytest.raises(Conflict, match="disabled"):
        them.sign_in_link(bob.id)
    clock.later = DAY
    with pytest.raises(Unauthenticated):
        them.redeem(late, ann.email, OTHER)
    assert them.check_password(ann.email, PASSWORD) == ann


def test_only_hashes_are_kept(them: People, ann: Person, settings: Settings) -> None:
    """No byte of the control database holds a password, a token, or what forms carry."""
    tokens = [them.open_session(ann, ""), them.sign_in_link(ann.id)]
    session = them.session(tokens[0])
    assert session is not None
    with connect(settings).connect() as db:
        rows = str([db.execute(table.select()).all() for table in metadata.sorted_tables])
    files = b"".join(path.read_bytes() for path in settings.data.glob("control.sqlite*"))
    for secret in (*tokens, session.csrf, PASSWORD):
        assert secret not in rows
        assert secret.encode() not in files


def test_what_is_over_is_deleted(them: People, ann: Person, settings: Settings) -> None:
    """The next session, or link, takes those out that are over."""
    bob = them.create("bob@example.com", None, VIEWER)
    them.open_session(bob, "")
    them.sign_in_link(bob.id)
    engine = writing(connect(settings))
    with engine.begin() as db:
        db.execute(update(browser_session).values(expires_at=1))
        db.execute(update(sign_in_link).values(expires_at=1))
    them.open_session(ann, "")
    them.sign_in_link(ann.id)
    with engine.begin() as db:
        assert db.execute(browser_session.select()).one().person_id == ann.id
        assert db.execute(sign_in_link.select()).one().person_id == ann.id
