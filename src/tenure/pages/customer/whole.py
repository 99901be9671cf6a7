"""The page of a customer: who it is, how it is doing and why, and what is known of it; the other parts follow."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import FastAPI, Query, Request, Response

from tenure.customers.activity import activity
from tenure.customers.attributes import customer_attributes, name_of
from tenure.customers.billing import billing_of
from tenure.customers.customer import spelled
from tenure.customers.health import count, customer_health
from tenure.customers.use import uses
from tenure.pages.customer.asked import PATH, AskedFor, address, helpers
from tenure.pages.customer.reasons import explained
from tenure.pages.rendering import page

CHANGES = 5
"""Of each attribute that are shown at first."""
IDENTIFIERS = 5


def add(site: FastAPI) -> None:
    """Put the page into the site."""

    @site.get(PATH)
    def customer(
        request: Request,
        asked: AskedFor,
        name: Annotated[str | None, Query()] = None,
        since: Annotated[str | None, Query()] = None,
        until: Annotated[str | None, Query()] = None,
    ) -> Response:
        tenant, store = asked.of.tenant, asked.of.store
        known = customer_attributes(tenant, asked.customer, limit=CHANGES, as_of=asked.at)
        paid = billing_of(tenant, asked.customer, store.billing.of(tenant.app), asked.at)
        counts = count(tenant, store, asked.customer, asked.at)
        health = customer_health(tenant, store, asked.customer, counts, paid, asked.at)
        return page(
            request,
            "customer/page.html",
            **helpers(asked),
            name=name_of(known) or asked.value,
            known=known,
            paid=paid,
            activity=activity(counts, uses(tenant, store, asked.at)),
            health=health,
            reasons=explained(asked, health),
            shown=asked.customer.identifiers[:IDENTIFIERS],
            timeline=asked.url("timeline", name=name, since=since, until=until),
            also=[(spelled(one), address(asked.of, spelled(one))) for one in asked.customer.also],
            today=datetime.now(asked.of.zone).date(),
        )
