"""The links of a release in which placeholders joined: those whom they joined are computed anew."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Engine, text

from tenure.control.backfills import SUBSCRIBED
from tenure.control.database import connect, migrate, writing
from tenure.control.store import Store
from tenure.identity import Identifier, identity_key
from tenure.settings import Settings

APP = "app_0000000000000001"
OLD_LINK = """
INSERT INTO link (id, app_id, key, kind, value, to_key, to_kind, to_value, how, source, verified, received_at, receipt,
    position) VALUES (:id, :app, :key, 'customer_id', :value, :to_key, 'uid', :to_value, 'carried together', 'native',
    true, :at, :id, 0)
"""


def old_links(engine: Engine, pairs: list[tuple[str, str]], cluster: str) -> None:
    """What a release before wrote of customer ids and uids that came together, in one cluster."""
    with writing(engine).begin() as db:
        keys: set[str] = set()
        for at, (one, other) in enumerate(pairs):
            sides = Identifier("customer_id", one), Identifier("uid", other)
            key, to_key = (identity_key(APP, side).hex() for side in sides)
            keys |= {key, to_key}
            said = {"id": f"{cluster}{at}", "app": APP, "key": key, "to_key": to_key, "at": at}
            db.execute(text(OLD_LINK), said | {"value": one.encode(), "to_value": other.encode()})
        of = {"id": cluster, "app": APP, "size": len(keys)}
        db.execute(text("INSERT INTO cluster (id, app_id, size, changed) VALUES (:id, :app, :size, 1)"), of)
        for key in keys:
            db.execute(text("INSERT INTO cluster_member VALUES (:key, :id)"), {"key": key, "id": cluster})


def test_a_migration_has_those_computed_anew_whom_a_placeholder_joined(new_settings: Callable[[], Settings]) -> None:
    """Of all clusters those with a placeholder, and those that may join too many, take the next revision."""
    engine = connect(new_settings())
    migrate(engine, "0014")
    with writing(engine).begin() as db:
        db.execute(text(f"INSERT INTO app (id, name, created_at) VALUES ('{APP}', 'a', 1)"))
    old_links(engine, [(" Undefined", f"user{n}") for n in range(5)], "placeholder")
    old_links(engine, [("shop", f"clerk{n}") for n in range(11)], "large")
    old_links(engine, [("acme", "ann"), ("acme", "bob")], "usual")
    migrate(engine)
    store = Store(engine)
    assert {found.id for found in store.links.changed_after(1, "~", 10)} == {"placeholder", "large"}
    for value, size in (("user3", 1), ("clerk3", 1), ("ann", 3)):
        side = Identifier("uid", value)
        assert len(store.links.customers(APP, side).customer(side)) == size
    assert store.backfills.waits(SUBSCRIBED)
