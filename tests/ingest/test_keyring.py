"""Keys and apps are known at once when they are new; what is revoked or changed soon is."""

from __future__ import annotations

import hmac
from pathlib import Path

import pytest

from tenure.control.database import connect, migrate
from tenure.control.store import Store
from tenure.errors import Forbidden, Unauthenticated
from tenure.ingest import keyring as module
from tenure.ingest.keyring import Keyring
from tenure.settings import Settings

SENDING = {"secret", "publishable"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    engine = connect(Settings.load({"data": tmp_path}, {}))
    migrate(engine)
    return Store(engine)


def test_key_gives_its_app_and_kind(store: Store) -> None:
    """What a key may do is what it was made for."""
    app = store.create_app("a").id
    secret, reading = store.create_key(app, "secret"), store.create_key(app, "read")
    ring = Keyring(store)
    assert ring.authenticate(secret, SENDING).app == app
    with pytest.raises(Forbidden):
        ring.authenticate(reading, SENDING)
    with pytest.raises(Forbidden):
        ring.authenticate(secret, {"read"})


@pytest.mark.parametrize("guess", ["", "sk_live_", "\ud800", "x" * 10_000])
def test_unknown_keys_are_refused(store: Store, guess: str) -> None:
    """Whatever the header holds, an unknown key is a 401."""
    with pytest.raises(Unauthenticated):
        Keyring(store).authenticate(guess, SENDING)


def test_tracker_keys_and_app_ids_are_no_credentials(store: Store) -> None:
    """What is public by design opens nothing."""
    app = store.create_app("a").id
    tracker = store.create_key(app, "tracker")
    store.import_key(app, "app-id", "ck_app_1234567890")
    ring = Keyring(store)
    for public in (tracker, "ck_app_1234567890", app):
        with pytest.raises(Unauthenticated):
            ring.authenticate(public, {"secret", "publishable", "read", "tracker", "app-id"})


def test_new_key_works_at_once(store: Store) -> None:
    """A miss makes the ring look again, so that nobody waits after creating a key."""
    ring = Keyring(store)
    assert ring.authenticate(store.create_key(store.create_app("a").id, "secret"), SENDING)


def test_guesses_do_not_ask_the_database_each(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of unknown keys costs a few look-ups a second, not one each."""
    ring, asked = Keyring(store), []
    monkeypatch.setattr(store, "revision", lambda: asked.append(1) or 0)
    monkeypatch.setattr(module.time, "monotonic", lambda: 1e12)
    for number in range(100):
        with pytest.raises(Unauthenticated):
            ring.authenticate(f"guess {number}", SENDING)
    assert len(asked) == module.MISSES_A_SECOND


def test_revoked_key_ends_with_the_next_refresh(store: Store) -> None:
    """Revocation needs no restart."""
    secret = store.create_key(store.create_app("a").id, "secret")
    ring = Keyring(store)
    store.revoke_key(store.list_keys()[0].id)
    ring.refresh()
    with pytest.raises(Unauthenticated):
        ring.authenticate(secret, SENDING)


def test_tracker_of_another_app_is_forbidden(store: Store) -> None:
    """A body's tracker key must belong to the header's key."""
    one, other = store.create_app("a").id, store.create_app("b").id
    tracker = store.create_key(one, "tracker")
    ring = Keyring(store)
    ring.check_tracker(tracker, one)
    for wrong in (tracker, "CS-NOPE", store.create_key(other, "secret")):
        with pytest.raises(Forbidden):
            ring.check_tracker(wrong, other)


def test_app_id_is_our_own_or_an_imported_one(store: Store) -> None:
    """A client that keeps its vendor's app id works once that id has been imported."""
    one, other = store.create_app("a").id, store.create_app("b").id
    store.import_key(one, "app-id", "vendor-app")
    ring = Keyring(store)
    ring.check_app_id(one, one)
    ring.check_app_id("vendor-app", one)
    for wrong in (one, "vendor-app", "nope"):
        with pytest.raises(Unauthenticated):
            ring.check_app_id(wrong, other)


def test_browser_is_known_by_its_public_app_id(store: Store) -> None:
    """The app's own id or an imported one leads to the app; nothing else that is public or secret does."""
    app = store.create_app("a").id
    store.import_key(app, "app-id", "vendor-app")
    created = store.create_keys(app)
    ring = Keyring(store)
    for known in (app, "vendor-app"):
        key = ring.app_key(known)
        assert (key.app, key.kind) == (app, "app-id")
    for wrong in ("", "nope", "\ud800", *created.values()):
        with pytest.raises(Unauthenticated, match="app id") as error:
            ring.app_key(wrong)
        assert error.value.code == "unknown_app"


def test_new_app_is_known_at_once(store: Store) -> None:
    """An unknown app id makes the ring look again, as an unknown key does."""
    ring = Keyring(store)
    assert ring.app_key(store.create_app("a").id)


def test_unknown_app_ids_do_not_ask_the_database_each(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guesses of app ids and of keys share one budget of look-ups."""
    ring, asked = Keyring(store), []
    monkeypatch.setattr(store, "revision", lambda: asked.append(1) or 0)
    monkeypatch.setattr(module.time, "monotonic", lambda: 1e12)
    for number in range(50):
        with pytest.raises(Unauthenticated):
            ring.app_key(f"guess {number}")
        with pytest.raises(Unauthenticated):
            ring.authenticate(f"guess {number}", SENDING)
    assert len(asked) == module.MISSES_A_SECOND


def test_changed_rules_are_taken_up_with_the_next_refresh(store: Store) -> None:
    """Origins and limits need no restart."""
    app = store.create_app("a").id
    ring = Keyring(store)
    assert (ring.policy(app).origins, ring.policy(app).limit("customerscore")) == (None, 200)
    store.set_origins(app, ["https://a.example"])
    store.set_limit(app, "customerscore", 7)
    ring.refresh()
    assert (ring.policy(app).origins, ring.policy(app).limit("customerscore")) == ({"https://a.example"}, 7)
    assert ring.policy("app_unknown").origins is None


def test_signature_is_good_until_its_key_is_revoked(store: Store) -> None:
    """After a rotation both keys sign; after the revocation only the new one does. Another app's key never does."""
    app, other = store.create_app("a").id, store.create_app("b").id
    old = store.create_key(app, "secret")
    foreign = store.create_key(other, "secret")
    rotation = store.rotate_key(next(row.id for row in store.list_keys(app)))
    ring = Keyring(store)

    def good(key: str) -> bool:
        return ring.has_signed(app, "cus_1", hmac.new(key.encode(), b"cus_1", "sha256").hexdigest())

    assert [good(key) for key in (old, rotation.key, foreign)] == [True, True, False]
    store.revoke_key(rotation.old)
    ring.refresh()
    assert [good(key) for key in (old, rotation.key, foreign)] == [False, True, False]
