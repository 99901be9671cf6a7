"""Who is one customer by what waits in the journals: the same as when it is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure.control.database import connect, migrate
from tenure.control.erasures import new_erasure
from tenure.control.partition import partition
from tenure.control.store import Store
from tenure.customers.unloaded import Unloaded, unloaded
from tenure.entry import Entry, Record, record
from tenure.event import Event, Identify
from tenure.identity import Identifier
from tenure.journal import Journal, Loaded
from tenure.loader import rows
from tenure.settings import Settings

names = st.none() | st.sampled_from(["a", "b"])
carried = st.fixed_dictionaries(
    {"customer_id": names | st.just("cus_1"), "uid": names, "billing_id": names, "email": names, "anonymous_id": names}
).filter(lambda found: any(found.values()))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    engine = connect(Settings.load({"data": tmp_path_factory.mktemp("unloaded")}, {}))
    migrate(engine)
    return Store(engine)


def new_app(store: Store) -> str:
    return store.create_app(uuid4().hex).id


def an_entry(number: int, *, app: str = "", dialect: str = "native", verified: bool = True, **parts: Any) -> Entry:
    return Entry(app=app, receipt=f"{number:032x}", received_at=number * 1_000, dialect=dialect, key_prefix="",
                 verified=verified, **parts)  # fmt: skip


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[bool, Entry]]:
    """Requests in the order of their receipt, verified or not, in three dialects, and whether each is loaded."""
    made = []
    for number in range(1, draw(st.integers(2, 7))):
        events = [Event(index=0, name="churn_recorded", message_id=f"{number}", **draw(carried))]
        identifies = [Identify(index=1, **draw(carried))] if draw(st.booleans()) else []
        dialect = draw(st.sampled_from(["native", "whisperr", "windback"]))
        made.append((draw(st.booleans()), an_entry(number, dialect=dialect, verified=draw(st.booleans()),
                                                   events=events, identifies=identifies)))  # fmt: skip
    return made


@settings(deadline=None, max_examples=30)
@given(history=histories())
def test_nothing_depends_on_what_is_loaded(store: Store, history: list[tuple[bool, Entry]]) -> None:
    """Any part of a history may be loaded: every identifier is of the same customer."""
    app = new_app(store)
    placed = [(there, msgspec.structs.replace(entry, app=app)) for there, entry in history]
    every = rows.block([entry for _, entry in placed])
    store.links.add(rows.block([entry for there, entry in placed if there]).links)
    waiting = Unloaded(app, [entry for there, entry in placed if not there], store.erasures)
    expected = partition(every.links)
    for _, _, kind, value in every.identifiers.values():
        side = Identifier(kind, value)
        assert partition(waiting.facts(side, store.links)).customer(side) == expected.customer(side)


def test_what_was_said_first_counts_though_it_waits(store: Store) -> None:
    """A later request is loaded already, from another journal: whoever claimed first still owns the visitor."""
    app = new_app(store)
    claim = Identify(index=0, uid="u", anonymous_id="visitor")
    other = Identify(index=0, email="e@example.com", anonymous_id="visitor")
    again = msgspec.structs.replace(claim, index=1)
    first, later = an_entry(1, app=app, identifies=[claim]), an_entry(2, app=app, identifies=[other, again])
    store.links.add(rows.block([later]).links)
    visitor, owner = Identifier("anonymous_id", "visitor"), Identifier("uid", "u")
    facts = Unloaded(app, [first], store.erasures).facts(visitor, store.links)
    assert partition(facts).customer(visitor) == (owner, visitor)


def test_what_waits_is_read_in_the_journals(store: Store, tmp_path: Path) -> None:
    """After what is loaded, of this app alone, without what is erased; and as far as there is time for it."""
    app, other = (new_app(store) for _ in range(2))
    one, two, old = ({"customer_id": "c", "uid": name} for name in ("u1", "u2", "u3"))
    erased = Identifier("uid", "u3")
    store.erasures.request(new_erasure(app, [erased]))
    entries = [an_entry(number, app=of, events=[Event(index=0, name="seen", **who)])
               for number, (of, who) in enumerate([(app, one), (other, one), (app, two), (app, old)], 1)]  # fmt: skip
    journal = Journal.claim(tmp_path, 10_000_000)
    journal.append([record(entry) for entry in entries])
    journal.append([Record("f" * 32, app.encode() + b" and no entry")])
    Loaded({journal.id: 1}).write(tmp_path)
    waiting, whole = unloaded(tmp_path, app, store.erasures, 60)
    assert whole
    asked = [Identifier("uid", f"u{number}") for number in (1, 2, 3)]
    assert waiting.mentions(asked) == {asked[1]}
    assert [fact.pair for fact in waiting.facts(asked[1], store.links)] == [(Identifier("customer_id", "c"), asked[1])]
    waiting, whole = unloaded(tmp_path, app, store.erasures, -1)
    assert (waiting.mentions(asked), whole) == (set(), False)
    journal.close()
