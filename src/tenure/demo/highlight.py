"""Which customers of the demo are worth a look, and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tenure.demo.account import STRIPE, WHISPERR, Account
from tenure.demo.history import History
from tenure.demo.life import DAY, FADING, LEAVING, SAVED, STEADY, TRYING


class Highlight(msgspec.Struct, frozen=True):
    """One customer, by the ids that the read API takes, and what it shows."""

    customer_id: str
    uid: str
    email: str
    company: str
    why: str


def highlights(history: History) -> list[Highlight]:
    """One customer for each thing to see, as far as this history has them; never empty.

    Where several would do, the one with the most sessions, whose timeline is the fullest.
    """
    chosen: dict[str, Highlight] = {}
    accounts = sorted(history.accounts, key=lambda account: -account.sessions)
    for shows, why in _WORTH_A_LOOK:
        for account in accounts:
            if account.customer_id not in chosen and shows(account, history):
                chosen[account.customer_id] = _highlight(account, why(account))
                break
    return list(chosen.values()) or [_highlight(accounts[0], "signed up")]


def _highlight(account: Account, why: str) -> Highlight:
    return Highlight(account.customer_id, account.uid, account.email, account.company, why)


def _details(account: Account, kind: str) -> Any:
    milestone = account.life.find(kind)
    return milestone.details if milestone else {}


def _grew(account: Account, _: History) -> bool:
    upgrade = account.life.find("upgraded")
    return upgrade is not None and account.life.find("ended") is None


def _left(account: Account, _: History) -> bool:
    life = account.life
    return life.kind == FADING and life.find("ended") is not None and life.find("reactivated") is None


def _leaving(account: Account, history: History) -> bool:
    life = account.life
    return life.kind == FADING and life.fades_at < history.end - 20 * DAY and life.find("cancelled") is None


_WORTH_A_LOOK: tuple[tuple[Callable[[Account, History], bool], Callable[[Account], str]], ...] = (
    (_grew, lambda account: f"upgraded; {len(account.users)} users"),
    (_left, lambda account: f"used it less and less, then cancelled: {_details(account, 'cancelled')['reason']}"),
    (_leaving, lambda _: "uses it less and less now: about to leave"),
    (lambda account, _: account.life.find("reactivated") is not None, lambda _: "cancelled and came back"),
    (
        lambda account, _: _details(account, "ended").get("voluntary") is False,
        lambda _: "used it to the last day; the card was declined three times",
    ),
    (
        lambda account, _: account.life.kind == LEAVING and account.life.find("cancelled") is not None,
        lambda _: "cancelled out of the blue: the company closed",
    ),
    (
        lambda account, history: account.life.kind == SAVED and account.life.levels[-1][0] < history.end,
        lambda _: "nearly left, paid for less, and recovered",
    ),
    (
        lambda account, _: account.life.kind == STEADY and account.billing == WHISPERR,
        lambda _: "subscription known from Whisperr's billing events",
    ),
    (
        lambda account, _: account.life.kind == STEADY and account.billing == STRIPE,
        lambda _: "subscription known from Stripe's webhooks",
    ),
    (lambda account, _: account.life.kind == STEADY, lambda _: "a steady customer"),
    (
        lambda account, _: account.life.kind == TRYING and account.life.find("trial_ended") is not None,
        lambda _: "tried it and did not buy",
    ),
)
