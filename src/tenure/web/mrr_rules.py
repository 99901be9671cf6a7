"""The rules by which an app counts MRR: reading and setting them."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Response

from tenure.control.billing import Billing
from tenure.control.store import Store
from tenure.errors import BadRequest
from tenure.metrics.answers import mrr_rules
from tenure.subscriptions import declared
from tenure.subscriptions.currency import Rate, Rates
from tenure.subscriptions.rules import Rules
from tenure.web.access import Reader, Writer
from tenure.web.answer import json_response
from tenure.web.body import Body

_RATE = {"type": "object", "required": ["day", "rate"],
         "properties": {"day": {"type": "string", "format": "date"}, "rate": {"type": "string"}}}  # fmt: skip
_SCHEMA = {
    "type": "object",
    "properties": {
        "rules": {"type": "object", "properties": {name: {"description": declared.choices(name)}
                                                   for name in declared.SWITCHES}},
        "currency": {"type": ["string", "null"], "pattern": "^[A-Za-z]{3}$"},
        "rates": {"type": "object", "additionalProperties": {"type": "array", "items": _RATE}},
    },
}  # fmt: skip
_TAKES = {"requestBody": {"required": True, "content": {"application/json": {"schema": _SCHEMA}}}}


def add_mrr_rules(api: FastAPI) -> None:
    """Put the routes into the application."""
    store: Store = api.state.store

    @api.get("/v1/metrics/rules", tags=["metrics"], summary="The rules by which MRR is counted")
    def read(tenant: Reader) -> Response:
        """Every switch, the currency to report in, and the dated rates to it."""
        return json_response(mrr_rules(store.billing.of(tenant.app)))

    @api.put("/v1/metrics/rules", tags=["metrics"], summary="Set the rules by which MRR is counted",
             openapi_extra=_TAKES)  # fmt: skip
    def write(tenant: Writer, body: Body) -> Response:
        """With a secret key. `rules`: switches, those left out go back to their defaults. `currency`: to report in, or
        null; another one forgets the rates. `rates`: all of them. What is left out stays. Everybody is counted anew,
        for all days."""
        rules, rates = _asked(body, store.billing.of(tenant.app))
        return json_response(mrr_rules(store.billing.set(tenant.app, rules, rates)))


def _asked(body: dict[str, object], before: Billing) -> tuple[Rules, Rates | None]:
    if unknown := body.keys() - {"rules", "currency", "rates"}:
        raise _invalid(min(unknown)[:64], "there is no such field; there are rules, currency and rates")
    rules = declared.rules(_object(body["rules"], "rules"), Rules()) if "rules" in body else before.rules
    base = None if before.rates is None else before.rates.base
    if "currency" in body:
        base = None if body["currency"] is None else declared.currency(body["currency"], "currency")
    if "rates" in body:
        if base is None and body["rates"]:
            raise _invalid("rates", "rates need a currency that they are to; give currency too")
        return rules, None if base is None else declared.rates(base, _rates(_object(body["rates"], "rates")))
    if base is None or (before.rates is not None and before.rates.base == base):
        return rules, None if base is None else before.rates
    return rules, Rates(base, {})


def _rates(given: dict[str, Any]) -> list[tuple[str, Rate]]:
    found = []
    for number, (name, dated) in enumerate(given.items()):
        code = declared.currency(name, f"rates: currency {number + 1}")
        if not isinstance(dated, list):
            raise _invalid(f"rates.{code}", f"rates.{code} must be an array")
        for index, each in enumerate(dated):
            field = f"rates.{code}[{index}]"
            one = _object(each, field)
            found.append((code, declared.rate(one.get("day"), one.get("rate"), field)))
    return found


def _object(value: object, field: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _invalid(field, f"{field} must be an object")
    return value


def _invalid(field: str, message: str) -> BadRequest:
    return BadRequest(message, field=field, code="invalid_rules")
