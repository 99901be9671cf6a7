"""Views of the list of customers that are kept under a name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tenure.control.database import connect, migrate
from tenure.control.saved_views import MAX_VIEWS
from tenure.control.store import Store
from tenure.errors import BadRequest, NotFound
from tenure.settings import Settings


@pytest.fixture
def store(new_settings: Callable[[], Settings]) -> Store:
    engine = connect(new_settings())
    migrate(engine)
    return Store(engine)


def test_a_view_is_saved_replaced_and_deleted(store: Store) -> None:
    """By name within one app; another app has its own."""
    app, other = store.create_app("one").id, store.create_app("other").id
    first = store.saved_views.save(app, " Large ", "mrr_at_least=100")
    store.saved_views.save(other, "Large", "status=active")
    store.saved_views.save(app, "at risk", "health_below=40")
    assert [(view.name, view.query) for view in store.saved_views.of(app)] == [
        ("at risk", "health_below=40"), ("Large", "mrr_at_least=100"),
    ]  # fmt: skip
    second = store.saved_views.save(app, "Large", "mrr_at_least=200")
    assert second != first
    with pytest.raises(NotFound):
        store.saved_views.delete(other, second)
    store.saved_views.delete(app, second)
    assert [view.name for view in store.saved_views.of(app)] == ["at risk"]
    assert [view.query for view in store.saved_views.of(other)] == ["status=active"]


@pytest.mark.parametrize("name", ["", "  ", "x" * 81, "a\nb", "a\x00"])
def test_a_view_needs_a_name(store: Store, name: str) -> None:
    """One that can be read, and is not too long."""
    with pytest.raises(BadRequest):
        store.saved_views.save(store.create_app("one").id, name, "")


def test_there_are_not_endlessly_many(store: Store) -> None:
    """At the limit one can be replaced, and none added."""
    app = store.create_app("one").id
    for number in range(MAX_VIEWS):
        store.saved_views.save(app, f"view {number}", "")
    store.saved_views.save(app, "view 0", "q=a")
    with pytest.raises(BadRequest):
        store.saved_views.save(app, "one more", "")
