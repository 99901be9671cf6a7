"""How one customer pays, in short: computed from the facts, so that it can be told as of any moment."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from fractions import Fraction

import msgspec

from tenure.control.billing import Billing
from tenure.customers import ledger
from tenure.customers.as_of import received_by
from tenure.customers.customer import Customer
from tenure.customers.ledger import SpellShown
from tenure.loader.ledger import BillingItem, columns
from tenure.subscriptions.account import OWN, Account, account, standing
from tenure.subscriptions.amount import rounded
from tenure.subscriptions.fact import Fact
from tenure.subscriptions.ledger import day_of
from tenure.subscriptions.spells import Spell
from tenure.warehouse.client import Tenant

MAX_FACTS = 10_000
"""Of a customer with more, what holds now is not computed for the question, but as the ledger has it."""
SHOWN_SPELLS = 20


class CustomerBilling(BillingItem):
    """How a customer pays, as on the list, and more of it."""

    days: int | None
    """For how many days they have been paying, today included; null for one who does not pay."""
    mrr_by_currency: dict[str, str]
    """In the currencies that they pay in, converted to no other."""
    spells: list[SpellShown]
    """Times of being a paying customer, the latest 20, newest first."""


def billing_of(
    tenant: Tenant, customer: Customer, billing: Billing, as_of: int | None = None
) -> CustomerBilling | None:
    """How a customer pays now, or did by what had been received by `as_of` (milliseconds since 1970 UTC).

    None for one of whom no subscription has begun. Raises Unavailable.
    """
    now = time.time_ns() // 1_000_000 if as_of is None else as_of
    today = day_of(now)
    found = read_account(tenant, customer, billing, as_of)
    if found is None:
        item, spells = ledger.stored_item(tenant, customer), ledger.stored_spells(tenant, customer)
        mrr: Mapping[str, Fraction] = ledger.stored_mrr(tenant, customer, today)
    else:
        standing_now = standing(found, now, billing.rules)
        item, spells = columns(found, standing_now).shown, found.spells
        mrr = standing_now.mrr[OWN] if standing_now else {}
    return None if item is None else _shown(item, mrr, spells, today)


def read_account(tenant: Tenant, customer: Customer, billing: Billing, as_of: int | None) -> Account | None:
    """All that the facts of a customer come to; None now (without `as_of`) for more facts than `MAX_FACTS`.

    Raises Unavailable.
    """
    received, parameters = received_by(as_of)
    parameters |= {"keys": customer.keys, "limit": MAX_FACTS + 1 if as_of is None else 2**63}
    rows = tenant.rows(_FACTS.replace("RECEIVED", received), parameters)
    if len(rows) > MAX_FACTS and as_of is None:
        return None
    return account((_decode(fact) for (fact,) in rows), billing.rules, billing.rates)


def _shown(item: BillingItem, mrr: Mapping[str, Fraction], spells: Iterable[Spell], today: date) -> CustomerBilling:
    since = item.paying_since
    return CustomerBilling(
        **msgspec.structs.asdict(item),
        days=None if since is None else (today + timedelta(days=1) - date.fromisoformat(since)).days,
        mrr_by_currency={currency: rounded(amount, currency) for currency, amount in mrr.items()},
        spells=ledger.shown_spells(spells, today)[:SHOWN_SPELLS],
    )


_decode = msgspec.json.Decoder(Fact).decode
_FACTS = """
SELECT fact FROM subscription_fact WHERE customer_key IN {keys:Array(FixedString(16))} AND RECEIVED LIMIT {limit:UInt64}
"""
