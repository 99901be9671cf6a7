"""How an app counts MRR: the rules, the currency to report in, and the rates to it."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Engine

from tenure.subscriptions.currency import Rates
from tenure.subscriptions.rules import Rules


class Billing(NamedTuple):
    """How an app counts MRR."""

    rules: Rules
    rates: Rates | None
    """The currency to report in (`base`) with the rates to it; None: each currency by itself."""
    stamp: str
    """Tells rules, currency and rates from all others: what was computed by others has another."""


DEFAULT = Billing(Rules(), None, "")


class Billings:
    """Of every app. Safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def of(self, app_id: str) -> Billing:
        """How an app counts now: the defaults, unless it said otherwise. Cheap as long as that stays the same."""
        return DEFAULT
