"""Who has an e-mail address that was never sent as an identifier, but is shown as theirs: an attribute, a channel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from tenure.customers.as_of import received_by
from tenure.customers.facts import Fact, by_attribute, fold, read_facts
from tenure.event import Identify
from tenure.identity import Identifier
from tenure.loader.attributes import channel_address
from tenure.loader.facts import statements
from tenure.loader.profile import address_in
from tenure.warehouse.client import Tenant
from tenure.warehouse.personal import may_hold, needles

MAX_HOLDERS: Final = 100
"""Keys that are looked at: an address that more have is nobody's."""

_SAID: Final = f"""
SELECT DISTINCT customer_key FROM fact
WHERE verified AND RECEIVED AND (
    scope = 'customer' AND positionCaseInsensitive(name, 'mail') > 0 AND {may_hold("value")}
    OR scope = 'channel' AND startsWith(subject, '["email"') AND {may_hold("subject")})
"""  # noqa: S608 - conditions of ours, every value is bound
_IDENTIFIERS: Final = "SELECT kind, value FROM identifier FINAL WHERE customer_key IN {keys:Array(FixedString(16))}"


def naming(tenant: Tenant, address: str, as_of: int | None = None) -> list[Identifier]:
    """Identifiers under which something was said that may hold an address (in its normal form). Raises Unavailable."""
    received, parameters = received_by(as_of)
    parameters["needles"] = needles([Identifier("email", address)])
    keys = [bytes(row[0]) for row in tenant.rows(_SAID.replace("RECEIVED", received), parameters)]
    return [Identifier(*row) for row in tenant.rows(_IDENTIFIERS, {"keys": keys})] if keys else []


def have(tenant: Tenant, keys: Sequence[bytes], address: str, as_of: int | None = None) -> bool:
    """Whether an address is among what is in force of the customer with these keys. Raises Unavailable."""
    facts = read_facts(tenant, keys, ("customer", "channel"), as_of=as_of)
    return address in _shown(fact for fact in facts if fact.verified)


def said(identify: Identify) -> set[str]:
    """The addresses that an identify says of the customer."""
    found = statements(identify)
    named = [address_in(one.name, one.value) for one in found if one.scope == "customer" and one.value]
    return {address for address in [*named, *_of_channels(found)] if address is not None}


def _shown(facts: Iterable[Fact]) -> set[str | None]:
    of_scope: dict[str, list[Fact]] = {"customer": [], "channel": []}
    for fact in facts:
        of_scope[fact.scope].append(fact)
    found: set[str | None] = set(_of_channels(of_scope["channel"]))
    for (_, name), ordered in by_attribute(of_scope["customer"]).items():
        value = fold(ordered)[-1].value
        found.add(None if value is None else address_in(name, value))
    return found


def _of_channels(found: Iterable[Any]) -> list[str | None]:
    return [channel_address(one.subject) for one in found if one.scope == "channel"]
