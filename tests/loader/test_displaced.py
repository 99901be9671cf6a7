"""What anybody may send keeps nobody who is believed from being heard, and leaves no trace once they are."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress
from itertools import permutations
from typing import Any

import msgspec
import pytest

from tenure.control.erasures import new_erasure
from tenure.customers.customer import find_customer
from tenure.customers.receipts import find_receipt
from tenure.entry import Entry, record
from tenure.errors import NotFound
from tenure.event import Event, Identify
from tenure.identity import Identifier, Names, Sender
from tenure.journal import Journal
from tenure.loader import block_loader, displaced, removal
from tenure.loader.block_writer import BlockWriter
from tests.loader.test_customers import APP, Loading
from tests.warehouse.conftest import Engine

DERIVED = {
    "event": "SELECT event_id, customer_key, toString(occurred_at), name, verified FROM event FINAL",
    "stored": "SELECT event_id, precedence FROM first_copy FINAL WHERE displaced_by = toFixedString('', 16)",
    "seen": "SELECT customer_key, name, sum(events), sum(verified), min(first), max(last) FROM seen GROUP BY ALL",
    "volume": "SELECT name, dialect, day, sum(events) AS counted FROM volume GROUP BY ALL HAVING counted != 0",
    "identifier": "SELECT kind, value FROM identifier FINAL",
    "subscription_fact": "SELECT customer_key, subscription, fact FROM subscription_fact FINAL",
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loading]:
    directory = tmp_path_factory.mktemp("displaced")
    engine = Engine(directory)
    yield Loading(directory, engine)
    engine.stop()
    engine.listener.close()


@pytest.fixture
def loading(running: Loading) -> Loading:
    running.warehouse.client.command("TRUNCATE TABLE arrival")
    running.empty()
    return running


def sent(number: int, *events: Event, verified: bool = True, dialect: str = "native", **more: Any) -> Entry:
    prefix = "sk" if verified else "pub"
    return Entry(app=APP, receipt=f"{number:032x}", received_at=1_700_000_000_000_000 + number, dialect=dialect,
                 verified=verified, key_prefix=prefix, path="/", events=list(events), **more)  # fmt: skip


def said(message_id: str | None = "order-1001", name: str = "order_paid", **fields: Any) -> Event:
    who = {"customer_id": "c1"} if not fields.keys() & {"uid", "anonymous_id", "email"} else {}
    return Event(**({"index": 0, "name": name, "message_id": message_id, "occurred_at": 5_000} | who | fields))


def load(loading: Loading, *entries: Entry, repeats: bool = False) -> None:
    """One block, by what is known and erased."""
    loader = loading.loader
    tombstones, known = loader._look_up(list(entries))
    block = block_loader.rows.block(entries, tombstones, known)
    loader._blocks.insert(block, known, f"{random.random()}", repeats=repeats)
    if repeats:
        loader._volumes.put_right(loading.warehouse.client, {APP})
    loader._blocks.end()


def derived(loading: Loading) -> dict[str, Any]:
    query = loading.warehouse.client.query
    made = {table: sorted(map(str, query(sql).result_rows)) for table, sql in DERIVED.items()}
    return made | {"list": [msgspec.to_builtins(item) | {"health": None} for item in loading.listed().items]}


def outcomes(loading: Loading, *entries: Entry) -> list[tuple[str, str | None]]:
    found = [find_receipt(loading.warehouse.tenant(APP), loading.store.erasures, loading.journals, entry.receipt)
             for entry in entries]  # fmt: skip
    return [(element.outcome, element.of) for receipt in found for element in receipt.elements]


PAID = sent(3, said(properties='{"amount":5}'))
NOISE = sent(1, said(name="noise", anonymous_id="att", email="att@x.example"), verified=False)
AGAIN = sent(4, said(name="noise", anonymous_id="att2", occurred_at=9), verified=False)
EARLIER = sent(2, said(occurred_at=4_000, properties='{"amount":5}'))
OTHERS = sent(5, said("2", "login", anonymous_id="att"), verified=False)


@pytest.mark.parametrize("blocks", [1, 2, 4])
def test_a_verified_copy_takes_the_place_of_unverified_ones(loading: Loading, blocks: int) -> None:
    """In any order and blocks, all that is derived is as if the others had never been sent; they are duplicates."""
    load(loading, EARLIER, PAID, OTHERS)
    expected, of = derived(loading), EARLIER.receipt
    assert {item["id"] for item in expected["list"]} == {"customer_id:c1", "anonymous_id:att"}
    orders = list(permutations([NOISE, AGAIN, PAID, EARLIER]))
    for order in random.Random(blocks).sample(orders, 4):
        loading.warehouse.client.command("TRUNCATE TABLE arrival")
        loading.empty()
        load(loading, OTHERS)
        for start in range(0, 4, 4 // blocks):
            load(loading, *order[start : start + 4 // blocks])
            loading.follow()
            loading.start()
        assert derived(loading) == expected, order
        assert outcomes(loading, EARLIER, NOISE, AGAIN, PAID) == [("stored", None), *[("duplicate", of)] * 3]
        load(loading, *order, repeats=True)
        assert derived(loading) == expected, order


def test_a_customer_of_whom_nothing_is_left_is_not_found(loading: Loading) -> None:
    """Neither under the key nor by another identifier that the unverified copy carried."""
    load(loading, NOISE)
    assert [item.id for item in loading.listed().items] == ["email:att@x.example"]
    load(loading, PAID)
    assert [item.id for item in loading.listed().items] == ["customer_id:c1"]
    for text in ("att", "att@x.example"):
        with pytest.raises(NotFound):
            find_customer(loading.warehouse.tenant(APP), loading.store, text)


@pytest.mark.parametrize("dialect", ["churnkey", "windback", "customerscore", "whisperr", "stripe"])
def test_each_vendor_has_message_ids_of_its_own(loading: Loading, dialect: str) -> None:
    """A message id of one family takes none of another; native requests and imports are one family.

    In every order, for one vendor; in some, for the others: the dialect is a name there.
    """
    theirs = sent(1, said("1", uid="u1"), dialect=dialect, verified=False)
    native, imported = sent(2, said("1", uid="u2")), sent(3, said("1", uid="u2"), dialect="import")
    believed = sent(4, said("1", uid="u3"), dialect=dialect)
    orders = list(permutations([theirs, native, imported, believed]))
    for order in orders if dialect == "stripe" else random.Random(dialect).sample(orders, 4):
        loading.warehouse.client.command("TRUNCATE TABLE arrival")
        loading.empty()
        for entry in order:
            load(loading, entry)
        assert loading.counts() == {"uid:u2": 1, "uid:u3": 1}
        assert [outcome for outcome, _ in outcomes(loading, theirs, native, imported, believed)] == [
            "duplicate", "stored", "duplicate", "stored",
        ]  # fmt: skip


def test_signed_copies_are_verified_ones(loading: Loading) -> None:
    """What a browser signs takes the place of what it did not sign; so does equal content with a time of its own."""
    for message_id in ("m", None):
        loading.empty()
        unsigned = sent(1, said(message_id, precise=True), verified=False)
        signed = sent(2, said(message_id, precise=True, signed=True), verified=False)
        for entry in (unsigned, signed, unsigned):
            load(loading, entry)
        assert outcomes(loading, unsigned, signed) == [("duplicate", signed.receipt), ("stored", None)]
        assert loading.counts(verified=True) == {"customer_id:c1": 1}


def test_an_idempotency_key_is_that_of_the_key_that_sent_it(loading: Loading) -> None:
    """Two API keys that use the same one do not meet; the same key twice does."""
    plain = said(None, occurred_at=None)
    one, again, other = (
        sent(number, plain, idempotency_key="k", key=key) for number, key in ((1, "a"), (2, "a"), (3, "b"))
    )
    public = sent(4, plain, idempotency_key="k", key="c", verified=False)
    load(loading, public, one, again, other)
    assert [outcome for outcome, _ in outcomes(loading, public, one, again, other)] == [
        "stored", "stored", "duplicate", "stored",
    ]  # fmt: skip


STEPS = ["volume", "event", "seen", "first_copy", "arrival", "remove", "count_anew", "forget"]


@pytest.mark.parametrize(("first", "step"), [*((NOISE, step) for step in STEPS), (PAID, "first_copy")])
def test_a_block_that_is_broken_off_leaves_no_trace_either(
    loading: Loading, step: str, first: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the crash comes after, when the block is done again after a restart, all is as without what gave way."""
    second = PAID if first is NOISE else NOISE
    load(loading, PAID, OTHERS)
    expected = derived(loading)
    loading.empty()
    load(loading, first, OTHERS)
    loading.listed()
    journal = Journal.claim(loading.journals, 1 << 30)
    journal.append([record(second)])
    insert = BlockWriter.insert

    def crashing(self: BlockWriter, name: str, *rest: Any) -> None:
        insert(self, name, *rest)
        if name == step:
            raise ConnectionError

    def failing(real: Any) -> Any:
        def then_fail(*arguments: Any) -> None:
            real(*arguments)
            raise ConnectionError

        return then_fail

    with monkeypatch.context() as patched:
        patched.setattr(BlockWriter, "insert", crashing)
        for module, name in ((displaced, "remove"), (displaced, "forget"), (block_loader, "count_anew")):
            if name == step:
                patched.setattr(module, name, failing(getattr(module, name)))
        with suppress(ConnectionError):
            loading.loader.load_block()
    loading.start()
    loading.loader.load_block()
    journal.close()
    assert derived(loading) == expected


def test_what_was_erased_verified_does_not_come_back_unverified(loading: Loading) -> None:
    """In either order of the erasure and of what anybody may send; and an erased noise keeps no verified event out."""
    asked = new_erasure(loading.store.create_app("erased").id, [Identifier("customer_id", "c1")])
    paid, noise = (msgspec.structs.replace(one, app=asked.app) for one in (PAID, NOISE))
    late = msgspec.structs.replace(noise, receipt=f"{77:032x}", received_at=2**52)
    load(loading, paid)
    removal.prepare(loading.warehouse.client, asked)
    loading.store.erasures.request(asked)
    removal.note(loading.warehouse.client, asked, loading.loader._volumes)
    for step in removal.mark(loading.warehouse.client, [asked]):
        while not step():
            pass
    load(loading, late)
    query = loading.warehouse.client.query
    assert query("SELECT count() FROM event FINAL").first_row == (0,)
    assert query("SELECT outcome FROM arrival FINAL WHERE receipt = unhex('" + late.receipt + "')").first_row == (
        "erased",
    )


class Before:
    """Loads as releases did that had one id for all senders."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def load(self, loading: Loading, *entries: Entry) -> None:
        def old(self: Names, trusted: bool, owner: Sender | None) -> bytes:
            return self.old

        with self._monkeypatch.context() as patched:
            patched.setattr(Names, "of", old)
            for entry in entries:
                load(loading, entry)
        loading.warehouse.client.command(
            "ALTER TABLE first_copy UPDATE family = '', verified = false WHERE true SETTINGS mutations_sync = 2"
        )


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> Before:
    return Before(monkeypatch)


SENDERS = [("native", True), ("native", False), ("whisperr", False), ("whisperr", True), ("stripe", True)]


@pytest.mark.parametrize("sender", SENDERS)
def test_a_retry_over_the_upgrade_stays_a_duplicate(loading: Loading, before: Before, sender: tuple[str, bool]) -> None:
    """Of every sender; and each of the others is heard, but who is not believed where the same family was verified."""
    dialect, verified = sender
    for kind in ({"message_id": "m"}, {"message_id": None, "precise": True}):
        loading.warehouse.client.command("TRUNCATE TABLE arrival")
        loading.empty()
        first, again = (sent(number, said(**kind), dialect=dialect, verified=verified) for number in (1, 2))
        before.load(loading, first)
        load(loading, again)
        load(loading, again, repeats=True)
        assert outcomes(loading, first, again) == [("stored", None), ("duplicate", first.receipt)]
        assert loading.counts() == {"customer_id:c1": 1}
    for number, (of, trusted) in enumerate(SENDERS, 10):
        if (of, trusted) == sender:
            continue
        loading.warehouse.client.command("TRUNCATE TABLE arrival")
        loading.empty()
        first = sent(1, said("m", anonymous_id="att"), dialect=dialect, verified=verified)
        later = [sent(number + at, said("m", uid="u"), dialect=of, verified=trusted) for at in (0, 50)]
        before.load(loading, first)
        for entry in later:
            load(loading, entry)
        told = [outcome for outcome, _ in outcomes(loading, first, *later)]
        if of != dialect:
            assert (told, loading.counts()) == (["stored", "stored", "duplicate"], {"anonymous_id:att": 1, "uid:u": 1})
        elif trusted:
            assert (told, loading.counts()) == (["duplicate", "stored", "duplicate"], {"uid:u": 1})
        else:
            assert (told, loading.counts()) == (["stored", "duplicate", "duplicate"], {"anonymous_id:att": 1})


def test_journals_that_were_not_loaded_at_the_upgrade(loading: Loading, before: Before) -> None:
    """What an older release took and did not load meets its retries in any order, by Idempotency-Key too."""
    app = loading.store.create_app("older").id
    key = loading.store.create_keys(app)
    (row,) = [row for row in loading.store.list_keys(app) if row.kind == "secret"]
    assert key["secret_key"].startswith(row.prefix)
    plain = said(None, occurred_at=None)
    older = msgspec.structs.replace(sent(1, plain, idempotency_key="k"), app=app, key_prefix=row.prefix)
    newer = msgspec.structs.replace(older, receipt=f"{2:032x}", received_at=older.received_at + 1, key=row.id)
    for order in ([older, newer], [newer, older]):
        loading.empty()
        for entry in order:
            load(loading, loading.loader._with_key(entry))
        assert loading.warehouse.client.query("SELECT count(), any(receipt) FROM event FINAL").first_row == (
            1, bytes.fromhex(older.receipt),
        )  # fmt: skip
    loading.empty()
    before.load(loading, older)
    load(loading, newer)
    assert loading.warehouse.client.query("SELECT count() FROM event FINAL").first_row == (1,)


@pytest.mark.parametrize("sender", SENDERS)
def test_what_was_erased_before_the_upgrade_stays_away(
    loading: Loading, before: Before, sender: tuple[str, bool]
) -> None:
    """A copy of the same sender is known by its old id; others are other events."""
    dialect, verified = sender
    asked = new_erasure(loading.store.create_app(f"away {sender}").id, [Identifier("customer_id", "c1")])

    def entry(number: int, of: str, trusted: bool, **who: str) -> Entry:
        return msgspec.structs.replace(
            sent(number, said("m", occurred_at=None, **who), dialect=of, verified=trusted), app=asked.app
        )

    before.load(loading, entry(1, dialect, verified))
    client = loading.warehouse.client
    removal.prepare(client, asked)
    loading.store.erasures.request(asked)
    removal.note(client, asked, loading.loader._volumes)
    for step in removal.mark(client, [asked]):
        while not step():
            pass
    for number, (of, trusted) in enumerate(SENDERS, 2):
        later = msgspec.structs.replace(entry(number, of, trusted, uid="u"), received_at=2**52 + number)
        load(loading, later)
        (told,) = client.query(
            f"SELECT toString(outcome) FROM arrival WHERE receipt = unhex('{later.receipt}')"
        ).first_row
        same = of == dialect and (trusted == verified or not trusted)
        assert told == ("erased" if same else "accepted"), (of, trusted)


def test_an_identify_by_anybody_keeps_out_none_that_is_verified(loading: Loading) -> None:
    """Erased with whoever sent it, its message id blocks no verified one."""
    asked = new_erasure(loading.store.create_app("identify").id, [Identifier("anonymous_id", "att")])
    noise = sent(
        1, verified=False, identifies=[Identify(index=0, anonymous_id="att", message_id="m", traits='{"a":1}')]
    )
    good = sent(2, identifies=[Identify(index=0, customer_id="c1", message_id="m", traits='{"a":2}')])
    noise, good = (msgspec.structs.replace(one, app=asked.app) for one in (noise, good))
    load(loading, noise)
    client = loading.warehouse.client
    removal.prepare(client, asked)
    loading.store.erasures.request(asked)
    removal.note(client, asked, loading.loader._volumes)
    load(loading, msgspec.structs.replace(good, received_at=2**52))
    assert client.query("SELECT count() FROM identify WHERE customer_id = 'c1'").first_row == (1,)


def test_where_a_displaced_copy_stood_goes_with_its_customer(loading: Loading) -> None:
    """No key of an erased customer is left in any row."""
    asked = new_erasure(loading.store.create_app("stood").id, [Identifier("anonymous_id", "att")])
    paid, noise, others = (msgspec.structs.replace(one, app=asked.app) for one in (
        PAID, sent(1, said(anonymous_id="att"), verified=False), OTHERS))  # fmt: skip
    for entry in (noise, paid, others):
        load(loading, entry)
    client = loading.warehouse.client
    removal.prepare(client, asked)
    removal.note(client, asked, loading.loader._volumes)
    for step in removal.mark(client, [asked]):
        while not step():
            pass
    assert client.query(f"SELECT count() FROM first_copy WHERE app = '{asked.app}'").first_row == (1,)
