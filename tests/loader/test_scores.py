"""When a score is computed again, and that it never puts an older row in the place of a newer one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tenure.health.settings import HealthSettings, Weights
from tenure.loader.customers import SCORED_AGAIN_MS
from tenure.loader.profile import CustomerItem
from tenure.loader.scores import Scorer
from tenure.wire.times import DAY_MS
from tests.loader.test_customers import APP, Loading, entry, event
from tests.warehouse.conftest import Engine

NOW = 1_780_000_000_000
HISTORY = [entry(day, event("a", f"a{day}", NOW - day * DAY_MS - 1)) for day in range(1, 40)]


class Scoring:
    """A list with one customer, and the scorer that follows it."""

    def __init__(self, loading: Loading) -> None:
        self.loading = loading
        self.settings = HealthSettings()
        self.scorer = Scorer(loading.warehouse, lambda: {APP: self.settings}, loading.following)

    def score(self, now: int) -> Any:
        """Score until nothing is due; what the list says of the customer then."""
        while self.scorer.score(now):
            pass
        return self.listed.health

    @property
    def listed(self) -> CustomerItem:
        (item,) = self.loading.listed().items
        return item


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loading]:
    directory = tmp_path_factory.mktemp("scores")
    engine = Engine(directory)
    yield Loading(directory, engine)
    engine.stop()
    engine.listener.close()


@pytest.fixture
def scoring(running: Loading) -> Scoring:
    running.empty()
    running.load(HISTORY)
    running.follow()
    return Scoring(running)


def test_a_score_is_due_after_a_day_a_change_or_other_settings(scoring: Scoring) -> None:
    """Not before; and what has happened shows a minute after the last score at the earliest."""
    first = scoring.score(NOW)
    assert (first.score, first.band) == (100, "good")
    assert scoring.score(NOW + DAY_MS - 1) == first
    later = scoring.score(NOW + 20 * DAY_MS)
    assert later.score < 70
    scoring.settings = HealthSettings(weights=Weights(recency=0, frequency=0, trend=0))
    assert scoring.score(NOW + 20 * DAY_MS + 1).score not in (first.score, later.score)
    scored_at = NOW + 20 * DAY_MS + 1
    before = scoring.listed.health
    scoring.loading.load([entry(99, event("a", "late", NOW + 20 * DAY_MS, "subscription_cancelled"))])
    scoring.loading.follow()
    assert scoring.listed.health == before
    assert scoring.score(scored_at + SCORED_AGAIN_MS - 1) == before
    assert scoring.score(scored_at + SCORED_AGAIN_MS).score < before.score


def test_a_row_that_was_made_anew_meanwhile_stays(scoring: Scoring, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event that is listed while the score is being computed is not lost; the score comes the next time."""
    put, loading = scoring.scorer._put, scoring.loading

    def late(*arguments: Any) -> None:
        monkeypatch.undo()
        loading.load([entry(99, event("a", "late", NOW))])
        loading.following._writing.release()
        loading.follow()
        loading.following._writing.acquire()
        put(*arguments)

    monkeypatch.setattr(scoring.scorer, "_put", late)
    scoring.scorer.score(NOW)
    assert (scoring.listed.events, scoring.listed.health) == (len(HISTORY) + 1, None)
    assert scoring.score(NOW).score == 100
    assert scoring.listed.events == len(HISTORY) + 1


def test_what_was_computed_before_a_hiding_is_not_written(scoring: Scoring, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody may have been hidden of whom the score tells."""
    scores = scoring.scorer._scores

    def hiding(*arguments: Any) -> Any:
        with scoring.loading.following.hiding():
            pass
        return scores(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(scoring.scorer, "_scores", hiding)
        assert scoring.scorer.score(NOW)
        assert scoring.listed.health is None
    assert scoring.score(NOW).score == 100
