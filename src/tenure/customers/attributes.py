"""What is known of a customer: attributes and channels in force, and how they came to be."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tenure.control.keys import WHAT_TO_DO
from tenure.customers.customer import Customer
from tenure.customers.facts import Fact, Step, by_attribute, fold, read_facts
from tenure.loader.profile import display_name
from tenure.warehouse.client import Tenant
from tenure.wire.json import canonical
from tenure.wire.times import rfc3339

MAX_LIMIT = 1_000
DEFAULT_LIMIT = 10


class Attribute(msgspec.Struct, omit_defaults=True):
    """A value, and the last fact that changed it. `ignored` counts increments that met a value that is no number."""

    value: msgspec.Raw
    set_at: str
    dialect: str
    verified: bool
    ignored: int = 0


class Change(msgspec.Struct, omit_defaults=True):
    """One fact of an attribute's history. `value` is what was said, `result` the value in force after it.

    `ignored` says why it changed nothing: `set_before` (a set_once after a value), `not_a_number` (an increment).
    """

    set_at: str
    received_at: str
    operation: str
    value: msgspec.Raw | None
    result: msgspec.Raw | None
    dialect: str
    verified: bool
    receipt: str
    ignored: str | None = None


class Known(msgspec.Struct):
    """Attributes of a customer or a user. `unverified`: what only unverified input says, which is never in force.

    `history` has the changes of each attribute, newest first; `more` names the attributes that have more of them.
    """

    attributes: dict[str, Attribute]
    unverified: dict[str, Attribute]
    history: dict[str, list[Change]]
    more: list[str]


class CustomerAttributes(Known):
    """Attributes of a customer, and the ways to reach it: each channel's `value` is an object."""

    channels: list[Attribute]
    unverified_channels: list[Attribute]
    held_back: str | None = None
    """What to do where something is held back as unverified; null where nothing is."""


def customer_attributes(
    tenant: Tenant, customer: Customer, *, limit: int = DEFAULT_LIMIT, as_of: int | None = None
) -> CustomerAttributes:
    """All that is known of a customer, from what had been received by `as_of` (milliseconds since 1970 UTC).

    `limit` is the most changes of each attribute's history. Raises Unavailable.
    """
    facts = read_facts(tenant, customer.keys, ("customer", "channel"), as_of=as_of)
    about = known([fact for fact in facts if fact.scope == "customer"], limit)
    ways = [fact for fact in facts if fact.scope == "channel"]
    unverified_ways = _channels(fact for fact in ways if not fact.verified)
    return CustomerAttributes(
        about.attributes,
        about.unverified,
        about.history,
        about.more,
        _channels(fact for fact in ways if fact.verified),
        unverified_ways,
        WHAT_TO_DO if about.unverified or unverified_ways else None,
    )


def name_of(found: Known) -> str | None:
    """The customer's name among the attributes in force."""
    return display_name({name: bytes(one.value).decode() for name, one in found.attributes.items()}) or None


def known(facts: Iterable[Fact], limit: int) -> Known:
    """The fold of the facts (each once) of one customer or of one user."""
    made = Known({}, {}, {}, [])
    for (_, name), ordered in by_attribute(facts).items():
        steps = fold(fact for fact in ordered if fact.verified)
        others = fold(fact for fact in ordered if not fact.verified)
        for found, into in ((steps, made.attributes), (others, made.unverified)):
            attribute = _in_force(found)
            if attribute is not None:
                into[name] = attribute
        newest = sorted(steps + others, key=lambda step: step.fact.order, reverse=True)
        made.history[name] = [_change(step) for step in newest[:limit]]
        if len(newest) > limit:
            made.more.append(name)
    return made


def _in_force(steps: list[Step]) -> Attribute | None:
    if not steps or steps[-1].value is None:
        return None
    last = next(step.fact for step in reversed(steps) if step.ignored is None)
    ignored = sum(step.ignored is not None and step.fact.operation == "increment" for step in steps)
    value = msgspec.Raw(steps[-1].value.encode())
    return Attribute(value, rfc3339(last.set_at), last.dialect, last.verified, ignored)


def _change(step: Step) -> Change:
    fact = step.fact
    return Change(
        set_at=rfc3339(fact.set_at),
        received_at=rfc3339(fact.received_at // 1_000),
        operation=fact.operation,
        value=_raw(fact.value),
        result=_raw(step.value),
        dialect=fact.dialect,
        verified=fact.verified,
        receipt=fact.receipt.hex(),
        ignored=step.ignored,
    )


def _raw(value: str | None) -> msgspec.Raw | None:
    return msgspec.Raw(value.encode()) if value else None


def _channels(facts: Iterable[Fact]) -> list[Attribute]:
    """Each channel and address once: of each of its fields, what was said last."""
    found = []
    for ordered in by_attribute(facts).values():
        fields: dict[str, object] = {}
        for fact in ordered:
            fields |= msgspec.json.decode(fact.value)
        last = ordered[-1]
        value = msgspec.Raw(canonical(fields).encode())
        found.append(Attribute(value, rfc3339(last.set_at), last.dialect, last.verified))
    return found
