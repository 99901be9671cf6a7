"""When keys were last used: in memory at once, in the control database from time to time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.exc import DatabaseError
from typer.testing import CliRunner

from tenure.cli import command_line
from tenure.control.database import connect, migrate
from tenure.control.key_use import KeyUse
from tenure.control.store import Store
from tenure.errors import Forbidden, Unauthenticated
from tenure.ingest.keyring import Keyring
from tenure.settings import Settings


@pytest.fixture
def settings(new_settings: Callable[[], Settings]) -> Settings:
    return new_settings()


@pytest.fixture
def store(settings: Settings) -> Store:
    engine = connect(settings)
    migrate(engine)
    return Store(engine)


def used(store: Store) -> dict[str, int | None]:
    return {row.kind: row.used_at for row in store.list_keys()}


def test_of_several_processes_the_latest_use_counts(settings: Settings, store: Store) -> None:
    """Whichever of them writes last; a key that nobody used has no time, and nothing else changes."""
    app = store.create_app("a").id
    store.create_keys(app)
    secret, *_ = (row.id for row in store.list_keys() if row.kind == "secret")
    early, late = KeyUse(connect(settings)), KeyUse(connect(settings))
    before = store.revision()
    early.note(secret)
    late.note(secret)
    late.write()
    at = used(store)["secret"]
    assert at is not None
    early.write()
    assert used(store) == {"secret": at, "publishable": None, "tracker": None, "read": None}
    assert store.revision() == before


def test_a_use_noted_while_the_clock_was_ahead_is_replaced(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the first one that is noted when it is right; one that another process noted a moment later stays."""
    store.create_key(store.create_app("a").id, "secret")
    (key,) = store.list_keys()
    use, now = KeyUse(connect(settings)), time.time_ns()
    for shift, shown in ((86_400, 86_400), (5, 5), (0, 5)):
        monkeypatch.setattr(time, "time_ns", lambda shift=shift: now + shift * 1_000_000_000)
        use.note(key.id)
        use.write()
        assert used(store)["secret"] == now // 1_000_000 + shown * 1_000


def test_what_cannot_be_written_is_kept(settings: Settings, store: Store) -> None:
    """A use that meets a database without its table is written by the next attempt."""
    store.create_key(store.create_app("a").id, "secret")
    (key,) = store.list_keys()
    engine = connect(settings)
    use = KeyUse(engine)
    use.note(key.id)
    for name, other in (("api_key", "hidden"), ("hidden", "api_key")):
        with engine.begin() as db:
            db.exec_driver_sql(f"ALTER TABLE {name} RENAME TO {other}")
        if other == "hidden":
            with pytest.raises(DatabaseError):
                use.write()
    use.write()
    assert used(store)["secret"] is not None


def test_who_is_let_in_is_noted(store: Store) -> None:
    """A key of the right kind, a tracker and an app id are used; a wrong kind and a revoked key are not."""
    app = store.create_app("a").id
    fresh = store.create_keys(app)
    store.import_key(app, "app-id", "ck_app_1234567890")
    ring = Keyring(store)
    with pytest.raises(Forbidden):
        ring.authenticate(fresh["read_key"], {"secret"})
    store.revoke_key(fresh["publishable_key"][:12])
    with pytest.raises(Unauthenticated):
        Keyring(store).authenticate(fresh["publishable_key"], {"publishable"})
    ring.authenticate(fresh["secret_key"], {"secret"})
    ring.check_tracker(fresh["tracker_key"], app)
    ring.check_app_id("ck_app_1234567890", app)
    store.key_use.write()
    assert {kind for kind, at in used(store).items() if at} == {"secret", "tracker", "app-id"}


def test_key_list_shows_it(tmp_path: Path) -> None:
    """In words, and as milliseconds with `--json`."""
    engine = connect(Settings.load({"data": tmp_path}, {}))
    migrate(engine)
    store = Store(engine)
    fresh = store.create_keys(store.create_app("a").id)
    Keyring(store).authenticate(fresh["secret_key"], {"secret"})
    store.key_use.write()
    text, as_json = (
        CliRunner().invoke(command_line(), ["key", "list", "--data", str(tmp_path), *more]).stdout
        for more in ([], ["--json"])
    )
    assert [line.split("  ")[-1].split()[0] for line in text.splitlines()] == ["used", "no", "no", "no"]
    assert [row["used_at"] is not None for row in json.loads(as_json)] == [True, False, False, False]
