"""The users of a customer's account."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Query, Request, Response

from tenure.customers.users import users
from tenure.pages.customer.asked import PATH, AskedFor, part

SHOWN = 25


def add(site: FastAPI) -> None:
    """Put the part into the site."""

    @site.get(f"{PATH}/users")
    def customer_users(request: Request, asked: AskedFor, cursor: Annotated[str | None, Query()] = None) -> Response:
        found = users(asked.of.tenant, asked.customer, limit=SHOWN, cursor=cursor, as_of=asked.at)
        more = found.next and asked.url("users", cursor=found.next)
        rows_alone = cursor is not None and "HX-Request" in request.headers
        return part(request, asked, "user_rows" if rows_alone else "users", "Users", users=found.items, more=more)
