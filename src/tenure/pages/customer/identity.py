"""Why some identifiers are one customer; merging two customers and taking one apart, by admins."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

from fastapi import FastAPI, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from tenure.control.store import Store
from tenure.customers import joining
from tenure.customers.customer import Customer
from tenure.customers.freshness import find_fresh
from tenure.customers.identity import identity
from tenure.errors import Conflict, Refused
from tenure.identity import Identifier
from tenure.pages.customer.asked import PATH, Asked, AskedFor, AskedToChange, address, part, text
from tenure.placeholder import is_placeholder

MERGED, PARTED, LARGE = "merged", "parted", "large"


def add(site: FastAPI) -> None:
    """Put the part into the site."""
    store: Store = site.state.store
    journals: Path = site.state.journals

    @site.get(f"{PATH}/identity")
    def customer_identity(
        request: Request,
        asked: AskedFor,
        done: Annotated[str | None, Query()] = None,
        also: Annotated[Sequence[str], Query()] = (),
    ) -> Response:
        return _shown(request, asked, done=done, also=also)

    @site.post(f"{PATH}/merge")
    def merge(request: Request, asked: AskedToChange, other: Annotated[str, Form(alias="with")]) -> Response:
        of = asked.of
        try:
            found = find_fresh(of.tenant, store, journals, other.strip())
            joined = joining.merge(store.links, of.app.id, asked.customer, found)
        except Refused as error:
            return _shown(request, asked, problem=error)
        return _to(asked, [joined.customer], MERGED)

    @site.post(f"{PATH}/split")
    def split(
        request: Request,
        asked: AskedToChange,
        merge: Annotated[str | None, Form()] = None,
        identifiers: Annotated[Sequence[str], Form()] = (),
    ) -> Response:
        of = asked.of
        try:
            if merge is not None:
                parted = joining.unmerge(store.links, of.app.id, asked.customer, merge)
            else:
                parted = joining.split(store.links, of.app.id, asked.customer, _chosen(asked.customer, identifiers))
        except Refused as error:
            return _shown(request, asked, problem=error)
        return _to(asked, parted.customers, PARTED)

    @site.post(f"{PATH}/large")
    def large(request: Request, asked: AskedToChange, identifier: Annotated[str, Form()]) -> Response:
        found = {text(one): one for one in asked.customer.links.held}.get(identifier)
        try:
            if found is None:
                raise Conflict("this identifier is not held any more", code="not_held")
            customer = joining.call_large(store.links, asked.of.app.id, found, is_large=True)
        except Refused as error:
            return _shown(request, asked, problem=error)
        return _to(asked, [customer], LARGE)


def _shown(
    request: Request, asked: Asked, *, done: str | None = None, also: Sequence[str] = (), problem: Refused | None = None
) -> Response:
    others = [(one, address(asked.of, one)) for one in also]
    found = identity(asked.customer)
    status = 200 if problem is None else problem.status
    held = {text(one) for one in asked.customer.links.held if not is_placeholder(one.kind, one.value)}
    return part(request, asked, "identity", "Identity", status=status, identity=found, done=done, others=others,
                problem=problem, text=text, held=held)  # fmt: skip


def _chosen(customer: Customer, sent: Collection[str]) -> list[Identifier]:
    own = {text(identifier): identifier for identifier in customer.identifiers}
    if not sent or not own.keys() >= set(sent):
        raise Conflict("choose at least one identifier of this customer to take out", code="not_merged")
    return [own[one] for one in sent]


def _to(asked: Asked, customers: Sequence[Customer], done: str) -> Response:
    """To the first of the customers that there are now, by a page that names the others."""
    first, *others = [text(one.identifiers[0]) for one in customers]
    target = address(asked.of, first, "identity", done=done)
    return RedirectResponse("".join([target, *(f"&{_also(one)}" for one in others)]), 303)


def _also(identifier: str) -> str:
    return urlencode({"also": identifier})
