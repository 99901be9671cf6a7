"""One event: how often it comes, what it carries, who does it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from fastapi import FastAPI, Query, Request, Response

from tenure.customers.event import Volumes, doers, examples, find_event, volumes
from tenure.customers.properties import SAMPLE_DAYS, Value, ValueSeries, properties, split
from tenure.pages.charts import Chart, Series
from tenure.pages.of_app import AppPage, OfApp
from tenure.pages.rendering import fragment, page, pretty_json, url

MAX_PROPERTY: Final = 1_024
LONGEST_PAYLOAD: Final = 20_000
"""Characters of a payload that are shown."""
PATH: Final = "/apps/{app}/events/{name:identifier}"

Days = Literal["30", "90", "365"]
Property = Annotated[str, Query(max_length=MAX_PROPERTY)]


class Example(NamedTuple):
    """An event as it is shown."""

    occurred_at: str
    received_at: str
    customer: str
    """As `kind:value`."""
    dialect: str
    verified: bool
    properties: str
    context: str
    receipt: str


def add_event(site: FastAPI) -> None:
    """Put the page and its parts into the site; the parts before the page, whose path takes what they leave."""

    @site.get(f"{PATH}/split")
    def by_property(request: Request, of_app: AppPage, name: str, by: Property) -> Response:
        found = split(of_app.tenant, name, by)
        days = [(found.sample.since + timedelta(day)).isoformat() for day in range(SAMPLE_DAYS)]
        values = [(label(one), one.counts) for one in found.values]
        values += [(rest, counts) for rest, counts in (("other values", found.other), ("without it", found.missing))
                   if any(counts)]  # fmt: skip
        series = [Series(value, counts, draw="stack", colour=1 + place) for place, (value, counts) in enumerate(values)]
        chart = Chart(f"Events by {by}", days, series)
        return fragment(request, "event/_split.html", chart=chart, sample=found.sample)

    @site.get(f"{PATH}/properties")
    def its_properties(request: Request, of_app: AppPage, name: str, days: Days = "90") -> Response:
        found = properties(of_app.tenant, name)
        return fragment(request, "event/_properties.html", found=found, path=_path(of_app, name), days=days,
                        label=label)  # fmt: skip

    @site.get(f"{PATH}/customers")
    def customers(request: Request, of_app: AppPage, name: str) -> Response:
        return fragment(request, "event/_customers.html", found=doers(of_app.tenant, name), name=name)

    @site.get(f"{PATH}/examples")
    def its_examples(request: Request, of_app: AppPage, name: str) -> Response:
        shown = [
            Example(one.occurred_at, one.received_at, _customer(one), one.dialect, one.verified,
                    payload(bytes(one.properties)), payload(bytes(one.context)), one.receipt)
            for one in examples(of_app.tenant, name)
        ]  # fmt: skip
        return fragment(request, "event/_examples.html", examples=shown)

    @site.get(PATH)
    def event(request: Request, of_app: AppPage, name: str, days: Days = "90", by: Property = "") -> Response:
        found = find_event(of_app.tenant, name)
        chart = volume_chart(volumes(of_app.tenant, name, int(days)), weekly=days == "365")
        return page(request, "event.html", event=found, chart=chart, path=_path(of_app, name), days=days, by=by)


def volume_chart(found: Volumes, *, weekly: bool) -> Chart:
    """A volume over time, by day or by week (seven days, the last ends today); by source where there are several."""
    step = 7 if weekly else 1
    first = len(found.counts) % step
    starts = range(first, len(found.counts), step)
    days = [(found.since + timedelta(start)).isoformat() for start in starts]
    columns = found.by_dialect if len(found.by_dialect) > 1 else {"Events": found.counts}
    series = [
        Series(name, [sum(counts[start : start + step]) for start in starts], draw="stack", colour=1 + place % 8)
        for place, (name, counts) in enumerate(columns.items())
    ]
    return Chart("Events a week" if weekly else "Events a day", days, series, x_name="Week from" if weekly else "Day",
                 note="Days are those of UTC; the last one is not over yet.")  # fmt: skip


def label(one: Value | ValueSeries) -> str:
    """A JSON value for people: a text as it is, unless that could be taken for something else."""
    if one.long:
        return "longer values"
    text = bytes(one.value).decode()
    value = msgspec.json.decode(one.value)
    if not isinstance(value, str):
        return text
    try:
        msgspec.json.decode(value.encode())
    except msgspec.DecodeError:
        return value if value.strip() else text
    return text


def payload(raw: bytes) -> str:
    """A JSON object for people, cut where it is very long; empty when it holds nothing."""
    try:
        text = pretty_json(raw)
    except (ValueError, RecursionError):
        text = raw.decode()
    if text == "{}":
        return ""
    return text if len(text) <= LONGEST_PAYLOAD else f"{text[:LONGEST_PAYLOAD]}\n… (cut)"


def _customer(item: Any) -> str:
    kinds = ("customer_id", "uid", "billing_id", "email", "anonymous_id")
    return next((f"{kind}:{value}" for kind in kinds if (value := getattr(item, kind))), "")


def _path(of_app: OfApp, name: str) -> str:
    return f"{of_app.path}/events/{url(name)}"
