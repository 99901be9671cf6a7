"""What the parts of a health score weigh, and what names of events say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec
from fastapi import FastAPI, Request, Response
from starlette.datastructures import FormData

from tenure.errors import BadRequest, Unavailable
from tenure.health.settings import MAX_DECLARED, HealthSettings, Weights, changed
from tenure.health.signals import ENOUGH_CUSTOMERS, NO_USE, RECOGNISED, SIGNS
from tenure.loader.senders import Senders, read_senders
from tenure.pages.of_app import AppAdmin, AppPage, OfApp
from tenure.pages.rendering import page
from tenure.pages.settings.form import Sent, said, saved, text, texts

PARTS: Final[Mapping[str, str]] = {
    "recency": "how long ago the product was last used",
    "frequency": "on how many of the last 30 days it was used",
    "trend": "whether it is used more or less than in the weeks before",
    "breadth": "how many different things are done in it",
    "signals": "good and bad news among the events, as named below",
    "billing": "whether bills are paid, and whether an end was asked for",
}
MEANINGS: Final[Mapping[str, str]] = {
    "positive": "good news", "negative": "bad news", "neutral": "neither", "nps": "by the answer to an NPS survey",
}  # fmt: skip
DECLARED: Final = "sign:"
NEW_ROWS: Final = 3
"""Empty rows for names to declare."""

SHOWN_NAMES: Final = 200

_Pairs = list[tuple[str, str]]


def add_health(site: FastAPI) -> None:
    """Put the page into the site."""

    @site.get("/apps/{app}/settings/health")
    def show(request: Request, here: AppPage) -> Response:
        settings = here.store.health.of(here.app.id)
        weights = {part: str(weight) for part, weight in msgspec.structs.asdict(settings.weights).items()}
        return _page(request, here, _Typed(weights, sorted(settings.signals.items()), "\n".join(settings.left_out)), {})

    @site.post("/apps/{app}/settings/health")
    def change(request: Request, here: AppAdmin, sent: Sent) -> Response:
        settings = here.store.health.of(here.app.id)
        left_out = text(sent, "no_use") if "no_use" in sent else "\n".join(settings.left_out)
        typed = _Typed({part: text(sent, part) for part in PARTS}, _signals(sent), left_out)
        problems = _problems(typed)
        if problems:
            return _page(request, here, typed, problems, 422)
        weights = {part: int(weight) for part, weight in typed.weights.items()}
        given = {"weights": weights, "signals": dict(typed.signals), "no_use": typed.left_out}
        if changed(HealthSettings(), given) != settings:
            here.store.health.change(here.app.id, lambda settings: changed(settings, given))
        return saved(f"{here.path}/settings/health")


class _Typed(NamedTuple):
    """What is in the form."""

    weights: Mapping[str, str]
    signals: _Pairs
    no_use: str
    """One name on each line."""

    @property
    def left_out(self) -> list[str] | None:
        """None: those of Tenure's own list."""
        names = [line.strip() for line in self.no_use.splitlines() if line.strip()]
        return None if names == list(NO_USE) else names


def _senders(here: OfApp) -> Senders:
    """Who sent what; nobody anything while the warehouse cannot be asked."""
    try:
        return read_senders(here.tenant)
    except Unavailable:
        return Senders(0, {})


def _signals(sent: FormData) -> _Pairs:
    """Names with their signs, without those that were taken away.

    Names that were there are in the names of their fields, as JSON: one field each, since a form has 1,000 at most, and
    since a browser would write line breaks in a value in its own way.
    """
    fields = [(field.removeprefix(DECLARED), sign) for field, sign in sent.multi_items() if field.startswith(DECLARED)]
    new = zip(texts(sent, "new_name"), texts(sent, "new_sign"), strict=False)
    found = [(_name(field), str(sign)) for field, sign in fields] + [(name, sign) for name, sign in new if name]
    return [(name, sign) for name, sign in found if sign != "remove"]


def _name(text: str) -> str:
    try:
        return str(json.loads(text))
    except ValueError:
        raise BadRequest("a field of this form has no name of an event; load the page again") from None


def _problems(typed: _Typed) -> dict[str, str]:
    """What is wrong, by field."""
    problems, weights, signals = {}, typed.weights, typed.signals
    for part, weight in weights.items():
        if not (weight.isascii() and weight.isdecimal() and len(weight) <= 3 and int(weight) <= 100):
            problems[part] = "Write a whole number from 0 to 100."
    names = [name for name, _ in signals]
    if twice := next((name for name in names if names.count(name) > 1), None):
        problems["signals"] = f"{twice} is there twice. Give it one meaning."
    numbers = {part: _number(weights[part]) for part in PARTS}
    for field, value in (("signals", dict(signals)), ("weights", numbers), ("no_use", typed.left_out)):
        if field in problems or (field == "weights" and problems.keys() & PARTS.keys()):
            continue
        try:
            changed(HealthSettings(), {field: value})
        except BadRequest as error:
            problems[field] = said(error)
    return problems


def _number(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdecimal() else text


def _page(request: Request, here: OfApp, typed: _Typed, problems: Mapping[str, str], status: int = 200) -> Response:
    weights = typed.weights
    senders = _senders(here)
    meanings = here.store.health.of(here.app.id).meanings(senders.frequent)
    total = sum(int(weight) for weight in weights.values() if weight.isascii() and weight.isdecimal())
    context: dict[str, Any] = {
        "weights": weights, "total": total, "defaults": msgspec.structs.asdict(Weights()), "parts": PARTS,
        "signals": typed.signals, "no_use": typed.no_use, "signs": SIGNS, "meanings": MEANINGS, "problems": problems,
        "most": MAX_DECLARED, "new_rows": NEW_ROWS, "recognised": sorted(RECOGNISED.items()),
        "own": senders.own(meanings)[:SHOWN_NAMES], "identified": senders.identified, "enough": ENOUGH_CUSTOMERS,
        "uses": sorted(name for name in RECOGNISED if meanings.of(name).is_use),
    }  # fmt: skip
    return page(request, "settings/health.html", status=status, **context)
