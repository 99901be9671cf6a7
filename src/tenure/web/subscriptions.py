"""Reading what one customer pays."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Query, Response

from tenure.control.store import Store
from tenure.customers.customer import find_customer
from tenure.customers.subscriptions import DEFAULT_LIMIT, MAX_LIMIT, subscriptions
from tenure.web.access import Reader
from tenure.web.answer import about
from tenure.web.parameters import AsOf, moment


def add_subscriptions(api: FastAPI) -> None:
    """Put the route into the application."""
    store: Store = api.state.store

    @api.get(
        "/v1/customers/{customer_id:identifier}/subscriptions", tags=["read"], summary="A customer's subscriptions"
    )
    def of_customer(
        tenant: Reader,
        customer_id: str,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
        cursor: Annotated[str | None, Query(description="`next` of the page before")] = None,
        as_of: AsOf = None,
    ) -> Response:
        """Each with its states over time and the events that say so; movements of MRR and spells of paying, line by
        line."""
        at = moment("as_of", as_of)
        customer = find_customer(tenant, store, customer_id, at)
        billing = store.billing.of(tenant.app)
        return about(customer, subscriptions(tenant, customer, billing, limit=limit, cursor=cursor, as_of=at))
