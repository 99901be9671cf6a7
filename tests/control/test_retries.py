"""The retry window of an app, and what is reinstated, over an upgrade and each in its own app."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import text

from tenure.control.database import connect, migrate, writing
from tenure.control.store import Store
from tenure.settings import Settings


def test_apps_of_an_older_release_have_the_usual_window(new_settings: Callable[[], Settings]) -> None:
    """Until they say another; what is reinstated is asked for once, done once, and known for good."""
    engine = connect(new_settings())
    migrate(engine, "0016")
    with writing(engine).begin() as db:
        db.execute(text("INSERT INTO app (id, name, created_at) VALUES ('app_a', 'a', 1), ('app_b', 'b', 2)"))
    migrate(engine)
    store = Store(engine)
    before = store.revision()
    store.set_retry_seconds("app_b", 0)
    assert {app: policy.retry_seconds for app, policy in store.policies().items()} == {"app_a": 10, "app_b": 0}
    assert store.revision() > before
    store.set_retry_seconds("app_b", None)
    assert store.policies()["app_b"].retry_seconds == 10
    one, other = bytes(15) + b"\x01", bytes(15) + b"\x02"
    for _ in range(2):
        store.reinstated.ask("app_a", "00" * 16, [one])
    store.reinstated.ask("app_a", "00" * 16, [one, other])
    assert len(store.audit.entries(action="event.reinstate").items) == 2
    assert {asked.event_id for asked in store.reinstated.pending()} == {one, other}
    store.reinstated.finish(store.reinstated.pending())
    assert not store.reinstated.pending()
    assert store.reinstated.among([one, other, bytes(16)]) == {one, other}
