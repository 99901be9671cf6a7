"""Apps and keys in the control database."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from tenure.control.database import connect, migrate, writing
from tenure.control.policy import DEFAULT_LIMITS, Policy
from tenure.control.signing import signing_state
from tenure.control.store import Store
from tenure.control.tables import metadata
from tenure.errors import NotFound, TenureError
from tenure.settings import Settings


@pytest.fixture
def settings(new_settings: Callable[[], Settings]) -> Settings:
    return new_settings()


@pytest.fixture
def store(settings: Settings) -> Store:
    engine = connect(settings)
    migrate(engine)
    return Store(engine)


def test_migrations_make_the_tables(settings: Settings, store: Store) -> None:
    """What the migrations create is what the code describes."""
    with connect(settings).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_migrating_twice_and_at_once_is_harmless(settings: Settings) -> None:
    """Commands that start together on a new directory all find their tables."""
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: migrate(connect(settings)), range(4)))
    assert Store(connect(settings)).apps() == []


def test_database_of_the_first_version_is_brought_up_to_date(settings: Settings) -> None:
    """Apps and keys that were there before keep working; their signing states cannot be known."""
    engine = connect(settings)
    migrate(engine, "0001")
    with writing(engine).begin() as db:
        db.exec_driver_sql("INSERT INTO app (id, name, created_at) VALUES ('app_1', 'a', 1)")
        db.exec_driver_sql(
            "INSERT INTO api_key (id, app_id, kind, prefix, digest, created_at, changed)"
            " VALUES ('1', 'app_1', 'secret', 'sk', 'd', 1, 1)"
        )
    migrate(engine)
    store = Store(engine)
    assert [key.digest for key in store.live_keys()] == ["d"]
    assert (store.policies(), store.signing_states(), store.revision()) == ({"app_1": Policy()}, {}, 1)


def test_keys_are_kept_as_hashes_only(settings: Settings, store: Store) -> None:
    """No byte of the control database holds a key."""
    secret = store.create_key(store.create_app("a").id, "secret")
    with connect(settings).connect() as database:
        rows = str([database.execute(table.select()).all() for table in metadata.sorted_tables])
    files = b"".join(path.read_bytes() for path in settings.data.glob("control.sqlite*"))
    assert secret.encode() not in files + rows.encode()
    assert store.list_keys()[0].prefix == secret[:12]


def test_shown_prefix_of_a_short_imported_key_gives_little_away(store: Store) -> None:
    """At most a third of a key is shown."""
    store.import_key(store.create_app("a").id, "secret", "0123456789abcdef")
    assert store.list_keys()[0].prefix == "01234"


def test_an_app_is_renamed(store: Store) -> None:
    """To a name that is free and can be shown in a line; to the same one nothing happens."""
    app = store.create_app("a")
    store.create_app("b")
    for wrong, why in (("b", "already"), ("", "1 to 200"), ("x" * 201, "1 to 200"), ("a\nb", "line breaks")):
        with pytest.raises(TenureError, match=why):
            store.rename_app(app.id, wrong)
    store.rename_app(app.id, "a")
    store.rename_app(app.id, "c")
    assert store.app("c").id == app.id
    assert [entry.details for entry in store.audit.entries(action="app.rename").items] == [{"was": "a"}]


def test_revision_grows_with_every_change(store: Store) -> None:
    """Processes that hold keys and rules in memory can tell that something changed."""
    app = store.create_app("a").id
    seen = [store.revision()]
    for change in (
        lambda: store.create_key(app, "read"),
        lambda: store.rotate_key(store.list_keys()[0].id),
        lambda: store.revoke_key(store.list_keys()[1].id),
        lambda: store.create_app("b"),
        lambda: store.set_origins(app, ["https://a.example"]),
        lambda: store.set_origins(app, []),
        lambda: store.set_limit(app, "native", 5),
        lambda: store.reset_limit(app, "native"),
    ):
        change()
        seen.append(store.revision())
    assert seen == sorted(set(seen))


def test_rotated_key_is_good_until_it_is_revoked(store: Store) -> None:
    """Rotation gives one new key of the same kind beside the old one."""
    app = store.create_app("a").id
    store.create_key(app, "read")
    old = store.list_keys()[0].id
    assert store.rotate_key(old).old == old
    assert [(row.kind, row.revoked_at is None) for row in store.list_keys(app)] == [("read", True), ("read", True)]
    store.revoke_key(old)
    assert [row.id for row in store.list_keys(app) if row.revoked_at is None] != [old]


def test_vendors_app_id_cannot_be_rotated(store: Store) -> None:
    """An id that a vendor made is replaced by importing another."""
    key_id = store.import_key(store.create_app("a").id, "app-id", "ck_app_1234567890")
    with pytest.raises(TenureError, match="import another"):
        store.rotate_key(key_id)


def test_only_live_secret_keys_check_signatures(store: Store) -> None:
    """A state is kept of each secret key, made or imported, and of no other; it counts until the key is revoked."""
    app, other = store.create_app("a").id, store.create_app("b").id
    made = store.create_keys(app)["secret_key"]
    imported = store.import_key(app, "secret", "k" * 20)
    store.import_key(other, "publishable", "p" * 20)
    assert {app: set(store.signing_states()[app])} == {app: {signing_state(made), signing_state("k" * 20)}}
    assert list(store.signing_states()) == [app]
    store.revoke_key(imported)
    assert store.signing_states() == {app: (signing_state(made),)}


def test_rules_of_an_app_are_its_own(store: Store) -> None:
    """Origins and limits hold for the app they were set for; taken back, the defaults hold again."""
    app, other = store.create_app("a").id, store.create_app("b").id
    store.set_origins(app, ["https://a.example", "https://a.example", "https://b.example"])
    store.set_limit(app, "customerscore", 10)
    store.set_limit(app, "customerscore", None)
    store.set_limit(app, "native", 7)
    policy = store.policies()[app]
    assert policy.origins == {"https://a.example", "https://b.example"}
    assert [policy.limit(dialect) for dialect in ("customerscore", "native", "whisperr")] == [None, 7, None]
    assert store.policies()[other] == Policy()
    store.set_origins(app, [])
    for dialect in ("customerscore", "native"):
        store.reset_limit(app, dialect)
    assert store.policies()[app] == Policy()
    assert {dialect: Policy().limit(dialect) for dialect in DEFAULT_LIMITS} == DEFAULT_LIMITS


def test_wrong_names_are_explained(store: Store) -> None:
    """Unknown apps and keys, and taken names and keys, raise what can be shown to a person."""
    app = store.create_app("a").id
    store.import_key(app, "secret", "k" * 20)
    with pytest.raises(TenureError, match="named 'a' already"):
        store.create_app("a")
    with pytest.raises(TenureError, match="known already"):
        store.import_key(app, "secret", "k" * 20)
    with pytest.raises(NotFound):
        store.app("b")
    with pytest.raises(NotFound):
        store.revoke_key("nope")
