"""What the people of an account do in the product, session by session.

A session sends to every system what a real integration would: the login and `feature_used` to Windback, the
product's own events to Churnkey, contacts' activity to Customerscore, pages to Whisperr.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import NamedTuple

from tenure.demo import call
from tenure.demo.account import Account, User
from tenure.demo.call import Call
from tenure.demo.life import DAY, HOUR


class Feature(NamedTuple):
    """Something to do in the product: its event's name, its short name, and how common it is."""

    event: str
    id: str
    weight: float


FEATURES = (
    Feature("Task Completed", "tasks", 30),
    Feature("Comment Added", "comments", 18),
    Feature("Report Viewed", "reports", 16),
    Feature("Report Exported", "exports", 10),
    Feature("Project Created", "projects", 8),
    Feature("File Uploaded", "files", 9),
    Feature("Integration Synced", "integrations", 6),
    Feature("Member Invited", "members", 2),
)
RELEASED = Feature("Automation Run", "automations", 22)
"""Released during the history: who adopts it exports fewer reports by hand."""
REPLACED = "exports"

_PAGES = ("/home", "/projects", "/reports", "/settings", "/inbox", "/calendar", "/billing")
_WEEKDAYS = (1.05, 1.15, 1.1, 1.0, 0.8, 0.12, 0.1)
"""Use on the days of a week from Monday, relative to the average working day."""


class Happenings(NamedTuple):
    """What happens to everybody, in ms since 1970 UTC."""

    release: int
    """RELEASED becomes available."""
    outage: tuple[int, int]
    """Tracking of `feature_used` is broken from and until; use itself goes on."""
    client_fixed: int
    """From now on the old client says `feature_used` as well."""


def usage(rng: Random, account: Account, happenings: Happenings, end: int) -> Iterator[Call]:
    """All sessions of an account until `end`."""
    first = account.life.signed_up // DAY * DAY
    for midnight in range(first, end, DAY):
        noon = midnight + 12 * HOUR
        expected = account.sessions * account.life.level(noon) * rhythm(account, noon)
        for _ in range(_poisson(rng, expected)):
            user = _user(rng, account, noon)
            hour = min(max(rng.gauss(user.hour, 2.2), 0.2), 23.5) - account.utc_offset
            at = midnight + int(hour * HOUR)
            if account.life.signed_up + HOUR < at < end - HOUR and account.life.level(at) > 0:
                yield from _session(rng, account, user, at, happenings)


def rhythm(account: Account, noon: int) -> float:
    """How much of its ordinary day an account does on a day, given its noon; about 1 on average."""
    day = datetime.fromtimestamp(noon // 1_000, UTC)
    weekday = _WEEKDAYS[day.weekday()]
    if account.rhythm == "weekly":
        return 4.2 if day.weekday() == account.busy_weekday else 0.15 * weekday
    if account.rhythm == "monthly":
        return weekday * (3.0 if day.day >= 28 or day.day <= 4 else 0.35)
    return weekday


def _user(rng: Random, account: Account, at: int) -> User:
    joined = [user for user in account.users if user.joined_at <= at] or list(account.users[:1])
    return rng.choices(joined, [user.weight for user in joined])[0]


def _session(rng: Random, account: Account, user: User, at: int, happenings: Happenings) -> Iterator[Call]:
    yield call.windback(at, account, "login", {"user_id": user.id, "device": "ios" if account.old_client else "web"})
    if rng.random() < 0.3:
        yield call.customerscore(at + rng.randrange(5_000), account, "Dashboard Opened", user)
    who = {"external_user_id": account.uid}
    for page in rng.sample(_PAGES, rng.choice((0, 0, 0, 0, 1, 2))):
        at += rng.randint(2_000, 60_000)
        yield call.whisperr_page(rng, at, who, page)
    features, weights = _choices(account, at >= happenings.release)
    for feature in rng.choices(features, weights, k=1 + _poisson(rng, 1.1)):
        at += rng.randint(10_000, 400_000)
        seconds = rng.randint(5, 900)
        yield call.churnkey(at, account, feature.event, user, {"feature": feature.id, "seconds": seconds})
        if rng.random() < 0.45:
            yield from _feature_used(account, feature, at + 50, seconds, happenings)


def _choices(account: Account, released: bool) -> tuple[list[Feature], list[float]]:
    """The features that there are, and how likely this account is to use each."""
    adopted = released and account.adopts
    features = [*FEATURES, RELEASED] if adopted else list(FEATURES)
    weights = [
        feature.weight * taste * (0.35 if adopted and feature.id == REPLACED else 1)
        for feature, taste in zip(features, account.tastes, strict=False)  # there are tastes to spare
    ]
    return features, weights


def _feature_used(account: Account, feature: Feature, at: int, seconds: int, happenings: Happenings) -> Iterator[Call]:
    properties = {"feature": feature.id, "duration_seconds": seconds}
    if account.old_client and at < happenings.client_fixed:
        yield call.windback(at, account, "featureUsed", properties)
    elif not happenings.outage[0] <= at < happenings.outage[1]:
        yield call.windback(at, account, "feature_used", properties)


def _poisson(rng: Random, mean: float) -> int:
    """A count with this mean (Knuth's method, which suits small means)."""
    limit, product, count = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count
