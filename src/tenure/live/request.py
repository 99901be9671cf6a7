"""A request as the live page shows it: what came, and what became of each element. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from tenure.entry import Entry
from tenure.event import Event, Identify, Refusal
from tenure.identity import Identifier, Names, event_names, identifiers, normal, placeholders

ACCEPTED, STORED, DUPLICATE, CONFLICT = "accepted", "stored", "duplicate", "conflict"
QUARANTINED, REJECTED, REPLAYED, ERASED, REFUSED = "quarantined", "rejected", "replayed", "erased", "refused"
OUTCOMES: Final[dict[str, str]] = {
    ACCEPTED: "On disk; it will be in the answers within seconds.",
    STORED: "In the answers.",
    DUPLICATE: "Came before, or verified, and counts once.",
    CONFLICT: "Came before, or verified, under the same id, with other content: that copy counts.",
    QUARANTINED: "It cannot be used as it is; the sender was not told. A rule can repair it.",
    REJECTED: "It cannot be used; the sender was told.",
    REPLAYED: "It was in quarantine, was repaired and came again.",
    ERASED: "Its customer was erased.",
    REFUSED: "Turned away before anything of it was kept; the sender was told.",
}
"""What can become of an element, and what that means."""

SHOWN: Final = 5
"""Elements of a request that a list shows."""
WHOLE: Final = 100
"""Those that the page of a single request shows."""
LONGEST: Final = 65_536
"""Characters of an element's content that are shown."""


class Element(msgspec.Struct, frozen=True, kw_only=True):
    """One element of a request."""

    index: int | None
    kind: str
    """event, identify or refusal."""
    outcome: str
    name: str = ""
    identifiers: tuple[Identifier, ...] = ()
    placeholders: tuple[Identifier, ...] = ()
    """What it carries in the place of identifiers that it does not have."""
    verified: bool = False
    event_id: str = ""
    message_id: str = ""
    is_retry: bool = False
    """Whether it is a duplicate because of a retry window alone, so that it can be stored after all."""
    of: str = ""
    """The receipt of the first copy, of a duplicate; that of the replay, of what was replayed."""
    code: str = ""
    field: str = ""
    message: str = ""
    content: str = ""
    """JSON: properties, traits, or what was refused. Of a single request only, and if it is not large."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request. `elements` are the first of them, those that were looked for before others."""

    receipt: str
    received_at: int
    """Microseconds since 1970 UTC."""
    dialect: str
    path: str = ""
    key_prefix: str = ""
    replay_of: str = ""
    elements: list[Element] = []
    outcomes: dict[str, int] = {}
    """How many elements there are of each outcome, in the order of `OUTCOMES`."""

    @property
    def left_out(self) -> int:
        """Elements beside those shown."""
        return sum(self.outcomes.values()) - len(self.elements)


class First(NamedTuple):
    """The copy of an event that counts, the first one or a verified one, as far as it is known."""

    receipt: str
    position: int
    content: bytes
    is_loaded: bool
    event_id: bytes = b""
    """Its own: that of another event, where it took that one's place."""
    is_retry: bool = False
    """Whether the other event is taken for a retry of it."""


class Wanted(NamedTuple):
    """What a reader wants to see; empty: everything."""

    outcome: str = ""
    dialect: str = ""
    name: str = ""
    customer: str = ""

    def takes(self, request: Request) -> bool:
        """Whether a request, in one of the elements shown, is what is wanted."""
        if self.dialect and request.dialect != self.dialect:
            return False
        if self.outcome and self.outcome not in request.outcomes:
            return False
        if not self.name and not self.customer:
            return True
        return any(self._takes(element) for element in request.elements)

    def _takes(self, element: Element) -> bool:
        if self.name and element.name != self.name:
            return False
        return not self.customer or any(
            identifier.value == normal(identifier.kind, self.customer) for identifier in element.identifiers
        )


EVERYTHING: Final = Wanted()
Item = Event | Identify | Refusal


def request_of(
    entry: Entry,
    first: Callable[[Names], First | None] = lambda _: None,
    *,
    content: Callable[[Event], bytes] = lambda _: b"",
    sought: Callable[[Item], bool] = lambda _: False,
    whole: bool = False,
) -> Request:
    """The request of a journal entry. `first` tells by its ids what is known of an event; elements that are `sought`
    are shown before others; `whole`: with the content of elements, and more of them."""
    found: list[tuple[bool, Element]] = []
    for event, names in zip(entry.events, event_names(entry), strict=True):
        outcome, of = _outcome(entry.receipt, event, first(names), content)
        found.append((sought(event), _of_event(entry, event, names.own, outcome, of)))
    found += [(sought(identify), _of_identify(entry, identify)) for identify in entry.identifies]
    found += [(sought(refusal), _of_refusal(refusal)) for refusal in entry.refusals]
    found.sort(key=lambda pair: (not pair[0], -1 if pair[1].index is None else pair[1].index))
    return Request(
        receipt=entry.receipt,
        received_at=entry.received_at,
        dialect=entry.dialect,
        path=entry.path,
        key_prefix=entry.key_prefix,
        replay_of=entry.replay.receipt if entry.replay else "",
        elements=[
            element if whole else msgspec.structs.replace(element, content="")
            for _, element in found[: WHOLE if whole else SHOWN]
        ],
        outcomes=counted(Counter(element.outcome for _, element in found)),
    )


def counted(counts: Counter[str]) -> dict[str, int]:
    """How often each outcome came about, in the order of `OUTCOMES`."""
    return {outcome: counts[outcome] for outcome in OUTCOMES if counts[outcome]}


def _outcome(receipt: str, event: Event, first: First | None, content: Callable[[Event], bytes]) -> tuple[str, str]:
    if first is None:
        return ACCEPTED, ""
    if (first.receipt, first.position) == (receipt, event.index):
        return (STORED if first.is_loaded else ACCEPTED), ""
    return (DUPLICATE if first.content == content(event) else CONFLICT), first.receipt


def _of_event(entry: Entry, event: Event, event_id: bytes, outcome: str, of: str) -> Element:
    return Element(
        index=event.index,
        kind="event",
        outcome=outcome,
        name=event.name,
        identifiers=tuple(identifiers(event)),
        placeholders=tuple(placeholders(event)),
        verified=entry.verified or event.signed,
        event_id=event_id.hex(),
        message_id=event.message_id or "",
        of=of,
        content=shortened(event.properties),
    )


def _of_identify(entry: Entry, identify: Identify) -> Element:
    return Element(
        index=identify.index,
        kind="identify",
        outcome=ACCEPTED,
        identifiers=tuple(identifiers(identify)),
        placeholders=tuple(placeholders(identify)),
        verified=entry.verified or identify.signed,
        message_id=identify.message_id or "",
        content=shortened(identify.traits if identify.traits != "{}" else identify.user_traits),
    )


def _of_refusal(refusal: Refusal) -> Element:
    return Element(
        index=refusal.index,
        kind="refusal",
        outcome=REJECTED if refusal.reported else QUARANTINED,
        code=refusal.code,
        field=refusal.field or "",
        message=refusal.message,
        content=shortened(refusal.payload),
    )


def shortened(content: str) -> str:
    """JSON, if it is not too long to be shown."""
    return content if len(content) <= LONGEST else ""
