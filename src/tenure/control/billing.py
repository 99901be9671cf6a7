"""How an app counts MRR: the rules, the currency to report in, and the rates to it."""

from __future__ import annotations

from decimal import Decimal
from hashlib import blake2b
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, Engine, select

from tenure.control.audit import record
from tenure.control.database import writing
from tenure.control.tables import billing, rate, settings_of
from tenure.subscriptions import FOLDING, declared
from tenure.subscriptions.currency import Rate, Rates
from tenure.subscriptions.rules import Rules


class Billing(NamedTuple):
    """How an app counts MRR."""

    rules: Rules
    rates: Rates | None
    """The currency to report in (`base`) with the rates to it; None: each currency by itself."""
    stamp: str
    """Tells rules, currency, rates and the way of computing by them from all others: what was computed by others has
    another."""


class Billings:
    """Of every app. Safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = writing(engine)
        self._last: dict[str, Billing] = {}

    def of(self, app_id: str) -> Billing:
        """How an app counts now, in each of its modes: the defaults, unless it said otherwise. Cheap as long as that
        stays the same."""
        with self._engine.begin() as db:
            stamp = db.execute(
                select(billing.c.stamp).where(billing.c.app_id == settings_of(app_id))
            ).scalar_one_or_none()
            if stamp is None:
                return DEFAULT
            found = self._last.get(app_id)
            if found is None or found.stamp != _versioned(stamp):
                found = self._last[app_id] = _read(db, app_id)
            return found

    def set(self, app_id: str, rules: Rules, rates: Rates | None) -> Billing:
        """Count so from now on, and for all days before."""
        stamp = _stamp(rules, rates)
        currency = None if rates is None else rates.base
        with self._writer.begin() as db:
            app_id = db.execute(select(settings_of(app_id))).scalar_one() or app_id
            db.execute(billing.delete().where(billing.c.app_id == app_id))
            db.execute(rate.delete().where(rate.c.app_id == app_id))
            db.execute(billing.insert().values(app_id=app_id, rules=_switched(rules), currency=currency, stamp=stamp))
            rows = [
                {"app_id": app_id, "currency": of, "day": each.day, "rate": str(each.rate)} for of, each in _flat(rates)
            ]
            if rows:
                db.execute(rate.insert(), rows)
            switches = msgspec.json.decode(_switched(rules))
            record(db, "mrr.rules", app_id, None, rules=switches, currency=currency, rates=len(rows))
        return Billing(rules, rates, _versioned(stamp))


def _read(db: Connection, app_id: str) -> Billing:
    row = db.execute(select(billing).where(billing.c.app_id == settings_of(app_id))).one()
    rules = msgspec.json.decode(row.rules, type=Rules)
    if row.currency is None:
        return Billing(rules, None, _versioned(row.stamp))
    rows = db.execute(select(rate.c.currency, rate.c.day, rate.c.rate).where(rate.c.app_id == settings_of(app_id)))
    rates = declared.rates(row.currency, ((of, Rate(day, Decimal(worth))) for of, day, worth in rows))
    return Billing(rules, rates, _versioned(row.stamp))


def _stamp(rules: Rules, rates: Rates | None) -> str:
    base = None if rates is None else rates.base
    said = _switched(rules), base, [(of, each.day, each.rate) for of, each in _flat(rates)]
    return blake2b(msgspec.json.encode(said), digest_size=8, person=b"billing").hexdigest()


def _versioned(stamp: str) -> str:
    """The stamp of rules and rates as this release computes by them: what an older one made is made again."""
    return f"{stamp}-{FOLDING}"


def _switched(rules: Rules) -> str:
    """JSON of the switches that are not as from the start."""
    values, defaults = msgspec.structs.asdict(rules), msgspec.structs.asdict(Rules())
    return msgspec.json.encode({name: value for name, value in values.items() if value != defaults[name]}).decode()


def _flat(rates: Rates | None) -> list[tuple[str, Rate]]:
    return [] if rates is None else [(of, each) for of in sorted(rates.of) for each in rates.of[of]]


DEFAULT = Billing(Rules(), None, _versioned(_stamp(Rules(), None)))
