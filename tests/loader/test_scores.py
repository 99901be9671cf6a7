"""When a score is computed again, and that it never puts an older row in the place of a newer one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from tenure.entry import Entry
from tenure.health.settings import HealthSettings, Weights
from tenure.identity import Identifier, identity_key
from tenure.loader import scores
from tenure.loader.customers import SCORED_AGAIN_MS
from tenure.loader.profile import CustomerItem
from tenure.loader.scores import Scorer
from tenure.wire.times import DAY_MS
from tests.loader.test_customers import APP, Loading, entry, event
from tests.warehouse.conftest import Engine

OTHER = "app_00000000000000bb"
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


SETTINGS = {
    APP: HealthSettings(signals={"thing": "negative", "answered": "nps"}),
    OTHER: HealthSettings(signals={"thing": "positive"}, weights=Weights(signals=60)),
}
"""What a name says in each app."""
UIDS = "abcdef"


def lived(app: str) -> list[Entry]:
    """What the same customers did in an app, some of it with answers. A name fell silent: whether for everybody hangs
    on how many of the others did it in the 30 days before."""
    chance = random.Random(app)
    names = ["login", "thing", "answered", "nps_response"]
    did = [(chance.choice(UIDS), chance.choice(names), chance.uniform(20, 110)) for _ in range(90)]
    if app == APP:
        did += [(uid, "stopped", chance.choice([10, 11, 33])) for uid in "abc" for _ in range(60)]
        did += [("d", "stopped", 52)]
    else:
        did += [(uid, "stopped", chance.choice([25, 50])) for uid in "abcd" for _ in range(60)]
    events = [event(uid, f"{number}", NOW - int(day * DAY_MS) - 1, name) for number, (uid, name, day) in enumerate(did)]
    answered = [msgspec.structs.replace(one, properties=f'{{"score":{chance.randint(0, 10)}}}') for one in events]
    return [msgspec.structs.replace(entry(1 + (app == OTHER), *answered), app=app)]


def scored_by_uid(loading: Loading, app: str) -> dict[str, int | None]:
    rows = loading.warehouse.client.query(
        "SELECT shown, score FROM customer FINAL WHERE app = {app:String}", {"app": app}
    ).result_rows
    return {msgspec.json.decode(shown)["id"]: score for shown, score in rows}


def share_keys(loading: Loading) -> None:
    """Make each customer have the key, too, of the customer of that name in the other app: as links never should."""
    rows = [
        [app, *(identity_key(of, Identifier("uid", uid)) for of in (other, app)), 1]
        for app, other in ((APP, OTHER), (OTHER, APP))
        for uid in UIDS
    ]
    loading.warehouse.client.insert("canonical", rows, column_names=["app", "key", "canonical", "version"])


def test_apps_are_scored_in_one_step_and_each_by_its_own(running: Loading) -> None:
    """The same customers of two apps with other settings, whose keys are even mixed up, have the scores that they have
    when each app is alone."""
    found = {}
    for apps in ([APP], [OTHER], [APP, OTHER]):
        running.empty()
        for app in apps:
            running.load(lived(app))
        if len(apps) > 1:
            share_keys(running)
        running.follow()
        scorer = Scorer(running.warehouse, lambda: SETTINGS, running.following)
        assert scorer.score(NOW)
        assert not scorer._find(SETTINGS, NOW)
        found[tuple(apps)] = [scored_by_uid(running, app) for app in apps]
    assert found[APP, OTHER] == found[APP,] + found[OTHER,]
    first, second = found[APP, OTHER]
    assert None not in {*first.values(), *second.values()}
    assert all(first[uid] != second[uid] for uid in first)
    running.empty()


def test_more_apps_than_a_step_has_are_all_scored(running: Loading, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, then."""
    running.empty()
    monkeypatch.setattr(scores, "STEP_APPS", 1)
    for app in (APP, OTHER):
        running.load(lived(app))
    running.follow()
    scorer = Scorer(running.warehouse, lambda: SETTINGS, running.following)
    assert scorer.score(NOW)
    assert None in scored_by_uid(running, OTHER).values()
    assert scorer.score(NOW)
    assert None not in {**scored_by_uid(running, APP), **scored_by_uid(running, OTHER)}.values()
    running.empty()


def test_a_row_that_cannot_be_read_keeps_nobody_waiting(running: Loading) -> None:
    """It is passed over, and named without what is in it; the others are scored, and it is not come back to at once."""
    running.empty()
    running.load(lived(APP))
    running.follow()
    running.warehouse.client.command(
        """ALTER TABLE customer UPDATE shown = '{"id":"uid:b","secret"' WHERE JSONExtractString(shown, 'id') = 'uid:b'
        SETTINGS mutations_sync = 1"""
    )
    scorer = Scorer(running.warehouse, lambda: SETTINGS, running.following)
    with capture_logs() as logs:
        assert scorer.score(NOW)
        assert [scorer.score(NOW) for _ in range(4)] == [True, True, False, True]
    key = identity_key(APP, Identifier("uid", "b")).hex()
    assert {(line["app"], line["customer"]) for line in logs} == {(APP, key)}
    assert "secret" not in repr(logs)
    scored = running.warehouse.client.query("SELECT countIf(isNotNull(score)), count() FROM customer FINAL").result_rows
    assert scored == [(len(UIDS) - 1, len(UIDS))]
    running.empty()


def test_it_is_asked_who_is_due_when_somebody_can_be(scoring: Scoring, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody was listed anew, settings changed, or a time has come: of what another process wrote within a minute."""
    scorer = scoring.scorer
    assert scorer._is_awaited()
    assert scorer._is_awaited()  # nobody is scored so far
    scoring.score(NOW)
    assert not scorer._is_awaited()
    scoring.loading.follow()
    assert not scorer._is_awaited()  # nothing was written
    scoring.loading.load([entry(99, event("a", "late", NOW))])
    scoring.loading.follow()
    assert scorer._is_awaited()
    scoring.score(NOW + SCORED_AGAIN_MS)
    assert not scorer._is_awaited()
    scoring.settings = HealthSettings(weights=Weights(recency=0))
    assert scorer._is_awaited()
    at = NOW + SCORED_AGAIN_MS
    scoring.score(at)
    assert not scorer._is_awaited()
    assert scorer._seconds_to_next(at + DAY_MS - 1_500) == 1.5
    assert scorer._seconds_to_next(at) == 60
    monkeypatch.setattr(scores, "LONGEST_LOOK_SECONDS", 0)
    scoring.score(at)
    assert scorer._is_awaited()
