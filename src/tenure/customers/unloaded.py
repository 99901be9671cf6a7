"""What the journals hold of an app that is not in the warehouse yet, as far as it says who is one customer.

For an erasure, which cannot wait until it is loaded. The same elements say the same here as to the loader.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

from msgspec import DecodeError

from tenure import churn_event
from tenure import entry as entries
from tenure.control.erasures import Erasures
from tenure.control.link import Link
from tenure.control.links import Links
from tenure.customers import addresses
from tenure.entry import Entry
from tenure.event import Event, Identify
from tenure.identity import Identifier, event_ids, identifiers, identity_key, normal
from tenure.journal import Loaded, readers
from tenure.loader import links
from tenure.loader.tombstones import Tombstones
from tenure.settings import MEBIBYTE

PIECE_BYTES = 4 * MEBIBYTE
"""Journal bytes that are read together."""


class _Said(NamedTuple):
    """An element; `event_id` is empty but for events that may be churn events."""

    entry: Entry
    item: Event | Identify
    event_id: bytes


class Unloaded:
    """The elements of one app that are not loaded, save those that are erased."""

    def __init__(self, app: str, entries: Iterable[Entry], erased: Erasures) -> None:
        self.app = app
        self._erased = erased
        self._about: defaultdict[Identifier, list[_Said]] = defaultdict(list)
        for found in entries:
            if found.app == app:
                for said in _elements(found):
                    for side in _sides(said):
                        self._about[side].append(said)

    def mentions(self, meant: Iterable[Identifier]) -> set[Identifier]:
        """Those of the identifiers that an element is about."""
        return {side for side in meant if self._with([side])}

    def at_address(self, text: str) -> set[Identifier]:
        """Identifiers of those of whom a verified element says that they have an address, `email:` before it or not."""
        address = normal("email", text.removeprefix("email:"))
        return {
            identifiers(said.item)[0]
            for about in self._about.values()
            for said in about
            if isinstance(said.item, Identify)
            and (said.entry.verified or said.item.signed)
            and address in addresses.said(said.item)
        }

    def facts(self, identifier: Identifier, stored: Links) -> list[Link]:
        """Every fact that can matter to whose an identifier is: those stored, and those said here."""
        found: dict[str, Link] = {}
        covered: set[Identifier] = set()
        reached, new = {identifier}, {identifier}
        while new:
            facts: list[Link] = []
            for side in stored.known(self.app, list(new)):
                if side not in covered:
                    facts += stored.facts(self.app, side)
                    covered.update(side for fact in facts for side in fact.pair)
            for said in self._with(new):
                facts += links.every(said.entry, said.item, said.event_id)
            for fact in facts:
                found[fact.id] = found.get(fact.id, fact).said_again(fact)
            new = {side for fact in facts for side in fact.pair} - reached
            reached |= new
        return list(found.values())

    def _with(self, sides: Iterable[Identifier]) -> list[_Said]:
        """The elements that are about one of these."""
        found = {id(said): said for side in sides for said in self._about.get(side, ())}.values()
        keys = {identity_key(self.app, carried) for said in found for carried in identifiers(said.item)}
        tombstones = Tombstones(self._erased.erased_at(keys))
        return [said for said in found if not tombstones.is_old(said.entry, said.item)]


def _elements(entry: Entry) -> Iterator[_Said]:
    ids: Iterable[bytes] = repeat(b"")
    if entry.dialect == churn_event.DIALECT:
        ids = event_ids(entry)
    yield from (_Said(entry, event, event_id) for event, event_id in zip(entry.events, ids, strict=False))
    yield from (_Said(entry, identify, b"") for identify in entry.identifies)


def _sides(said: _Said) -> list[Identifier]:
    """The identifiers that an element is about: those it carries, and those it says to be the same."""
    sides = identifiers(said.item)
    if (value := links.billing_id(said.entry, said.item)) is not None:
        sides.append(Identifier("billing_id", value))
    if said.event_id and isinstance(said.item, Event):
        opened = links.of_churn_event(said.entry, said.item, said.event_id)
        sides += [opened.other] if opened is not None else []
    return sides


def unloaded(journals: Path, app: str, erased: Erasures, seconds: float) -> tuple[Unloaded, bool]:
    """The elements of an app that are not loaded, and whether these are all: it is read for `seconds` at the most."""
    deadline, whole = time.monotonic() + seconds, True

    def found() -> Iterator[Entry]:
        nonlocal whole
        for payload in _payloads(journals):
            if time.monotonic() > deadline:
                whole = False
                return
            if app.encode() in payload:
                try:
                    yield entries.decode(payload)
                except DecodeError:
                    continue  # the loader sets it aside

    return Unloaded(app, found(), erased), whole


def _payloads(journals: Path) -> Iterator[bytes]:
    positions = Loaded.read(journals).positions
    for reader in readers(journals):
        try:
            after = positions.get(reader.id, 0)
            while rows := reader.read(after, max_bytes=PIECE_BYTES):
                after = rows[-1].position
                yield from (row.payload for row in rows if row.intact)
        finally:
            reader.close()
