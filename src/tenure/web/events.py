"""The names of an app's events, and one of them."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import FastAPI, Query, Response

from tenure.control.store import Store
from tenure.customers.catalogue import EventName, event_names
from tenure.customers.event import MAX_DAYS, Doers, Volumes, doers, examples, find_event, volumes
from tenure.customers.properties import Properties, Split, properties, split
from tenure.customers.timeline import Item
from tenure.customers.unfit import unfit
from tenure.web.access import Reader
from tenure.web.answer import json_response
from tenure.web.parameters import AsOf, moment

MAX_PROPERTY = 1_024


class OneEvent(msgspec.Struct):
    """All about one name of events. `split` is null when it was not asked for."""

    event: EventName
    volumes: Volumes
    properties: Properties
    split: Split | None
    customers: Doers
    examples: list[Item]


def add_events(api: FastAPI) -> None:
    """Put the routes into the application."""
    store: Store = api.state.store

    @api.get("/v1/events", tags=["read"], summary="The names of events, with volumes")
    def events(tenant: Reader, as_of: AsOf = None) -> Response:
        """Every name that an event was sent under, how many there are, and when the first and last occurred; how many
        came on each of the last 30 days; whether it fell silent for everyone or came far more often than usual; advice
        on the name; in `similar` the names that differ only in spelling, with the one to keep; and in `identifiers`
        those that are nobody's in particular, so that they link nothing, with advice."""
        names = event_names(tenant, moment("as_of", as_of))
        names.identifiers = unfit(tenant, store.links)
        return json_response(names)

    @api.get("/v1/events/{name:identifier}", tags=["read"], summary="One name of events")
    def one_event(
        tenant: Reader,
        name: str,
        days: Annotated[int, Query(ge=1, le=MAX_DAYS, description="Days of `volumes`, today included")] = 90,
        by: Annotated[
            str | None, Query(max_length=MAX_PROPERTY, description="A property, to split the last 30 days by its value")
        ] = None,
    ) -> Response:
        """How often it came on each day, the values of its properties in a sample that says how large it is, the
        customers who did it, and the last five events."""
        found = find_event(tenant, name)
        return json_response(
            OneEvent(found, volumes(tenant, name, days), properties(tenant, name),
                     None if by is None else split(tenant, name, by), doers(tenant, name), examples(tenant, name))
        )  # fmt: skip
