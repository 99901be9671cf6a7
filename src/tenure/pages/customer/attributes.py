"""What is known of a customer, and every change of it."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response

from tenure.customers.attributes import MAX_LIMIT, customer_attributes
from tenure.pages.customer.asked import PATH, AskedFor, part


def add(site: FastAPI) -> None:
    """Put the part into the site."""

    @site.get(f"{PATH}/attributes")
    def attributes(request: Request, asked: AskedFor) -> Response:
        known = customer_attributes(asked.of.tenant, asked.customer, limit=MAX_LIMIT, as_of=asked.at)
        return part(request, asked, "attributes", "Attributes", known=known)
