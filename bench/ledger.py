"""The table `ledger` and its rows, made by the pure core."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Any, get_args

from tenure.subscriptions.movements import Kind, Movement
from tenure.subscriptions.spells import Spell

KINDS = ", ".join(f"'{kind}' = {number}" for number, kind in enumerate(get_args(Kind), 1))
COLUMNS = {
    "app": "LowCardinality(String)",
    "customer": "FixedString(16)",
    "version": "UInt64",
    "deleted": "UInt8",
    "keys": "Array(FixedString(16))",
    "rules": "String",
    "change.book": "Array(LowCardinality(String))",
    "change.currency": "Array(LowCardinality(String))",
    "change.day": "Array(Date32)",
    "change.kind": f"Array(Enum8({KINDS}))",
    "change.plan": "Array(LowCardinality(String))",
    "change.source": "Array(LowCardinality(String))",
    "change.subscription": "Array(String)",
    "change.before": "Array(Decimal(38, 10))",
    "change.after": "Array(Decimal(38, 10))",
    "spell.start": "Array(Date32)",
    "spell.end": "Array(Nullable(Date32))",
    "spell.cause": "Array(LowCardinality(String))",
    "spell.reason": "Array(String)",
    "spell.returned": "Array(Bool)",
    "next_at": "Nullable(DateTime64(3, 'UTC'))",
}
TABLE = f"""
CREATE TABLE IF NOT EXISTS ledger ({", ".join(f"`{name}` {kind}" for name, kind in COLUMNS.items())})
ENGINE = ReplacingMergeTree(version, deleted) ORDER BY (app, customer)
"""
PLACES = Decimal("1E-10")
_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)


def rounded(level: Fraction) -> Decimal:
    """A level as it is stored: to 10 places."""
    return _EXACT.divide(Decimal(level.numerator), Decimal(level.denominator)).quantize(PLACES, context=_EXACT)


def row(
    app: str,
    customer: bytes,
    rules: str,
    books: Iterable[tuple[str, Sequence[Movement]]],
    spells: Sequence[Spell],
    *,
    version: int = 1,
) -> tuple[Any, ...]:
    """A customer's row: by book ("" or the currency to report in) the movements, and the spells."""
    changes = [
        (
            book, movement.currency, movement.day, movement.kind, change.plan, change.subscription.source,
            change.subscription.id, rounded(change.before), rounded(change.after),
        )
        for book, movements in books for movement in movements for change in movement.changes
    ]  # fmt: skip
    ended = [(each.start, each.end, each.cause or "", each.reason or "", each.reactivated) for each in spells]
    return (
        app, customer, version, 0, [customer], rules,
        *[[change[part] for change in changes] for part in range(9)],
        *[[spell[part] for spell in ended] for part in range(5)],
        None,
    )  # fmt: skip
