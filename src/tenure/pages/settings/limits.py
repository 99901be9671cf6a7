"""How many requests a minute each key of an app may send to a dialect."""

from __future__ import annotations

from typing import Final, NamedTuple

from fastapi import FastAPI, Request, Response
from starlette.datastructures import FormData

from tenure.control.policy import DEFAULT_LIMITS, DIALECTS, MAX_PER_MINUTE, Policy
from tenure.control.store import Store
from tenure.pages.of_app import AppAdmin, AppPage
from tenure.pages.rendering import page
from tenure.pages.settings.form import Sent, saved, text
from tenure.snippets import CLIENTS

DEFAULT, OFF, OWN = "default", "off", "own"
NAMES: Final = {dialect: CLIENTS.get(dialect, dialect.capitalize()) for dialect in DIALECTS}


class Row(NamedTuple):
    """What the form has of a dialect."""

    dialect: str
    choice: str
    per_minute: str
    problem: str | None = None

    @property
    def limit(self) -> int | None:
        """Requests a minute; None: no limit. Of a row without a problem that is not the default."""
        return int(self.per_minute) if self.choice == OWN else None


def add_limits(site: FastAPI) -> None:
    """Put the page into the site."""
    store: Store = site.state.store

    @site.get("/apps/{app}/settings/limits")
    def show(request: Request, here: AppPage) -> Response:
        return _page(request, _rows(here.store.policies()[here.app.id]))

    @site.post("/apps/{app}/settings/limits")
    def change(request: Request, here: AppAdmin, sent: Sent) -> Response:
        rows = [_typed(dialect, sent) for dialect in DIALECTS]
        if any(row.problem for row in rows):
            return _page(request, rows, 422)
        before = {row.dialect: row for row in _rows(store.policies()[here.app.id])}
        for row in rows:
            if (row.choice, row.limit) == (before[row.dialect].choice, before[row.dialect].limit):
                continue
            if row.choice == DEFAULT:
                store.reset_limit(here.app.id, row.dialect)
            else:
                store.set_limit(here.app.id, row.dialect, row.limit)
        return saved(f"{here.path}/settings/limits")


def _rows(policy: Policy) -> list[Row]:
    rows = []
    for dialect in DIALECTS:
        limit = policy.limit(dialect)
        choice = DEFAULT if dialect not in policy.limits else OFF if limit is None else OWN
        rows.append(Row(dialect, choice, str(limit) if choice == OWN else ""))
    return rows


def _typed(dialect: str, sent: FormData) -> Row:
    row = Row(dialect, text(sent, dialect), text(sent, f"{dialect}_per_minute"))
    if row.choice not in (DEFAULT, OFF, OWN):
        return row._replace(problem="Choose one of the three.")
    wrong = not (row.per_minute.isascii() and row.per_minute.isdecimal() and len(row.per_minute) <= 7)
    if row.choice == OWN and (wrong or not 1 <= int(row.per_minute) <= MAX_PER_MINUTE):
        return row._replace(problem=f"Write a whole number from 1 to {MAX_PER_MINUTE:,}.")
    return row


def _page(request: Request, rows: list[Row], status: int = 200) -> Response:
    return page(request, "settings/limits.html", status=status, rows=rows, names=NAMES, defaults=DEFAULT_LIMITS,
                most=MAX_PER_MINUTE)  # fmt: skip
