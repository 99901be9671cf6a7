"""How long being a paying customer lasts, as it is answered: survival curves read off at regular intervals."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final

import msgspec

from tenure.control.billing import Billing
from tenure.errors import BadRequest
from tenure.metrics import answers
from tenure.metrics.asked import MAX_ROWS
from tenure.metrics.curves import Curve, LogRank, Step
from tenure.metrics.estimator import Estimator
from tenure.metrics.survival import MAX_GROUPS, Group, Spells, SpellsExplained, lifetimes
from tenure.warehouse.client import Tenant

INTERVAL_DAYS: Final = 30


class CurveRow(msgspec.Struct):
    """Spells that lasted `start` days or more (`at_risk`), and what became of them before day `end`."""

    start: int
    end: int
    at_risk: int
    ended: int
    censored: int
    """Those that had only come so far by the last day that counts."""
    survival: float
    """The share of all spells that last `end` days or more, by Kaplan and Meier."""
    lower: float | None
    upper: float | None


class GroupCurve(msgspec.Struct):
    """The curve of a group."""

    group: str
    """Its name; empty for what has no such plan or value."""
    spells: int
    ended: int
    median: int | None
    """The first day at which half of them or fewer go on; null: it does not come to that."""
    rows: list[CurveRow]


class Lasting(msgspec.Struct):
    """Survival by group, the largest group first; with `explain` nothing but what is behind one number."""

    basis: answers.Basis
    first: date | None = msgspec.field(name="from")
    """The first day that a spell may have begun on."""
    last: date = msgspec.field(name="to")
    curves: list[GroupCurve]
    left_out: int
    """Smaller groups that have no curve here."""
    test: LogRank | None
    """Whether the groups differ by more than chance; null where there is nothing to compare."""
    explained: SpellsExplained | None = None


def survival(tenant: Tenant, billing: Billing, estimator: Estimator, spells: Spells, interval: int) -> Lasting:
    """A curve for each group, read off every so many days. Raises BadRequest and Unavailable."""
    groups = lifetimes(tenant, spells)
    told = groups[:MAX_GROUPS]
    if sum(max(group.lifetimes.days) // interval + 1 for group in told) > MAX_ROWS:
        message = f"this would be more than {MAX_ROWS:,} rows; ask for longer intervals"
        raise BadRequest(message, field="interval", code="too_many_rows")
    found = estimator.curves([group.lifetimes for group in told])
    curves = [_group_curve(group, curve, interval) for group, curve in zip(told, found.curves, strict=True)]
    basis = answers.basis(tenant, billing, "")
    return Lasting(basis, spells.first, spells.last, curves, len(groups) - len(told), found.test)


def _group_curve(group: Group, curve: Curve, interval: int) -> GroupCurve:
    rows = list(_rows(group.size, curve.steps, interval))
    return GroupCurve(group.name, group.size, sum(row.ended for row in rows), curve.median, rows)


def _rows(at_risk: int, steps: list[Step], interval: int) -> Iterator[CurveRow]:
    survival = 1.0
    band: tuple[float | None, float | None] = None, None
    by_interval: dict[int, list[Step]] = {}
    for step in steps:
        by_interval.setdefault(step.day // interval, []).append(step)
    for number in range(max(by_interval, default=-1) + 1):
        here = by_interval.get(number, [])
        ended, censored = sum(step.ended for step in here), sum(step.censored for step in here)
        if here:
            survival, band = here[-1].survival, (here[-1].lower, here[-1].upper)
        yield CurveRow(number * interval, (number + 1) * interval, at_risk, ended, censored, survival, *band)
        at_risk -= ended + censored
