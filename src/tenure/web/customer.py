"""Reading one customer as a whole."""

from __future__ import annotations

from fastapi import FastAPI, Response

from tenure.control.store import Store
from tenure.customers.customer import find_customer
from tenure.customers.view import view
from tenure.web.access import Reader
from tenure.web.answer import about
from tenure.web.parameters import AsOf, moment


def add_customer(api: FastAPI) -> None:
    """Put the route into the application; after those under a customer, since an identifier may hold anything."""
    store: Store = api.state.store

    @api.get("/v1/customers/{customer_id:identifier}", tags=["read"], summary="One customer as a whole")
    def customer(tenant: Reader, customer_id: str, as_of: AsOf = None) -> Response:
        """Identifiers, health, attributes, users, activity with its trend, churn events, and the latest receipts."""
        at = moment("as_of", as_of)
        found = find_customer(tenant, store, customer_id, at)
        return about(found, view(tenant, store, found, at))
