"""Who is one customer and why; and saying so by hand: links, merges, splits."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec
from fastapi import FastAPI, Response

from tenure.control.store import Store
from tenure.customers import joining
from tenure.customers.customer import Customer, candidates, find_customer, said, spelled
from tenure.customers.freshness import find_fresh
from tenure.customers.identity import Whole, identity, whole
from tenure.errors import Ambiguous, BadRequest
from tenure.identity import KINDS, Identifier, normal
from tenure.web.access import Reader, Writer
from tenure.web.answer import about, json_response
from tenure.web.body import Body
from tenure.web.parameters import AsOf, moment
from tenure.wire import fields

MAX_NOTE = 1_000


class Linked(msgspec.Struct):
    """A new link by hand, and the customer that it made."""

    link: str
    customer: Whole


class Merged(msgspec.Struct):
    """A new merge, by whose id it can be undone, and the customer that it made."""

    merge: str
    customer: Whole


class Split(msgspec.Struct):
    """The facts that were undone, by their ids, and the customers that are there now."""

    undone: list[str]
    customers: list[Whole]


class Large(msgspec.Struct):
    """Whether an identifier may join any number of ids, and the customer that it makes."""

    identifier: Identifier
    large: bool
    customer: Whole


_IDENTIFIER = {
    "type": "object",
    "required": ["kind", "value"],
    "properties": {"kind": {"enum": list(KINDS)}, "value": {"type": "string", "maxLength": fields.ID_LIMIT}},
}
_LINK = {
    "type": "object",
    "required": ["one", "other"],
    "properties": {"one": _IDENTIFIER, "other": _IDENTIFIER, "note": {"type": "string", "maxLength": MAX_NOTE}},
}
_LARGE = {
    "type": "object",
    "required": ["identifier"],
    "properties": {
        "identifier": _IDENTIFIER,
        "large": {"type": "boolean"},
        "note": {"type": "string", "maxLength": MAX_NOTE},
    },
}
_MERGE = {"type": "object", "required": ["with"], "properties": {"with": {"type": "string"}}}
_SPLIT = {
    "type": "object",
    "properties": {
        "merge": {"type": "string"},
        "identifiers": {"type": "array", "minItems": 1, "items": {"anyOf": [_IDENTIFIER, {"type": "string"}]}},
    },
}


def add_identity(api: FastAPI) -> None:
    """Put the routes into the application."""
    store: Store = api.state.store
    journals: Path = api.state.journals

    @api.get("/v1/customers/{customer_id:identifier}/identity", tags=["read"], summary="Why these are one customer")
    def of_customer(tenant: Reader, customer_id: str, as_of: AsOf = None) -> Response:
        """Every identifier of the customer with the evidence that ties it to the others; ambiguous e-mail addresses,
        conflicting claims, and what was undone."""
        customer = find_customer(tenant, store, customer_id, moment("as_of", as_of))
        return about(customer, identity(customer))

    @api.post("/v1/links", tags=["identity"], summary="Say that two identifiers are one customer",
              openapi_extra=_takes(_LINK))  # fmt: skip
    def link(tenant: Writer, body: Body) -> Response:
        """With a secret key. Neither has to be known yet. 409 when they are one customer already."""
        _check_fields(body, "one", "other", "note")
        one, other = (_identifier(body.get(side), side) for side in ("one", "other"))
        note = fields.text(body.get("note"), "note", limit=MAX_NOTE)
        joined = joining.link_by_hand(store.links, tenant.app, one, other, note)
        return json_response(Linked(joined.link, whole(joined.customer)))

    @api.post("/v1/identifiers/large", tags=["identity"], summary="Say that an account really is so large",
              openapi_extra=_takes(_LARGE))  # fmt: skip
    def large(tenant: Writer, body: Body) -> Response:
        """With a secret key. An identifier that joins more than 10 customer ids, uids or billing ids is held as
        ambiguous and links nothing, unless somebody says that it is an account that large; with `large` false, no
        more."""
        _check_fields(body, "identifier", "large", "note")
        identifier = _identifier(body.get("identifier"), "identifier")
        is_large = body.get("large", True)
        if not isinstance(is_large, bool):
            raise fields.wrong_type("large", "true or false")
        note = fields.text(body.get("note"), "note", limit=MAX_NOTE)
        customer = joining.call_large(store.links, tenant.app, identifier, is_large, note)
        return json_response(Large(identifier, is_large, whole(customer)))

    @api.post("/v1/customers/{customer_id:identifier}/merge", tags=["identity"], summary="Make one customer of two",
              openapi_extra=_takes(_MERGE))  # fmt: skip
    def merge(tenant: Writer, customer_id: str, body: Body) -> Response:
        """With a secret key. `with` is any identifier of the other customer. `split` undoes it."""
        _check_fields(body, "with")
        text = fields.required_identifier(body.get("with"), "with", limit=fields.ID_LIMIT + max(map(len, KINDS)) + 1)
        one, other = (find_fresh(tenant, store, journals, named) for named in (customer_id, text))
        joined = joining.merge(store.links, tenant.app, one, other)
        return json_response(Merged(joined.link, whole(joined.customer)))

    @api.post("/v1/customers/{customer_id:identifier}/split", tags=["identity"], summary="Undo a merge, or take apart",
              openapi_extra=_takes(_SPLIT))  # fmt: skip
    def split(tenant: Writer, customer_id: str, body: Body) -> Response:
        """With a secret key. Either `merge`, the id of a merge (or link by hand), which alone is undone; or
        `identifiers` to take out, each as in a path or as `{"kind", "value"}`: every fact between them and the rest is
        undone."""
        _check_fields(body, "merge", "identifiers")
        if len(body.keys() & {"merge", "identifiers"}) != 1:
            raise BadRequest("send either merge or identifiers", code="missing_field", field="identifiers")
        customer = find_fresh(tenant, store, journals, customer_id)
        if "merge" in body:
            fact = fields.required_identifier(body["merge"], "merge")
            parted = joining.unmerge(store.links, tenant.app, customer, fact)
        else:
            parted = joining.split(store.links, tenant.app, customer, _identifiers(body["identifiers"], customer))
        return json_response(Split(parted.undone, [whole(part) for part in parted.customers]))


def _identifiers(value: object, customer: Customer) -> Collection[Identifier]:
    given = fields.array(value, "identifiers")
    if not given:
        raise fields.missing("identifiers")
    own = frozenset(customer.identifiers)
    return {_one_of(own, item, f"identifiers[{at}]") for at, item in enumerate(given)}


def _one_of(own: Collection[Identifier], item: object, field: str) -> Identifier:
    """An identifier in full, or the one of the customer's that a text means. Raises Ambiguous when it means several."""
    if not isinstance(item, str):
        return _identifier(item, field)
    meant = candidates(item)
    found = [identifier for identifier in meant if identifier in own]
    if len(found) > 1 and found[0] != said(item):
        raise Ambiguous([spelled(identifier) for identifier in found])
    return found[0] if found else meant[-1]


def _identifier(value: object, field: str) -> Identifier:
    """`{"kind", "value"}`, checked as ingest checks it, in normal form. Raises BadRequest."""
    if value is None:
        raise fields.missing(field)
    if not isinstance(value, dict):
        raise fields.wrong_type(field, "an object")
    _check_fields(value, "kind", "value", within=f"{field}.")
    kind = value.get("kind")
    if kind not in KINDS:
        raise BadRequest(f"{field}.kind must be {', '.join(KINDS[:-1])} or {KINDS[-1]}.", code="unknown_kind",
                         field=f"{field}.kind")  # fmt: skip
    name = f"{field}.value"
    text = fields.email(value.get("value"), name) if kind == "email" else fields.identifier(value.get("value"), name)
    if text is None:
        raise fields.missing(name)
    return Identifier(kind, normal(kind, text))


def _check_fields(source: Mapping[str, object], *known: str, within: str = "") -> None:
    if rest := fields.rest(dict(source), frozenset(known)):
        raise fields.unknown(rest, within=within)


def _takes(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The description of a JSON body, which FastAPI does not see."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
