"""Facts about customers and users, and what folding them gives. Pure but for `read_facts`.

Facts of one attribute are put in one total order that does not depend on how they were loaded: by time, then by the
source's own sequence, then by the first receipt and the place in it. Facts that were not verified are folded by
themselves and are never in force.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from tenure.customers.as_of import received_by
from tenure.loader.numbers import add, is_number
from tenure.warehouse.client import Tenant

NOT_A_NUMBER: Final = "not_a_number"
"""Why an increment changed nothing: what was there is no number."""
SET_BEFORE: Final = "set_before"
"""Why a set_once changed nothing: there was a value at its time."""

_CHANGING = frozenset({"unset", "set_once", "set", "increment"})


class Fact(NamedTuple):
    """A row of the table `fact`."""

    scope: str
    subject: str
    name: str
    set_at: int
    """Milliseconds since 1970 UTC."""
    operation: str
    element_id: bytes
    verified: bool
    value: str
    dialect: str
    received_at: int
    """Microseconds since 1970 UTC."""
    receipt: bytes
    precedence: int
    """Larger for an earlier receipt, and for an earlier place in it."""
    part: int = 0
    """Its element's place among the identifies of its request."""
    sequence: int = -1
    """The source's own count, where it was given: decides at equal times."""

    @property
    def order(self) -> tuple[int, int, int, int, bytes]:
        """Its place among the facts of the same attribute."""
        return self.set_at, self.sequence, -self.precedence, self.part, self.element_id


class Step(NamedTuple):
    """A fact and what it made of its attribute."""

    fact: Fact
    value: str | None
    """In force from this fact on, as canonical JSON; None: no value."""
    ignored: str | None = None
    """Why it changed nothing, where it could not."""


_SQL = """
SELECT toString(scope), subject, name, toUnixTimestamp64Milli(set_at), toString(operation), element_id, verified, value,
    dialect, toUnixTimestamp64Micro(received_at), receipt, precedence, part, sequence
FROM fact FINAL WHERE customer_key IN {keys:Array(FixedString(16))} AND scope IN {scopes:Array(String)}
"""
# The first delivery may be about other subjects.
_OF_SUBJECTS = """
AND subject IN {subjects:Array(String)} AND (element_id, verified, precedence) IN (
    SELECT element_id, verified, max(precedence)
    FROM fact WHERE customer_key IN {keys:Array(FixedString(16))} AND scope IN {scopes:Array(String)} AND RECEIVED
    GROUP BY element_id, verified)
"""


def read_facts(
    tenant: Tenant,
    keys: Sequence[bytes],
    scopes: Sequence[str],
    subjects: Sequence[str] | None = None,
    as_of: int | None = None,
) -> list[Fact]:
    """The facts of a customer's keys, in these scopes (of these subjects only), received by `as_of` (milliseconds).

    Of several deliveries of one element, those of the one received first. Raises Unavailable.
    """
    condition, parameters = received_by(as_of)
    sql = f"{_SQL} AND {condition}"
    parameters |= {"keys": list(keys), "scopes": list(scopes)}
    if subjects is not None:
        sql += _OF_SUBJECTS.replace("RECEIVED", condition)
        parameters["subjects"] = list(subjects)
    return first_copies(_fact(row) for row in tenant.rows(sql, parameters))


def first_copies(facts: Iterable[Fact]) -> list[Fact]:
    """Each fact once: of several deliveries of one element, those of the one received first.

    What was not verified never stands in for what was.
    """
    facts = dict.fromkeys(facts)
    first: dict[tuple[bytes, bool], int] = {}
    for fact in facts:
        element = fact.element_id, fact.verified
        first[element] = max(first.get(element, 0), fact.precedence)
    return [fact for fact in facts if first[fact.element_id, fact.verified] == fact.precedence]


def by_attribute(facts: Iterable[Fact]) -> dict[tuple[str, str], list[Fact]]:
    """Facts that change attributes or channels, by (subject, name), each list in its order."""
    found: defaultdict[tuple[str, str], list[Fact]] = defaultdict(list)
    for fact in facts:
        if fact.operation in _CHANGING:
            found[fact.subject, fact.name].append(fact)
    return {attribute: sorted(found[attribute], key=lambda fact: fact.order) for attribute in sorted(found)}


def fold(ordered: Iterable[Fact]) -> list[Step]:
    """What each of the facts of one attribute, in their order, made of it; the last step's value is in force."""
    steps: list[Step] = []
    value: str | None = None
    for fact in ordered:
        value, ignored = _apply(value, fact)
        steps.append(Step(fact, value, ignored))
    return steps


def _apply(value: str | None, fact: Fact) -> tuple[str | None, str | None]:
    if fact.operation == "unset":
        return None, None
    if fact.operation == "set_once" and value is not None:
        return value, SET_BEFORE
    if fact.operation == "increment" and value is not None:
        return (add(value, fact.value), None) if is_number(value) else (value, NOT_A_NUMBER)
    return fact.value, None


def _fact(row: Sequence[Any]) -> Fact:
    scope, subject, name, set_at, operation, element_id, verified, value, dialect, *rest = row
    received_at, receipt, order, part, sequence = rest
    return Fact(scope, subject, name, set_at, operation, bytes(element_id), bool(verified), value, dialect,
                received_at, bytes(receipt), int(order), int(part), int(sequence))  # fmt: skip
