"""What customers say: support tickets, and answers to "how likely are you to recommend us?" (NPS)."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from tenure.demo import call
from tenure.demo.account import Account
from tenure.demo.call import Call
from tenure.demo.life import DAY, FADING, GROWING, HOUR, SAVED

_SUBJECTS = ("Cannot export data", "Invite did not arrive", "Question about our invoice", "Dashboard is slow",
             "How do we archive a project?", "Integration stopped syncing", "Permissions per project")  # fmt: skip
_COMMENTS = {
    "detractor": ("Too slow for our team.", "We pay for more than we use.", "Support did not answer for days."),
    "passive": ("Fine for what it does.", "Good, but exports need work."),
    "promoter": ("The whole team lives in it.", "Saved us hours every week.", ""),
}
_SCORES = {"detractor": (2, 3, 4, 5, 6), "passive": (7, 8), "promoter": (9, 10)}
_UNHAPPY_DAYS = 30
"""A customer begins to complain so long before its use falls."""


def support(rng: Random, account: Account, end: int) -> Iterator[Call]:
    """Tickets opened and resolved, and a survey every quarter, while the account is in use."""
    days = range((end - account.life.signed_up) // DAY)
    for day in days:
        at = account.life.signed_up + day * DAY + rng.randint(8 * HOUR, 18 * HOUR)
        if at + 5 * DAY >= end or account.life.level(at) < 0.05:
            continue
        unhappy = is_unhappy(account, at)
        if rng.random() < (0.03 if unhappy else 0.006) * (1 + len(account.users) / 10):
            yield from _ticket(rng, account, at, slow=unhappy)
        if day % 90 == 45 and rng.random() < 0.6:
            yield _answer(rng, account, at, unhappy=unhappy)


def is_unhappy(account: Account, at: int) -> bool:
    """Whether the customer is about to use the product less, or does so already."""
    if account.life.kind == SAVED:
        return account.life.level(at) < 0.6
    return account.life.kind == FADING and at > account.life.fades_at - _UNHAPPY_DAYS * DAY


def _ticket(rng: Random, account: Account, at: int, *, slow: bool) -> Iterator[Call]:
    ticket: dict[str, Any] = {"ticket_id": f"T-{rng.randrange(10_000, 99_999)}", "subject": rng.choice(_SUBJECTS)}
    priority = rng.choices(("low", "normal", "high"), (1, 4, 4 if slow else 1))[0]
    yield call.windback(at, account, "support_ticket_opened", ticket | {"priority": priority})
    if slow and rng.random() < 0.3:
        return  # nobody ever answered
    hours = rng.randint(20, 100) if slow else rng.randint(1, 30)
    yield call.windback(at + hours * HOUR, account, "support_ticket_resolved", ticket | {"hours": hours})


def _answer(rng: Random, account: Account, at: int, *, unhappy: bool) -> Call:
    if unhappy:
        weights = (7, 3, 0)
    elif account.life.kind == GROWING:
        weights = (1, 3, 9)
    else:
        weights = (2, 5, 5)
    mood = rng.choices(list(_SCORES), weights)[0]
    properties: dict[str, Any] = {"score": rng.choice(_SCORES[mood])}
    if comment := rng.choice(_COMMENTS[mood]):
        properties["comment"] = comment
    return call.windback(at, account, "nps_response", properties)
