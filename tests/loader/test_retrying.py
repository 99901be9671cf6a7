"""Retries are told in whatever order, blocks and number of times requests are loaded."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenure.conservation import through_ids
from tenure.control.erasures import new_erasure
from tenure.control.tables import app
from tenure.customers.receipts import find_receipt, reinstate
from tenure.entry import Entry
from tenure.errors import Conflict
from tenure.event import Event
from tenure.identity import Identifier, event_ids
from tenure.loader import displaced, rebuilding, removal
from tenure.loader.block_writer import BlockWriter
from tenure.loader.rows import precedence
from tenure.retries import Received, duplicates, windows
from tenure.warehouse.migrate import migrations
from tests.loader.test_customers import APP, Loading
from tests.loader.test_displaced import derived, load
from tests.warehouse.conftest import Engine
from tests.warehouse_books import Books, books

START = 1_700_000_000_000_000
SECOND = 1_000_000
HOUR = 3_600
CANCELED = "churn_recorded"
CHURN = "/api/v1/projects/{slug}/churn-events"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loading]:
    directory = tmp_path_factory.mktemp("retrying")
    engine = Engine(directory)
    made = Loading(directory, engine)
    with made.store._writer.begin() as db:
        db.execute(app.insert().values(id=APP, name="retrying", created_at=0))
    yield made
    engine.stop()
    engine.listener.close()


@pytest.fixture
def loading(running: Loading) -> Loading:
    running.warehouse.client.command("TRUNCATE TABLE arrival")
    running.empty()
    return running


def sent(
    number: int, at: float, name: str = "login", *, who: str = "jane", verified: bool = True, **more: Any
) -> Entry:
    """A request without a time, `at` seconds after the start."""
    mrr = '{"currency":"USD","mrr":4900}' if name == CANCELED else "{}"
    path = CHURN if name == CANCELED else "/api/v1/track"
    event = Event(index=0, name=name, email=f"{who}@x.example", customer_id=who, properties=mrr)
    given = {"events": [event], "path": path, "key": "k1" if verified else "k2", "dialect": "windback"}
    return Entry(app=APP, receipt=f"{number:032x}", received_at=START + int(at * SECOND), verified=verified,
                 key_prefix="sk" if verified else "pub", **given | more)  # fmt: skip


def stored(loading: Loading) -> set[bytes]:
    return {bytes(row[0]) for row in loading.warehouse.client.query("SELECT event_id FROM event FINAL").result_rows}


def expected(entries: list[Entry], reinstated: frozenset[bytes] = frozenset()) -> set[bytes]:
    groups: dict[bytes, list[Received]] = {}
    for entry in entries:
        for event_id, window in zip(event_ids(entry), windows(entry), strict=True):
            assert window is not None
            order = precedence(entry.ordered_at, bytes.fromhex(entry.receipt))
            groups.setdefault(window.key, []).append(Received(order, event_id, entry.verified, window.seconds))
    return {one for group in groups.values() for one, of in duplicates(group, reinstated).items() if of is None}


def ledger_of(loading: Loading) -> Books:
    """The books, of which what `tenure check` compares by id is as they are."""
    found = books(loading.warehouse.tenant(APP))
    ids = through_ids(loading.warehouse.client, APP, found.received)
    assert (ids.missing, ids.ids - ids.erased - ids.displaced) == (0, found.stored)
    return found


def outcomes(loading: Loading, *entries: Entry) -> list[tuple[str, str | None, str | None]]:
    found = [find_receipt(loading.warehouse.tenant(APP), loading.store.erasures, loading.journals, entry.receipt)
             for entry in entries]  # fmt: skip
    return [(element.outcome, element.of, element.reason) for receipt in found for element in receipt.elements]


NAMES = st.sampled_from(["login", CANCELED])
COPIES = st.lists(
    st.tuples(st.integers(0, 40), NAMES, st.sampled_from(["jane", "joe"]), st.booleans()), min_size=2, max_size=8
)


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(COPIES, st.randoms(use_true_random=False))
def test_any_order_of_any_blocks_stores_the_same(
    running: Loading, found: list[tuple[int, str, str, bool]], shuffled: random.Random
) -> None:
    """What is stored is what the rule says of all copies together, and all that is derived goes by that; twice, too."""
    entries = [
        sent(number, at * HOUR if name == CANCELED else at, name, who=who, verified=verified)
        for number, (at, name, who, verified) in enumerate(found, 1)
    ]
    made = []
    for blocks in (1, 3):
        running.warehouse.client.command("TRUNCATE TABLE arrival")
        running.empty()
        order = list(entries)
        for again in (False, True):
            shuffled.shuffle(order)
            size = -(-len(order) // blocks)
            for start in range(0, len(order), size):
                load(running, *order[start : start + size], repeats=again)
        assert stored(running) == expected(entries)
        made.append(derived(running) | {"stored": sorted(stored(running))})
        assert running.volumes() == running.stored()
        assert ledger_of(running).balanced
    assert made[0] == made[1]


@pytest.mark.rule("retries", "windback")
def test_a_chain_that_begins_earlier_than_was_known_is_told_anew(loading: Loading) -> None:
    """Of copies at 8, 16 and 24 seconds the first and the third were stored; one at 0 comes, and it is 0 and 16."""
    first, *others = (sent(number, at) for number, at in enumerate([0, 8, 16, 24], 1))
    load(loading, *others)
    assert [outcome for outcome, _, _ in outcomes(loading, *others)] == ["stored", "duplicate", "stored"]
    load(loading, first)
    assert outcomes(loading, first, *others) == [
        ("stored", None, None), ("duplicate", first.receipt, "retry_window"),
        ("stored", None, None), ("duplicate", others[1].receipt, "retry_window"),
    ]  # fmt: skip
    assert loading.counts() == {"customer_id:jane": 2}
    found = ledger_of(loading)
    assert (found.received, found.stored, found.duplicates, found.balanced) == (4, 2, 2, True)


@pytest.mark.parametrize("where", ["remove", "event", "retry_copy", "first_copy"])
def test_a_block_that_is_broken_off_comes_to_the_same(
    loading: Loading, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Wherever a crash comes, the block is done again and nothing shows that it happened."""
    entries = [sent(number, at, CANCELED) for number, at in enumerate([0, 20 * HOUR, 30 * HOUR, 50 * HOUR], 1)]
    load(loading, *entries)
    whole = derived(loading)
    loading.warehouse.client.command("TRUNCATE TABLE arrival")
    loading.empty()
    load(loading, *entries[1:])
    inserting = BlockWriter.insert
    removing = displaced.remove

    def insert(self: BlockWriter, table: str, rows: Any) -> None:
        inserting(self, table, rows)
        if table == where:
            raise InterruptedError

    def remove(*given: Any) -> None:
        removing(*given)
        if where == "remove":
            raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(BlockWriter, "insert", insert)
        patch.setattr(displaced, "remove", remove)
        with pytest.raises(InterruptedError):
            load(loading, entries[0])
    loading.start()
    load(loading, entries[0], repeats=True)
    assert derived(loading) | {"stored": None} == whole | {"stored": None}
    assert stored(loading) == expected(entries)
    assert ledger_of(loading).balanced


def ask(loading: Loading, entry: Entry, index: int | None = None) -> list[str]:
    tenant = loading.warehouse.tenant(APP)
    return reinstate(tenant, loading.store, loading.journals, entry.receipt, index).event_ids


@pytest.mark.rule("retries", "windback")
def test_a_reinstated_copy_is_an_event_of_its_own(loading: Loading) -> None:
    """Once, however often that is asked and loaded; in the ledger of the log; and it stays when all is loaded anew."""
    entries = [sent(number, at, CANCELED) for number, at in enumerate([0, HOUR, 2 * HOUR], 101)]
    load(loading, *entries)
    assert loading.counts() == {"customer_id:jane": 1}
    (own,) = (one.hex() for one in event_ids(entries[1]))
    for _ in range(2):
        assert ask(loading, entries[1]) == [own]
        loading.loader._reinstate()
    with pytest.raises(Conflict, match="nothing of this request"):
        ask(loading, entries[0])
    audit = loading.store.audit.entries(action="event.reinstate").items
    assert [(one.subject, one.details) for one in audit] == [(entries[1].receipt, {"events": [own]})]
    for again in (False, True, None):
        if again is None:
            loading.warehouse.client.command("TRUNCATE TABLE arrival")
            loading.empty()
        load(loading, *entries, repeats=bool(again))
        assert [outcome for outcome, _, _ in outcomes(loading, *entries)] == ["stored", "stored", "duplicate"]
        assert loading.counts() == {"customer_id:jane": 2}
        facts = loading.warehouse.client.query("SELECT count() FROM subscription_fact FINAL").result_rows[0][0]
        found = ledger_of(loading)
        assert (facts, found.stored, found.duplicates, found.balanced) == (2, 2, 1, True)
        assert loading.volumes() == loading.stored()


def test_a_reinstatement_that_is_broken_off_comes_to_the_same(
    loading: Loading, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restart it is carried out, and counted once."""
    entries = [sent(number, at, who="ann") for number, at in enumerate([0, 1], 201)]
    load(loading, *entries)
    ask(loading, entries[1])
    inserting = BlockWriter.insert

    def insert(self: BlockWriter, table: str, rows: Any) -> None:
        inserting(self, table, rows)
        if table == "event":
            raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(BlockWriter, "insert", insert)
        with pytest.raises(InterruptedError):
            loading.loader._reinstate()
    loading.start()
    loading.loader._reinstate()
    assert not loading.store.reinstated.pending()
    assert loading.counts() == {"customer_id:ann": 2}
    assert loading.volumes() == loading.stored()
    assert ledger_of(loading).balanced


def erase(loading: Loading, entry: Entry) -> None:
    """The customer of a request, as of 2**52 microseconds."""
    asked = new_erasure(APP, [Identifier("customer_id", entry.events[0].customer_id or ""),
                              Identifier("email", entry.events[0].email or "")])  # fmt: skip
    removal.prepare(loading.warehouse.client, asked)
    loading.store.erasures.request(asked)
    removal.note(loading.warehouse.client, asked, loading.loader._volumes)
    for step in removal.mark(loading.warehouse.client, [asked]):
        while not step():
            pass


def test_a_retry_of_what_was_erased_stays_away(loading: Loading) -> None:
    """Though it is received after the erasure, and whatever is loaded first; what comes when the window is over is
    stored."""
    for number, who in enumerate(["gone", "late"]):
        received_at = new_erasure(APP, []).ordered_at - SECOND
        old, again, other = (
            msgspec.structs.replace(
                sent(place + number, 0, CANCELED, who=who), received_at=received_at + after * SECOND
            )
            for place, after in ((10, 0), (20, 9 * HOUR), (30, 25 * HOUR))
        )
        if who == "gone":
            load(loading, old)
        erase(loading, old)
        if who == "late":
            load(loading, old)
        load(loading, again)
        load(loading, other)
        for _ in range(2):
            told = [outcome for outcome, _, _ in outcomes(loading, old, again, other)]
            assert told == ["erased", "erased", "stored"], who
            load(loading, other, again, old, repeats=True)
        assert ledger_of(loading).balanced


def test_a_retry_over_the_upgrade_is_one(loading: Loading) -> None:
    """What an older release stored keeps its id and its place, two copies of one cancellation too; what is sent again
    within 24 hours of either is a duplicate."""
    query = loading.warehouse.client.query
    first, twin, again, later = (sent(number, at * HOUR, CANCELED) for number, at in enumerate([0, 1, 24.5, 26], 1))
    load(loading, first, sent(9, 2 * HOUR, CANCELED, who="joe"))
    loading.warehouse.client.command("TRUNCATE TABLE retry_copy")
    load(loading, msgspec.structs.replace(twin, idempotency_key="as before"))
    loading.warehouse.client.command("DROP TABLE retry_copy")
    before = stored(loading)
    assert len(before) == 3
    (statements,) = (statements for number, _, statements in migrations() if number == 22)
    for statement in [*statements, *statements]:  # repeatable
        loading.warehouse.client.command(statement)
    loading.start()
    assert query("SELECT count() FROM retry_copy FINAL").first_row == (3,)
    load(loading, again)
    assert stored(loading) == before
    assert outcomes(loading, again) == [("duplicate", twin.receipt, "retry_window")]
    load(loading, later)
    assert len(stored(loading)) == 4


def test_lost_first_copies_are_made_anew(loading: Loading) -> None:
    """From the copies and the events there are: a retry is one of the stored copy before it, or verified after it."""
    entries = [sent(number, at, who="ida") for number, at in enumerate([0, 8, 16, 18], 301)]
    entries += [sent(311, 0, who="ivo", verified=False), sent(312, 5, who="ivo", key="k2")]
    load(loading, *entries)
    before = outcomes(loading, *entries)
    assert [outcome for outcome, _, _ in before] == ["stored", "duplicate", "stored", *["duplicate"] * 2, "stored"]
    client = loading.warehouse.client
    client.command("TRUNCATE TABLE first_copy")
    client.command(rebuilding.FIRST_COPY)
    client.command(rebuilding.RETRIES)
    loading.start()
    assert outcomes(loading, *entries) == before
    load(loading, *entries, repeats=True)
    assert outcomes(loading, *entries) == before
    assert ledger_of(loading).balanced
