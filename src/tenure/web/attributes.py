"""Reading a customer's attributes, and its users."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Query, Response

from tenure.control.store import Store
from tenure.customers import attributes, users
from tenure.customers.customer import find_customer
from tenure.web.access import Reader
from tenure.web.answer import about
from tenure.web.parameters import AsOf, moment

Changes = Annotated[int, Query(ge=0, le=attributes.MAX_LIMIT, description="Changes of each attribute, at the most")]


def add_attributes(api: FastAPI) -> None:
    """Put the routes into the application."""
    store: Store = api.state.store

    @api.get("/v1/customers/{customer_id:identifier}/attributes", tags=["read"], summary="A customer's attributes")
    def customer_attributes(
        tenant: Reader, customer_id: str, limit: Changes = attributes.DEFAULT_LIMIT, as_of: AsOf = None
    ) -> Response:
        """Attributes and channels in force, apart from them what unverified input said, and the history of each
        attribute, newest first."""
        at = moment("as_of", as_of)
        customer = find_customer(tenant, store, customer_id, at)
        known = attributes.customer_attributes(tenant, customer, limit=limit, as_of=at)
        return about(customer, known)

    @api.get("/v1/customers/{customer_id:identifier}/users", tags=["read"], summary="A customer's users")
    def customer_users(
        tenant: Reader,
        customer_id: str,
        limit: Annotated[int, Query(ge=1, le=users.MAX_LIMIT)] = 100,
        cursor: Annotated[str | None, Query(description="`next` of the page before")] = None,
        as_of: AsOf = None,
    ) -> Response:
        """Those who are members and those who were, in the order of their ids."""
        at = moment("as_of", as_of)
        customer = find_customer(tenant, store, customer_id, at)
        return about(customer, users.users(tenant, customer, limit=limit, cursor=cursor, as_of=at))

    @api.get(
        "/v1/customers/{customer_id:identifier}/users/{user_id:identifier}",
        tags=["read"],
        summary="A user of a customer",
    )
    def customer_user(
        tenant: Reader,
        customer_id: str,
        user_id: str,
        limit: Changes = attributes.DEFAULT_LIMIT,
        as_of: AsOf = None,
    ) -> Response:
        """With every time as a member, and the history of each attribute."""
        at = moment("as_of", as_of)
        customer = find_customer(tenant, store, customer_id, at)
        return about(customer, users.find_user(tenant, customer, user_id, limit=limit, as_of=at))
