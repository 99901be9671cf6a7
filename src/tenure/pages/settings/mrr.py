"""The rules by which an app counts MRR, the currency that it reports in, and the rates to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from fastapi import FastAPI, Request, Response

from tenure.control.billing import Billing
from tenure.errors import BadRequest
from tenure.pages.of_app import AppAdmin, AppPage
from tenure.pages.rendering import page
from tenure.pages.settings.form import Sent, said, saved, text
from tenure.pages.settings.switches import SWITCHES
from tenure.subscriptions import declared
from tenure.subscriptions.currency import Rates
from tenure.subscriptions.rules import Rules

MOST_SHOWN: Final = 2_000
"""Rates that are shown, to be edited; more are only counted, and replaced as a whole."""


def add_mrr(site: FastAPI) -> None:
    """Put the page into the site."""

    @site.get("/apps/{app}/settings/mrr")
    def show(request: Request, here: AppPage) -> Response:
        billing = here.store.billing.of(here.app.id)
        return _page(request, billing, _as_typed(billing), {})

    @site.post("/apps/{app}/settings/mrr")
    def change(request: Request, here: AppAdmin, sent: Sent) -> Response:
        before = here.store.billing.of(here.app.id)
        typed = {name: text(sent, name) for name in (*SWITCHES, "currency", "rates", "keep_rates")}
        problems: dict[str, str] = {}
        rules = _rules(typed, problems)
        rates = _rates(typed, before.rates, problems)
        if problems:
            return _page(request, before, typed, problems, 422)
        if (rules, rates) != (before.rules, before.rates):
            here.store.billing.set(here.app.id, rules, rates)
        return saved(f"{here.path}/settings/mrr")


def _rules(typed: Mapping[str, str], problems: dict[str, str]) -> Rules:
    """The rules as typed; what is wrong with a switch is put into `problems` under its name."""
    rules = Rules()
    for name in SWITCHES:
        try:
            rules = declared.rules({name: typed[name] or "null"}, rules, texts=True)
        except BadRequest as error:
            problems[name] = said(error)
    return rules


def _rates(typed: Mapping[str, str], before: Rates | None, problems: dict[str, str]) -> Rates | None:
    """The currency and the rates as typed; likewise."""
    if not typed["currency"]:
        if typed["rates"]:
            problems["currency"] = "Rates need the currency that they are to; or take them away."
        return None
    try:
        base = declared.currency(typed["currency"], "the currency")
    except BadRequest as error:
        problems["currency"] = said(error)
        return None
    same_base = before is not None and before.base == base
    if before is not None and same_base and typed["keep_rates"] and not typed["rates"]:
        return before
    if (
        before is not None
        and not same_base
        and typed["rates"]
        and typed["rates"].splitlines() == _csv(before).splitlines()
    ):
        problems["rates"] = f"These are rates to {before.base}. Write those to {base}, or none yet."
        return None
    try:
        return declared.rates_in_csv(base, typed["rates"].splitlines()) if typed["rates"] else Rates(base, {})
    except BadRequest as error:
        problems["rates"] = said(error)
        return None


def _as_typed(billing: Billing) -> dict[str, str]:
    """The form's fields as an app counts now."""
    values = msgspec.structs.asdict(billing.rules)
    fields = {name: "" if value is None else str(value) for name, value in values.items()}
    rates = billing.rates
    shown = _csv(rates) if rates is not None and _count(rates) <= MOST_SHOWN else ""
    return fields | {"currency": rates.base if rates else "", "rates": shown, "keep_rates": "yes"}


def _csv(rates: Rates) -> str:
    lines = [f"{code},{each.day},{each.rate}" for code, dated in rates.of.items() for each in dated]
    return "\n".join([",".join(declared.RATE_COLUMNS), *lines]) if lines else ""


def _count(rates: Rates | None) -> int:
    return sum(len(dated) for dated in rates.of.values()) if rates else 0


def _page(
    request: Request, billing: Billing, typed: Mapping[str, str], problems: Mapping[str, str], status: int = 200
) -> Response:
    defaults = {name: "" if value is None else str(value) for name, value in msgspec.structs.asdict(Rules()).items()}
    hidden_rates = _count(billing.rates) if _count(billing.rates) > MOST_SHOWN else 0
    return page(request, "settings/mrr.html", status=status, switches=SWITCHES, defaults=defaults, typed=typed,
                problems=problems, hidden_rates=hidden_rates, stamp=billing.stamp)  # fmt: skip
