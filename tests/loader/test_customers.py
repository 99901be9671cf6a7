"""The list of customers follows what it is made of: in any order, after a crash, and when customers become one."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tenure.control.database import connect, migrate
from tenure.control.erasures import REQUESTED, new_erasure
from tenure.control.link import CARRIED, Link
from tenure.control.store import Store
from tenure.customers.conditions import Filter
from tenure.customers.customer import find_customer
from tenure.customers.listing import Customers, customers
from tenure.entry import Entry
from tenure.errors import NotFound
from tenure.event import Event, Identify
from tenure.identity import Identifier, identity_key
from tenure.loader import customers as customer_list
from tenure.loader import rows
from tenure.loader.backfill import STEPS
from tenure.loader.block_writer import BlockWriter
from tenure.loader.canonical import Canonical
from tenure.loader.customers import CustomerList
from tenure.loader.loader import Loader
from tenure.loader.tombstones import known_of
from tenure.settings import Settings
from tenure.warehouse.address import EngineAddress
from tenure.warehouse.client import Warehouse
from tenure.warehouse.migrate import migrate as migrate_warehouse
from tests.warehouse.conftest import Engine

APP = "app_00000000000000aa"
VOLUMES = """SELECT app, name, dialect, day, sum(events) AS counted FROM volume
GROUP BY app, name, dialect, day HAVING counted != 0 ORDER BY ALL"""
STORED = """SELECT app, name, dialect, toDate32(occurred_at) AS day, count() FROM event FINAL
GROUP BY app, name, dialect, day ORDER BY ALL"""


class Loading:
    """A loader on an engine of its own, which is fed blocks of entries."""

    def __init__(self, directory: Path, engine: Engine) -> None:
        settings = Settings.load({"data": directory}, {})
        EngineAddress(engine.port, engine.secret).write(directory)
        database = connect(settings)
        migrate(database)
        self.warehouse = Warehouse(settings)
        migrate_warehouse(self.warehouse.client, STEPS)
        self.journals = directory / "journal"
        self.journals.mkdir(exist_ok=True)
        self.store = Store(database)
        self.billing = self.store.billing.of
        self.start()

    def start(self) -> None:
        """As after a crash: with what is on disk only."""
        self.following = CustomerList(self.journals, self.warehouse, lambda app: self.billing(app))  # noqa: PLW0108
        canonical = Canonical(self.warehouse, self.store.links, self.following.links_written)
        self.loader = Loader(self.journals, self.warehouse, self.store, canonical, self.following, 20_000, None)

    def empty(self) -> None:
        for table in ("event", "first_copy", "identify", "fact", "seen", "identifier", "customer", "canonical",
                      "subscription_fact", "ledger", "volume", "erased_event", "retry_copy"):  # fmt: skip
            self.warehouse.client.command(f"TRUNCATE TABLE {table}")
        (self.journals / "customers.json").unlink(missing_ok=True)
        self.billing = self.store.billing.of
        self.start()

    def load(self, entries: list[Entry], token: str = "", *, repeats: bool = False) -> None:
        known = known_of(self.warehouse.client, entries, with_erased=False)
        made = rows.block(entries, known=known)
        self.loader._blocks.insert(made, known, token or f"{random.random()}", repeats=repeats)
        if repeats:
            self.loader._volumes.put_right(self.warehouse.client, {entry.app for entry in entries})
        self.loader._blocks.end()

    def link(self, one: str, head: str, version: int) -> None:
        key, canonical = (identity_key(APP, Identifier("uid", uid)) for uid in (one, head))
        self.warehouse.client.insert("canonical", [[APP, key, canonical, version]],
                                     column_names=["app", "key", "canonical", "version"])  # fmt: skip

    def follow(self) -> None:
        """Until there is nothing more to do."""
        while self.following.follow():
            pass

    def listed(self, **filters: Any) -> Customers:
        self.follow()
        return customers(self.warehouse.tenant(APP), Filter(**filters), sort="-last_seen")

    def volumes(self) -> list[Any]:
        return [*self.warehouse.client.query(VOLUMES).result_rows]

    def stored(self) -> list[Any]:
        return [*self.warehouse.client.query(STORED).result_rows]

    def counts(self, **filters: Any) -> dict[str, int]:
        return {item.id: item.events for item in self.listed(**filters).items}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loading]:
    directory = tmp_path_factory.mktemp("customers")
    engine = Engine(directory)
    yield Loading(directory, engine)
    engine.stop()
    engine.listener.close()


@pytest.fixture
def loading(running: Loading) -> Loading:
    running.empty()
    return running


def entry(number: int, *events: Event, identifies: tuple[Identify, ...] = (), received_at: int = 0) -> Entry:
    return Entry(app=APP, receipt=f"{number:032x}", received_at=received_at or 1_700_000_000_000_000 + number,
                 dialect="native", verified=True, key_prefix="sk", events=list(events),
                 identifies=list(identifies))  # fmt: skip


def event(uid: str, message_id: str, at: int, name: str = "login") -> Event:
    return Event(index=0, name=name, uid=uid, message_id=message_id, occurred_at=at)


HISTORY = [
    entry(1, event("a", "1", 5_000)),
    entry(2, event("b", "1", 9_000)),  # the same message, received later: a's counts
    entry(3, event("a", "2", 1_000, "export")),
    entry(4, event("b", "3", 3_000)),
    entry(5, event("b", "2", 500)),
    entry(6, event("c", "4", 7_000), identifies=(Identify(index=0, uid="c", traits='{"name":"Cid"}'),)),
    entry(7, event("c", "4", 2_000)),
    entry(8, event("a", "5", 5_000)),
]


def test_any_order_and_repetition_gives_the_same_list(loading: Loading) -> None:
    """Least and greatest times and the last name are exact also where an earlier copy takes an event's place."""
    found = set()
    for seed in range(6):
        loading.empty()
        shuffled = HISTORY + HISTORY[:3]
        random.Random(seed).shuffle(shuffled)
        for start in range(0, len(shuffled), 1 + seed % 3):
            loading.load(shuffled[start : start + 1 + seed % 3])
            loading.follow()
        found.add(repr(loading.listed()))
    assert len(found) == 1
    assert loading.counts() == {"uid:c": 1, "uid:a": 3, "uid:b": 1}
    a = next(item for item in loading.listed().items if item.id == "uid:a")
    assert (a.first_seen, a.last_seen) == ("1970-01-01T00:00:01.000Z", "1970-01-01T00:00:05.000Z")


@pytest.mark.parametrize("table", ["event", "seen", "volume", "first_copy", "identify", "identifier", "arrival"])
def test_a_block_that_is_inserted_again_counts_once(
    loading: Loading, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever insert a crash comes after, doing the block again under its token changes nothing more."""
    loading.load(HISTORY[1:2])
    insert = BlockWriter.insert

    def crashing(self: BlockWriter, name: str, *rest: Any) -> None:
        insert(self, name, *rest)
        if name == table:
            raise ConnectionError

    token = f"block-{table}-{time.time_ns()}"
    with monkeypatch.context() as patched:
        patched.setattr(BlockWriter, "insert", crashing)
        with pytest.raises(ConnectionError):
            loading.load(HISTORY, token)
    loading.start()
    loading.load(HISTORY, token, repeats=True)
    assert loading.counts() == {"uid:c": 1, "uid:a": 3, "uid:b": 1}
    assert loading.volumes() == loading.stored()


def test_what_a_crash_left_undone_is_found(loading: Loading) -> None:
    """A loader that starts lists what was stored before it, and without its file everything."""
    loading.load(HISTORY[:1])
    assert loading.counts() == {"uid:a": 1}
    loading.load(HISTORY[2:4])
    loading.start()
    assert loading.counts() == {"uid:a": 2, "uid:b": 1}
    loading.warehouse.client.command("TRUNCATE TABLE customer")
    (loading.journals / "customers.json").unlink()
    loading.start()
    assert loading.counts() == {"uid:a": 2, "uid:b": 1}


def test_customers_that_become_one_and_part_again(loading: Loading) -> None:
    """A merge makes one row of two, with everything of both; a split gives both back as they were."""
    loading.load(HISTORY)
    before = loading.listed()
    loading.link("a", "a", 1)
    loading.link("c", "a", 1)
    after = loading.listed()
    assert {item.id: item.events for item in after.items} == {"uid:a": 4, "uid:b": 1}
    merged = next(item for item in after.items if item.id == "uid:a")
    assert (merged.identifiers, merged.name, merged.last_seen[:19]) == (
        ["uid:a", "uid:c"], "Cid", "1970-01-01T00:00:07",
    )  # fmt: skip
    for filters in ({"q": "c"}, {"q": "cid"}, {"attributes": ("name:eq:Cid",)}):
        assert loading.counts(**filters) == {"uid:a": 4}
    assert loading.counts(did="login", did_at_least=3, did_within_days=1, now=8_000) == {"uid:a": 3 + 1}
    loading.load([entry(9, event("c", "6", 8_000))])
    assert loading.counts() == {"uid:a": 5, "uid:b": 1}
    loading.link("c", "c", 2)
    loading.link("a", "a", 2)
    parted = loading.listed()
    assert {item.id: item.events for item in parted.items} == {"uid:c": 2, "uid:a": 3, "uid:b": 1}
    assert [item for item in parted.items if item.id != "uid:c"] == [
        item for item in before.items if item.id != "uid:c"
    ]


def test_what_there_is_to_be_made_is_known_at_once(loading: Loading) -> None:
    """The loader says what was stored, and whoever writes canonical customers that they did."""
    following, app = loading.following, loading.store.create_app("known at once").id
    loading.load(HISTORY)
    assert following._is_awaited()
    loading.follow()
    assert not following._is_awaited()
    one, other = Identifier("uid", "a"), Identifier("uid", "b")
    loading.store.links.add([Link(app, one, other, CARRIED, "native", True, 1, "0" * 32, 0)])
    loading.loader._canonical.follow()
    assert following._is_awaited()
    loading.follow()
    assert not following._is_awaited()


def test_what_another_process_linked_is_found_in_time(loading: Loading) -> None:
    """Nobody tells of it; it is looked for."""
    loading.load(HISTORY)
    loading.follow()
    loading.following.start()
    try:
        loading.link("a", "a", 1)
        loading.link("c", "a", 1)
        deadline = time.monotonic() + 20
        while len(customers(loading.warehouse.tenant(APP), Filter()).items) > 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        loading.following.stop()


def test_canonical_customers_of_links_that_are_forgotten_meanwhile(
    loading: Loading, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Facts that were read before a customer was hidden make no row after it."""
    links, erasures = loading.store.links, loading.store.erasures
    app = loading.store.create_app("forgotten").id
    sides = Identifier("customer_id", "c"), Identifier("uid", "u")
    links.add([Link(app, *sides, CARRIED, "native", True, 1, f"{1:032x}")])
    facts_of, hiding = links.facts_of, threading.Thread(target=loading.loader._tend_erasures)

    def hidden_meanwhile(clusters: Iterable[str]) -> dict[str, list[Link]]:
        found = facts_of(clusters)
        erasures.request(new_erasure(app, sides))
        hiding.start()
        hiding.join(3)  # it waits for what is being written; if it did not, it would be done by now
        return found

    monkeypatch.setattr(links, "facts_of", hidden_meanwhile)
    loading.loader._canonical.follow()
    hiding.join()
    assert erasures.pending(REQUESTED) == []
    sql = f"SELECT count() FROM canonical FINAL WHERE app = '{app}'"
    assert loading.warehouse.client.query(sql).result_rows == [(0,)]


def test_who_has_nothing_but_what_another_said_first_is_nobody(loading: Loading) -> None:
    """Once an earlier copy of the only event is found to be another customer's, now and at any time before."""
    tenant = loading.warehouse.tenant(APP)
    loading.load([entry(2, event("late", "1", 9_000))])
    assert find_customer(tenant, loading.store, "late").identifiers == (Identifier("uid", "late"),)
    loading.load([entry(1, event("early", "1", 5_000))])
    assert find_customer(tenant, loading.store, "early").keys == [identity_key(APP, Identifier("uid", "early"))]
    for as_of in (None, 1_800_000_000_000):
        with pytest.raises(NotFound):
            find_customer(tenant, loading.store, "late", as_of)


def test_rows_that_were_replaced_do_not_show(loading: Loading) -> None:
    """However many replaced rows lie before it, the page has the rows in force, in their order."""
    loading.warehouse.client.command("SYSTEM STOP MERGES customer")
    loading.load([entry(n, event(f"u{n}", f"{n}", n)) for n in range(1, 200)])
    loading.follow()
    loading.load([entry(1_000 + n, event(f"u{n}", f"x{n}", 1_000_000 - n)) for n in range(1, 190)])
    loading.follow()
    page = customers(loading.warehouse.tenant(APP), Filter(), sort="last_seen", limit=12)
    assert [item.id for item in page.items] == [f"uid:u{n}" for n in [*range(190, 200), 189, 188]]


def test_what_was_stored_before_there_was_a_list(loading: Loading) -> None:
    """The schema's migration counts what is there, and doing it again changes nothing."""
    loading.load(HISTORY)
    expected = loading.listed()
    for _ in range(2):
        for table in ("seen", "identifier", "customer"):
            loading.warehouse.client.command(f"DROP TABLE {table}")
        loading.warehouse.client.command("DELETE FROM schema_migration WHERE number IN (5, 7, 10)")
        done = migrate_warehouse(loading.warehouse.client, STEPS)
        assert done == ["0005_customer.sql", "0007_subscriptions.sql", "0010_customer_health.sql"]
        (loading.journals / "customers.json").unlink(missing_ok=True)
        loading.start()
        assert loading.listed() == expected


def test_what_was_stored_before_there_were_three_times(loading: Loading) -> None:
    """An upgrade fills them from the events, and the list makes its rows again; doing it again changes nothing."""
    loading.load(HISTORY)
    expected = loading.listed()
    client = loading.warehouse.client
    for _ in range(2):
        for column in ("verified_last", "received_last"):
            client.command(f"ALTER TABLE seen DROP COLUMN {column}")
        for column in ("verified_lasts", "last_received", "dated_ahead", "ahead_at"):
            client.command(f"ALTER TABLE customer DROP COLUMN {column}")
        client.command("DELETE FROM schema_migration WHERE number = 20")
        assert migrate_warehouse(client, STEPS) == ["0020_three_times.sql"]
        loading.start()
        assert loading.listed() == expected


def test_what_was_computed_before_a_hiding_is_not_written_after_it(
    loading: Loading, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A customer who is hidden while their row is being made stays hidden, and those beside them are made again."""
    loading.load(HISTORY)
    hidden = identity_key(APP, Identifier("uid", "a"))
    attributes = customer_list.attributes_in_force

    def hiding(*arguments: Any) -> Any:
        with loading.following.hiding():
            for table in ("seen", "identifier"):
                loading.warehouse.client.command(f"DELETE FROM {table} WHERE customer_key = unhex('{hidden.hex()}')")
        return attributes(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(customer_list, "attributes_in_force", hiding)
        assert loading.following.follow()
    assert not customers(loading.warehouse.tenant(APP), Filter()).items
    assert loading.counts() == {"uid:c": 1, "uid:b": 1}


def test_a_thread_follows_until_it_is_stopped_whatever_fails(loading: Loading, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure is tried again, and stopping ends the thread."""
    make, failures = CustomerList._make, [ConnectionError(), ZeroDivisionError()]

    def failing(*arguments: Any) -> bool:
        if failures:
            raise failures.pop()
        return make(*arguments)

    monkeypatch.setattr(CustomerList, "_make", failing)
    loading.following.start()
    loading.load(HISTORY)
    deadline = time.monotonic() + 60
    while not (page := customers(loading.warehouse.tenant(APP), Filter())).items:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert {item.id for item in page.items} == {"uid:a", "uid:b", "uid:c"}
    loading.following.stop()
    assert not loading.following._thread.is_alive()


def test_a_block_whose_last_inserts_failed_is_listed(loading: Loading, monkeypatch: pytest.MonkeyPatch) -> None:
    """Done again in the same process, it finds nothing new; its customers are made all the same."""
    insert = BlockWriter.insert

    def failing(self: BlockWriter, name: str, *rest: Any) -> None:
        if name == "arrival":
            raise ConnectionError
        insert(self, name, *rest)

    loading.follow()
    with monkeypatch.context() as patched:
        patched.setattr(BlockWriter, "insert", failing)
        with pytest.raises(ConnectionError):
            loading.load(HISTORY, "failing")
    loading.load(HISTORY, "failing", repeats=True)
    assert loading.counts() == {"uid:c": 1, "uid:a": 3, "uid:b": 1}


def test_a_list_that_is_made_anew_has_nobody_of_before(loading: Loading) -> None:
    """Without its file the list is made again, and rows of those who are no customers any more go."""
    loading.load(HISTORY)
    assert len(loading.counts()) == 3
    loading.link("a", "a", 1)
    loading.link("c", "a", 1)
    (loading.journals / "customers.json").unlink()
    loading.start()
    loading.follow()
    deadline = time.monotonic() + 60
    while loading.counts() != {"uid:a": 4, "uid:b": 1}:
        assert time.monotonic() < deadline
        time.sleep(0.05)
