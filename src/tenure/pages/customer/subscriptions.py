"""What a customer pays, subscription by subscription, with the events that say so."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Query, Request, Response

from tenure.customers.subscriptions import subscriptions
from tenure.pages.customer.asked import PATH, AskedFor, part

SHOWN = 20


def add(site: FastAPI) -> None:
    """Put the part into the site."""

    @site.get(f"{PATH}/subscriptions")
    def customer_subscriptions(
        request: Request, asked: AskedFor, cursor: Annotated[str | None, Query()] = None
    ) -> Response:
        billing = asked.of.store.billing.of(asked.of.tenant.app)
        found = subscriptions(asked.of.tenant, asked.customer, billing, limit=SHOWN, cursor=cursor, as_of=asked.at)
        more = found.next and asked.url("subscriptions", cursor=found.next)
        return part(request, asked, "subscriptions", "Subscriptions", found=found, more=more, first=cursor is None)
