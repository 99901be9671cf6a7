"""What the address of a page about revenue says, and the addresses that it leads to."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlencode

from fastapi import Depends, Query

from tenure.metrics.asked import DAY, Asked
from tenure.metrics.questions import book_of
from tenure.pages.of_app import OfApp
from tenure.subscriptions.metrics import Period
from tenure.web.customers import MAX_TEXT
from tenure.web.metrics import TheSpan
from tenure.web.parameters import CurrencyCode, day


class View(NamedTuple):
    """The same as the API is asked with, and nothing left to defaults."""

    period: Period
    first: date
    last: date
    currency: str | None
    converted: bool | None
    plan: str | None
    cohort: date | None

    def asked(self, of: OfApp) -> Asked:
        """As the question that the API is asked. Raises BadRequest."""
        book = book_of(of.store.billing.of(of.app.id), self.converted)
        asked = Asked(
            period=self.period, first=self.first, last=self.last, book=book,
            currency=self.currency, plan=self.plan, cohort=self.cohort,
        )  # fmt: skip
        asked.check()
        return asked

    def query(self, **changes: object) -> str:
        """The query of an address that shows the same, but for some changes; None takes a parameter out."""
        said: dict[str, Any] = {
            "period": self.period, "from": self.first, "to": self.last, "currency": self.currency,
            "converted": None if self.converted is None else str(self.converted).lower(), "plan": self.plan,
            "cohort": self.cohort, **{name.rstrip("_"): value for name, value in changes.items()},
        }  # fmt: skip
        return urlencode({name: value for name, value in said.items() if value is not None})

    def behind(self, question: str, explain: str, start: date, end: date, **changes: object) -> str:
        """The query of the page that lists what is behind a number of a period, which ends before a day."""
        return self.query(question=question, explain=explain, from_=start, to=end - DAY, **changes)


def view(
    span: TheSpan,
    currency: CurrencyCode | None = None,
    converted: bool | None = None,
    plan: Annotated[str | None, Query(max_length=MAX_TEXT)] = None,
    cohort: str | None = None,
) -> View:
    """What was asked for. Raises BadRequest."""
    return View(span.period, span.first, span.last, currency, converted, plan, day("cohort", cohort))


TheView = Annotated[View, Depends(view)]
