"""What a chart shows. Its table is its data: `charts.js` draws from the table, which is there for everybody."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Literal, NamedTuple

from tenure.pages.rendering import NOTHING, count, day, money, percent

Value = float | Decimal | None
Draw = Literal["line", "steps", "bars", "stack", "low", "high", "none"]
"""`low` and `high` are the edges of a band about the series that `of` names; `stack` bars stand on one another;
`none` is in the table alone. A bar of a waterfall begins at the `low` of its series."""


class Series(NamedTuple):
    """One column. `unit`: `count`, `percent` (of values from 0 to 1), or a currency's code."""

    name: str
    values: Sequence[Value]
    draw: Draw = "line"
    unit: str = "count"
    colour: int = 1
    """1 to 8, see `--series-n` in app.css."""
    of: str = ""
    links: Sequence[str | None] = ()
    """Where each value leads: to what is behind it."""

    def text(self, value: Value) -> str:
        """A value for people."""
        if value is None:
            return NOTHING
        if self.unit in {"count", "percent"}:
            return percent(value) if self.unit == "percent" else count(value)  # type: ignore[arg-type]
        return money(Decimal(value), self.unit)

    def link(self, row: int) -> str | None:
        """Where a row's value leads."""
        return self.links[row] if self.links else None


class Chart(NamedTuple):
    """Rows by `x`: days (ISO dates), numbers, or labels."""

    title: str
    x: Sequence[str]
    series: Sequence[Series]
    x_name: str = "Day"
    x_kind: Literal["day", "number", "label"] = "day"
    group: str = ""
    """Charts of one group share the cursor and the range of x."""
    height: Literal["small", "medium", "large"] = "medium"
    note: str = ""

    def label(self, x: str) -> str:
        """An x for people."""
        return day(date.fromisoformat(x)) if self.x_kind == "day" else x
