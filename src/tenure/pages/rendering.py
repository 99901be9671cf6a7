"""How pages are made: Jinja's environment, its filters, and a page or a part of one as a response."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import msgspec
from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from tenure import __version__
from tenure.errors import TenureError, Unavailable
from tenure.mode import LABELS
from tenure.pages.session import THEME_COOKIE, remember_app, zone_of
from tenure.subscriptions import currency

STATIC = resources.files("tenure.pages").joinpath("static")
PREFIX = "/assets"
THEMES = frozenset({"light", "dark"})
RETRY_SECONDS = 5
"""When a page that answers 503 is to be tried again."""
NOTHING = "–"  # noqa: RUF001 - a dash is what is meant
"""Shown where there is no value."""


def page(request: Request, template: str, /, *, status: int = 200, **context: Any) -> HTMLResponse:
    """A whole page. `visitor` and `of_app` are there for every template, None where there is none."""
    response = _response(request, template, status, context)
    if here := getattr(request.state, "of_app", None):
        remember_app(request, response, here.app.id)
    return response


def fragment(request: Request, template: str, /, *, status: int = 200, **context: Any) -> HTMLResponse:
    """A part of a page, for htmx to put into it."""
    return _response(request, template, status, context)


def _response(request: Request, template: str, status: int, context: Mapping[str, Any]) -> HTMLResponse:
    theme = request.cookies.get(THEME_COOKIE, "")
    whole = {
        "request": request,
        "visitor": getattr(request.state, "visitor", None),
        "of_app": getattr(request.state, "of_app", None),
        "zone": zone_of(request),
        "theme": theme if theme in THEMES else "",
        "incidents": request.app.state.store.incidents.current,
        **context,
    }
    headers = {"Cache-Control": "no-store"} | ({"Retry-After": str(RETRY_SECONDS)} if status == 503 else {})
    return HTMLResponse(environment().get_template(template).render(whole), status, headers)


def form_status(error: TenureError) -> int:
    """With which status a form is shown again because of an error."""
    return error.status if isinstance(error, Unavailable) else 422


@cache
def environment() -> Environment:
    """Jinja's environment: everything is escaped, and a name that is not there is an error."""
    made = Environment(
        loader=PackageLoader("tenure.pages"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    made.filters |= {
        "ago": ago, "clock": clock, "count": count, "day": day, "money": money, "moment": moment,
        "percent": percent, "pretty_json": pretty_json, "url": url,
    }  # fmt: skip
    made.globals |= {"asset": asset, "csrf": csrf, "version": __version__, "NOTHING": NOTHING, "MODE_LABELS": LABELS}
    return made


@cache
def asset(name: str) -> str:
    """The address of a file of ours, which changes with what is in it, so that browsers may keep it for ever."""
    content = STATIC.joinpath(*name.split("/")).read_bytes()
    return f"{PREFIX}/{name}?v={hashlib.sha256(content).hexdigest()[:12]}"


@pass_context
def csrf(context: Context) -> Markup:
    """The field that each form which changes something must have."""
    visitor = context["visitor"]
    return Markup('<input type="hidden" name="csrf" value="{}">').format(visitor.csrf if visitor else "")


def count(value: float | None) -> str:
    """A number with thousands told apart."""
    return NOTHING if value is None else f"{value:,}"


def percent(value: float | Decimal | None, digits: int = 1) -> str:
    """A share from 0 to 1."""
    return NOTHING if value is None else f"{value * 100:.{digits}f} %"


def money(value: Decimal | str | None, code: str) -> str:
    """An amount in units of a currency, with as many digits as it has."""
    if value is None:
        return NOTHING
    digits = currency.exponent(code)
    return f"{Decimal(value):,.{digits}f} {code}".strip()


def url(text: str) -> str:
    """One segment of a path, or one value of a query."""
    return quote(text, safe="")


def pretty_json(value: object) -> str:
    """JSON for people, numbers as they were written; text is JSON already."""
    text = value if isinstance(value, str | bytes) else msgspec.json.encode(value)
    found = msgspec.json.format(text, indent=2)
    return found if isinstance(found, str) else found.decode()


@pass_context
def moment(context: Context, value: datetime | int | str | None) -> str | Markup:
    """A time in the viewer's zone; milliseconds since 1970 UTC, RFC 3339 or a datetime."""
    at = _datetime(value)
    if at is None:
        return NOTHING
    zone: ZoneInfo = context["zone"]
    return _time(at, f"{at.astimezone(zone):%-d %b %Y, %H:%M}", zone)


@pass_context
def clock(context: Context, value: datetime | int | str | None) -> str | Markup:
    """A time to the second; of today, the time of day alone."""
    at = _datetime(value)
    if at is None:
        return NOTHING
    there = at.astimezone(context["zone"])
    is_today = there.date() == datetime.now(context["zone"]).date()
    return _time(at, f"{there:%H:%M:%S}" if is_today else f"{there:%-d %b %Y, %H:%M:%S}", context["zone"])


@pass_context
def ago(context: Context, value: datetime | int | str | None) -> str | Markup:
    """How long ago, or how far ahead; the time itself is in its title."""
    at = _datetime(value)
    if at is None:
        return NOTHING
    seconds = (datetime.now(UTC) - at).total_seconds()
    for unit, length in _UNITS:
        if abs(seconds) >= length or length == 1:
            number = round(abs(seconds) / length)
            text = f"{number} {unit}{'' if number == 1 else 's'}"
            text = f"{text} ago" if seconds >= 0 else f"in {text}"
            break
    return _time(at, "now" if abs(seconds) < _NOW_SECONDS else text, context["zone"])


_UNITS = (("year", 31_557_600), ("month", 2_629_800), ("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))
_NOW_SECONDS = 5


def day(value: date | str | None) -> str:
    """A date, such as `3 Nov 2026`."""
    if value is None:
        return NOTHING
    return f"{date.fromisoformat(value) if isinstance(value, str) else value:%-d %b %Y}"


def _datetime(value: datetime | int | str | None) -> datetime | None:
    if isinstance(value, int):
        return datetime.fromtimestamp(value / 1_000, UTC)
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def _time(at: datetime, text: str, zone: ZoneInfo) -> Markup:
    exact = f"{at.astimezone(zone):%A %-d %B %Y, %H:%M:%S} ({zone.key})"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(at.astimezone(UTC).isoformat(), exact, text)
