"""What is behind a number: the subscriptions that one of revenue is made of, the spells behind one of survival."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import StreamingResponse

from tenure.csv_text import Ours, lines
from tenure.metrics import questions
from tenure.metrics.explain import Explained
from tenure.metrics.questions import Page, invalid
from tenure.metrics.survival import Interval, OfSpells, SpellsExplained, behind
from tenure.pages.money_view import TheView, View
from tenure.pages.of_app import AppPage, OfApp
from tenure.pages.rendering import fragment, page
from tenure.pages.survival_view import TheSpells

AT_ONCE = 100
IN_A_FILE = 1_000

TITLES = {
    ("mrr", "opening"): ("Opening MRR", "Subscriptions with MRR when the period began."),
    ("mrr", "closing"): ("Closing MRR", "Subscriptions with MRR when the period ended."),
    ("mrr", "new"): ("New MRR", "Subscriptions of customers who had no MRR before."),
    ("mrr", "expansion"): ("Expansion", "Changes of subscriptions of customers whose MRR rose that day."),
    ("mrr", "contraction"): ("Contraction", "Changes of customers whose MRR fell that day and who stayed."),
    ("mrr", "churned"): ("Churned MRR", "Subscriptions of customers whose MRR fell to nothing."),
    ("mrr", "reactivated"): ("Reactivated MRR", "Subscriptions of customers whose MRR came back."),
    ("mrr", "transfer"): ("Transfers", "Moves between plans or subscriptions that left a customer's MRR as it was."),
    ("mrr", "paused"): ("Paused", "Changes of customers whose MRR fell that day because of a pause."),
    ("mrr", "resumed"): ("Resumed", "Changes of customers whose MRR rose that day because a pause ended."),
    ("churn", "opening"): ("Opening MRR", "What each customer had when the period began."),
    ("churn", "lost"): ("Lost MRR", "What those who had no MRR any more when the period ended had when it began."),
    ("churn", "contracted"): ("Contraction", "What the MRR of customers who stayed fell by over the period."),
    ("churn", "expanded"): ("Expansion", "What the MRR of customers who stayed rose by over the period."),
}  # fmt: skip
SPELLS = {
    "at_risk": ("Paying customers that came so far", "Spells of paying that lasted at least {start} days."),
    "ended": ("Paying customers that left", "Spells of paying that ended after {start} to {last} days."),
    "censored": ("Paying customers seen so far only", "Spells that go on, {start} to {last} days old."),
}  # fmt: skip
_COLUMNS = ("customer", "source", "subscription", "plan", "day", "kind", "before", "after", "amount")
_AMOUNTS = frozenset({"before", "after", "amount"})
_SPELL_COLUMNS = ("customer", "start", "days", "ended", "cause", "reason", "returned")

_Question = Annotated[Literal["mrr", "churn"], Query()]
_Explain = Annotated[str, Query()]
_Cursor = Annotated[str | None, Query()]


def add_behind(site: FastAPI) -> None:
    """Put the pages into the site."""

    @site.get("/apps/{app}/revenue/behind")
    def of_revenue(  # noqa: PLR0917 - query parameters, which are sent by name
        request: Request, of: AppPage, view: TheView, question: _Question, explain: _Explain, cursor: _Cursor = None
    ) -> Response:
        found = _explained(of, view, question, explain, Page(AT_ONCE, cursor))
        title, what = TITLES[question, explain]
        said = view.query(question=question, explain=explain)
        context = {"title": title, "what": what, "view": view, "found": found, "said": said}
        return _shown(request, "behind/revenue", cursor, context)

    @site.get("/apps/{app}/revenue/behind.csv")
    def revenue_file(of: AppPage, view: TheView, question: _Question, explain: _Explain) -> Response:
        return _file(_COLUMNS, lambda cursor: _explained(of, view, question, explain, Page(IN_A_FILE, cursor)))

    @site.get("/apps/{app}/retention/behind")
    def of_survival(  # noqa: PLR0917 - as above
        request: Request,
        of: AppPage,
        spells: TheSpells,
        explain: OfSpells,
        group: str = "",
        start: int = 0,
        cursor: _Cursor = None,
    ) -> Response:
        one = Interval(group, start, start + spells.interval)
        found = behind(of.tenant, spells.asked, explain, one, limit=AT_ONCE, cursor=cursor)
        title, what = SPELLS[explain]
        said = spells.query(explain=explain, group=group, start=start)
        context = {"title": title, "what": what.format(start=start, last=one.end - 1), "spells": spells, "found": found,
                   "group": group, "said": said}  # fmt: skip
        return _shown(request, "behind/survival", cursor, context)

    @site.get("/apps/{app}/retention/behind.csv")
    def survival_file(of: AppPage, spells: TheSpells, explain: OfSpells, group: str = "", start: int = 0) -> Response:
        one = Interval(group, start, start + spells.interval)
        return _file(
            _SPELL_COLUMNS,
            lambda cursor: behind(of.tenant, spells.asked, explain, one, limit=IN_A_FILE, cursor=cursor),
        )


def _explained(of: OfApp, view: View, question: str, explain: str, at: Page) -> Explained:
    billing, asked = of.store.billing.of(of.app.id), view.asked(of)
    if (question, explain) not in TITLES:
        raise invalid("explain", "there is no such number")
    said: Any = explain
    answer: Any = {"mrr": questions.mrr, "churn": questions.churn_rates}[question](
        of.tenant, billing, asked, of=said, page=at
    )
    found: Explained = answer.explained
    return found


def _shown(request: Request, name: str, cursor: str | None, context: dict[str, Any]) -> Response:
    """The page, or the rows that come after those of the page before."""
    if cursor is not None and request.headers.get("HX-Request"):
        return fragment(request, f"{name}_rows.html", **context)
    return page(request, f"{name}.html", cursor=cursor, **context)


def _file(columns: tuple[str, ...], ask: Callable[[str | None], Explained | SpellsExplained]) -> Response:
    """All of it as CSV."""
    first = ask(None)  # a refusal comes before the file begins

    def rows() -> Iterator[Sequence[object]]:
        yield columns
        found = first
        while True:
            for item in found.items:
                yield [_cell(item, column) for column in columns]
            if found.next is None:
                return
            found = ask(found.next)

    return csv_file("behind.csv", rows())


def csv_file(name: str, rows: Iterable[Sequence[object]]) -> Response:
    """Rows as a file, read as it is taken."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingResponse(lines(rows), media_type="text/csv; charset=utf-8", headers=headers)


def _cell(item: object, column: str) -> object:
    value = getattr(item, column)
    return Ours(value) if column in _AMOUNTS and isinstance(value, str) else value
