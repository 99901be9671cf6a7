"""A question is not asked again while nothing can have changed its answer, and always when something was written."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from sqlalchemy import create_engine

from tenure.control.database import connect, migrate
from tenure.control.store import Store
from tenure.control.unchanged import Unchanged
from tenure.settings import Settings


@pytest.fixture
def store(new_settings: Callable[[], Settings]) -> Store:
    engine = connect(new_settings())
    migrate(engine)
    return Store(engine)


def test_an_answer_is_good_until_somebody_writes(store: Store) -> None:
    """Be it by this process, or by another's connection; PostgreSQL is asked each time."""
    unchanged, count = Unchanged(store._engine), itertools.count()

    def ask(about: str = "") -> int:
        return unchanged.answer("how often", about, lambda: next(count))

    asked_each_time = store._engine.dialect.name != "sqlite"
    assert [ask(), ask(), ask()] == ([0, 1, 2] if asked_each_time else [0, 0, 0])
    before = ask()
    store.create_app("one")
    assert ask() > before
    before = ask()
    Store(create_engine(store._engine.url)).create_app("two")
    assert ask() > before
    before = ask()
    assert ask("something else") > before


def test_what_is_written_while_it_is_asked_is_not_missed(store: Store) -> None:
    """The answer may be of before, and is asked for again."""
    unchanged = Unchanged(store._engine)

    def ask() -> list[str]:
        found = [app.name for app in store.apps()]
        if not found:
            store.create_app("meanwhile")
        return found

    assert unchanged.answer("apps", None, ask) == []
    assert unchanged.answer("apps", None, ask) == ["meanwhile"]


def test_a_question_that_failed_is_asked_again(store: Store) -> None:
    """An error is no answer."""
    unchanged = Unchanged(store._engine)

    def fail() -> int:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        unchanged.answer("how many", None, fail)
    assert unchanged.answer("how many", None, lambda: 1) == 1
