"""What the parts of a health score weigh, and what names of events say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from fastapi import FastAPI, Request, Response
from starlette.datastructures import FormData

from tenure.errors import BadRequest
from tenure.health.settings import MAX_DECLARED, HealthSettings, Weights, changed
from tenure.health.signals import RECOGNISED, SIGNS
from tenure.pages.of_app import AppAdmin, AppPage
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

_Pairs = list[tuple[str, str]]


def add_health(site: FastAPI) -> None:
    """Put the page into the site."""

    @site.get("/apps/{app}/settings/health")
    def show(request: Request, here: AppPage) -> Response:
        settings = here.store.health.of(here.app.id)
        weights = {part: str(weight) for part, weight in msgspec.structs.asdict(settings.weights).items()}
        return _page(request, weights, sorted(settings.signals.items()), {})

    @site.post("/apps/{app}/settings/health")
    def change(request: Request, here: AppAdmin, sent: Sent) -> Response:
        weights, signals = {part: text(sent, part) for part in PARTS}, _signals(sent)
        problems = _problems(weights, signals)
        if problems:
            return _page(request, weights, signals, problems, 422)
        given = {"weights": {part: int(weight) for part, weight in weights.items()}, "signals": dict(signals)}
        if changed(HealthSettings(), given) != here.store.health.of(here.app.id):
            here.store.health.change(here.app.id, lambda settings: changed(settings, given))
        return saved(f"{here.path}/settings/health")


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


def _problems(weights: Mapping[str, str], signals: _Pairs) -> dict[str, str]:
    """What is wrong, by field."""
    problems = {}
    for part, weight in weights.items():
        if not (weight.isascii() and weight.isdecimal() and len(weight) <= 3 and int(weight) <= 100):
            problems[part] = "Write a whole number from 0 to 100."
    names = [name for name, _ in signals]
    if twice := next((name for name in names if names.count(name) > 1), None):
        problems["signals"] = f"{twice} is there twice. Give it one meaning."
    for field, value in (("signals", dict(signals)), ("weights", {part: _number(weights[part]) for part in PARTS})):
        if field in problems or (field == "weights" and problems.keys() & PARTS.keys()):
            continue
        try:
            changed(HealthSettings(), {field: value})
        except BadRequest as error:
            problems[field] = said(error)
    return problems


def _number(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdecimal() else text


def _page(
    request: Request, weights: Mapping[str, str], signals: _Pairs, problems: Mapping[str, str], status: int = 200
) -> Response:
    total = sum(int(weight) for weight in weights.values() if weight.isascii() and weight.isdecimal())
    context: dict[str, Any] = {
        "weights": weights, "total": total, "defaults": msgspec.structs.asdict(Weights()), "parts": PARTS,
        "signals": signals, "signs": SIGNS, "meanings": MEANINGS, "problems": problems, "most": MAX_DECLARED,
        "new_rows": NEW_ROWS, "recognised": sorted(RECOGNISED.items()),
    }  # fmt: skip
    return page(request, "settings/health.html", status=status, **context)
