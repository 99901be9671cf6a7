"""What an answer warns of: what was taken, and is not what the sender means. One form in every dialect."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from tenure.event import Event, Identify
from tenure.identity import Identifier, placeholders
from tenure.wire.dialect import Reply, Taken

PLACEHOLDER: Final = "placeholder_identifier"
UNPROVEN: Final = "unproven_signature"
MAX_WARNINGS: Final = 20
"""Warnings of one answer, each about a different value."""


_UNPROVEN: Final = (
    "the signature does not prove this customer, so the event is kept as unverified; sign the customerId, with Paddle "
    "the subscriptionId; where there is neither, the uid or else the customerEmail"
)


class Warned(msgspec.Struct, omit_defaults=True):
    """One warning: `index` is the first element that it is about, `count` how many there are."""

    code: str
    field: str
    value: str
    message: str
    index: int
    count: int = 0


def sentence(found: Identifier) -> str:
    """What is wrong with a placeholder."""
    return (
        f"{found.kind} {found.value[:64]!r} is a placeholder and nobody's id: it links nothing, and the element is "
        f"kept under its other identifiers, if it has any; send no {found.kind} where there is none"
    )


def warnings(items: Iterable[Event | Identify]) -> list[Warned]:
    """What there is to say about some elements."""
    found: dict[Identifier, dict[int, None]] = {}
    for item in items:
        for one in placeholders(item):
            found.setdefault(one, {})[item.index] = None
    return [
        Warned(PLACEHOLDER, one.kind, one.value[:64], sentence(one), min(indexes), len(indexes))
        for one, indexes in list(found.items())[:MAX_WARNINGS]
    ]


def with_warnings(reply: Reply, taken: Taken) -> Reply:
    """The answer, which lists under `warnings` what there is to warn of. Clients of all dialects ignore what they do
    not know."""
    found = warnings([*taken.entry.events, *taken.entry.identifies])
    if taken.unproven:
        found.append(Warned(UNPROVEN, "authHash", "", _UNPROVEN, min(taken.unproven), len(taken.unproven)))
    if not found:
        return reply
    body = msgspec.json.decode(reply.body, type=dict[str, msgspec.Raw])
    return reply._replace(body=msgspec.json.encode({**body, "warnings": found}))
