"""The health of a customer, and what an app says of its signals."""

from __future__ import annotations

import msgspec
from fastapi import FastAPI, Response

from tenure.control.store import Store
from tenure.customers.billing import billing_of
from tenure.customers.customer import find_customer
from tenure.customers.health import count, customer_health
from tenure.health.settings import HealthSettings, Weights, changed
from tenure.health.signals import NPS_PROPERTIES, RECOGNISED, SIGNS, Sign, Source
from tenure.loader.senders import OwnName, read_senders
from tenure.warehouse.client import Tenant
from tenure.web.access import Reader, Writer
from tenure.web.answer import about, json_response
from tenure.web.body import Body
from tenure.web.parameters import AsOf, moment


class RecognisedName(msgspec.Struct):
    """A name that means something without a declaration."""

    name: str
    sign: Sign
    strength: int
    """1 weak, 2 ordinary, 4 strong."""
    by_customer: bool
    """Whether it is something that the customer does in the product."""
    meant_by: Source


class AppSignals(msgspec.Struct):
    """What an app declared, its weights, and the names that are recognised in every app."""

    signals: dict[str, Sign]
    weights: Weights
    recognised: list[RecognisedName]
    nps_properties: list[str]
    """Where the value of an NPS answer is looked for."""
    no_use: list[str]
    """Names of the app's own that are no use in any spelling, however many customers send them."""
    identified_customers: int
    own: list[OwnName]
    """Names of the app's own, those that most customers have sent."""


SHOWN_NAMES = 1_000

_RECOGNISED = [
    RecognisedName(name, signal.sign, signal.strength, signal.by_customer, signal.source)
    for name, signal in sorted(RECOGNISED.items())
]


_WEIGHT = {"type": "integer", "minimum": 0, "maximum": 100}
_SCHEMA = {
    "type": "object",
    "properties": {
        "signals": {"type": "object", "additionalProperties": {"enum": list(SIGNS)}},
        "weights": {"type": "object", "properties": dict.fromkeys(Weights.__struct_fields__, _WEIGHT)},
        "no_use": {"type": ["array", "null"], "items": {"type": "string"}},
    },
}
_TAKES = {"requestBody": {"required": True, "content": {"application/json": {"schema": _SCHEMA}}}}


def add_health(api: FastAPI) -> None:
    """Put the routes into the application."""
    store: Store = api.state.store

    @api.get("/v1/customers/{customer_id:identifier}/health", tags=["read"], summary="How a customer is doing")
    def health(tenant: Reader, customer_id: str, as_of: AsOf = None) -> Response:
        """A score from 0 to 100 with the points and the evidence of each part; what was positive, negative and silent
        lately; names whose tracking seems broken. `score` is null when there is too little to go by."""
        at = moment("as_of", as_of)
        customer = find_customer(tenant, store, customer_id, at)
        paid = billing_of(tenant, customer, store.billing.of(tenant.app), at)
        counts = count(tenant, store, customer, at)
        return about(customer, customer_health(tenant, store, customer, counts, paid, at))

    @api.get("/v1/signals", tags=["read"], summary="What names of events say")
    def signals(tenant: Reader) -> Response:
        """The signs that the app declared, the weights of its score, and the names that are recognised anyway."""
        return json_response(_shown(tenant, store.health.of(tenant.app)))

    @api.put("/v1/signals", tags=["change"], summary="Declare what names of events say",
             openapi_extra=_TAKES)  # fmt: skip
    def declare(tenant: Writer, body: Body) -> Response:
        """With a secret key. `signals` replaces all that was declared, `weights` all weights (those left out are the
        defaults), `no_use` the list of names that are no use (null: Tenure's own); what is not sent stays. Scores
        follow at once."""
        return json_response(_shown(tenant, store.health.change(tenant.app, lambda settings: changed(settings, body))))


def _shown(tenant: Tenant, settings: HealthSettings) -> AppSignals:
    senders = read_senders(tenant)
    return AppSignals(
        signals=settings.signals,
        weights=settings.weights,
        recognised=_RECOGNISED,
        nps_properties=list(NPS_PROPERTIES),
        no_use=list(settings.left_out),
        identified_customers=senders.identified,
        own=senders.own(settings.meanings(senders.frequent))[:SHOWN_NAMES],
    )
