"""Reading churn events: by id as Windback's client asks, by id and of a customer under `/v1`."""

from __future__ import annotations

from pathlib import Path

import msgspec
from fastapi import FastAPI, Request, Response

from tenure.churn_event import ChurnEvent
from tenure.control import keys
from tenure.control.store import Store
from tenure.customers.churn_events import churn_events, find_churn_event
from tenure.customers.customer import find_customer
from tenure.web.access import Reader, reader
from tenure.web.answer import about, json_response
from tenure.web.parameters import AsOf, moment
from tenure.wire.credentials import api_key_or_bearer


class ChurnEvents(msgspec.Struct):
    """A customer's churn events, newest first."""

    items: list[ChurnEvent]


def add_churn(api: FastAPI) -> None:
    """Put the routes into the application."""
    store: Store = api.state.store
    journals: Path = api.state.journals

    @api.get("/v1/customers/{customer_id:identifier}/churn-events", tags=["read"], summary="A customer's churn events")
    def of_customer(tenant: Reader, customer_id: str, as_of: AsOf = None) -> Response:
        """Cancellations and cancel flows, newest first, each with the reason that was reported last."""
        at = moment("as_of", as_of)
        customer = find_customer(tenant, store, customer_id, at)
        return about(customer, ChurnEvents(churn_events(tenant, customer, as_of=at)))

    @api.get("/v1/churn-events/{churn_event_id}", tags=["read"], summary="One churn event")
    def one(tenant: Reader, churn_event_id: str) -> Response:
        """By the id that it was given when it was sent. Waits until what was sent before can be read."""
        return json_response(find_churn_event(tenant, journals, churn_event_id))

    @api.get("/api/v1/projects/{slug}/churn-events/{churn_event_id}", tags=["read"], summary="One churn event")
    def as_windback_asks(request: Request, slug: str, churn_event_id: str) -> Response:
        """The same for Windback's client, with the secret key that it sends with."""
        key = api_key_or_bearer(request.headers).key
        return json_response(find_churn_event(reader(request, key, {keys.SECRET, keys.READ}), journals, churn_event_id))
