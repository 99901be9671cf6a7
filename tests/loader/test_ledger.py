"""The ledger follows the facts: in any order, after a crash, when customers become one, and when rules change."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from msgspec.structs import replace

from tenure.control.billing import Billing
from tenure.customers import billing as of_customer
from tenure.customers.billing import billing_of
from tenure.customers.conditions import Filter
from tenure.customers.customer import find_customer
from tenure.customers.listing import customers
from tenure.customers.subscriptions import subscriptions
from tenure.entry import Entry
from tenure.event import Event
from tenure.identity import Identifier, identity_key
from tenure.loader import ledgers
from tenure.loader.backfill import STEPS, read_subscriptions_anew
from tenure.loader.block_writer import BlockWriter
from tenure.loader.ledger import COLUMNS
from tenure.metrics.answers import basis
from tenure.metrics.asked import Asked
from tenure.metrics.statement import statement
from tenure.subscriptions.currency import Rate, Rates
from tenure.subscriptions.rules import Rules
from tenure.warehouse.migrate import migrate
from tests.loader.test_customers import APP, Loading, entry
from tests.subscriptions.histories import SUBSCRIPTIONS, at
from tests.subscriptions.stripe.webhooks import event as webhook_event
from tests.subscriptions.stripe.webhooks import item, items, seconds, subscription, webhook
from tests.warehouse.conftest import Engine

IN_ROWS = "customer, rules, " + ", ".join(f"`{name}`" for name in COLUMNS if "." in name)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loading]:
    directory = tmp_path_factory.mktemp("ledger")
    engine = Engine(directory)
    yield Loading(directory, engine)
    engine.stop()
    engine.listener.close()


@pytest.fixture
def loading(running: Loading) -> Loading:
    running.empty()
    return running


def said(uid: str, effective_at: str | int, message_id: str, amount: int | None = None, **fields: Any) -> Event:
    """An event that says something of a customer's subscription s1, or of another."""
    when = at(effective_at) if isinstance(effective_at, str) else effective_at
    price = (
        {}
        if amount is None
        else {"status": "active", "currency": "USD", "items": [{"amount": amount, "plan": "pro", "interval": "month"}]}
    )
    properties = {"source": "native", "subscription": "s1"} | price | fields
    return Event(index=0, name="subscription_updated", uid=uid, message_id=message_id, occurred_at=when,
                 properties=json.dumps(properties))  # fmt: skip


def key(uid: str) -> bytes:
    return identity_key(APP, Identifier("uid", uid))


def rows(loading: Loading) -> list[tuple[Any, ...]]:
    loading.follow()
    found = loading.warehouse.client.query(f"SELECT {IN_ROWS} FROM ledger FINAL ORDER BY customer")
    return [tuple(row) for row in found.result_rows]


def changes(loading: Loading) -> dict[bytes, list[tuple[str, str, str, int, int]]]:
    """By customer: book, day, kind, before and after."""
    return {
        bytes(row[0]): [
            (book, str(day), kind, int(before), int(after))
            for book, day, kind, before, after in zip(row[2], row[4], row[5], row[9], row[10], strict=True)
        ]
        for row in rows(loading)
    }


HISTORY = [
    entry(1, said("a", "2026-01-05", "1", 3000)),
    entry(2, said("a", "2026-02-05", "2", 5000)),
    entry(3, said("a", "2026-03-01", "3", status="canceled", cause="voluntary", reason="too dear")),
    entry(4, said("b", "2026-01-10", "4", 1000, subscription="s2")),
    entry(5, said("b", "2026-01-20", "2", 9999)),  # the same message, received later: a's counts
    entry(6, said("b", "2026-02-10", "1", 9999, subscription="s2")),
    entry(7, Event(index=0, name="login", uid="c", message_id="5")),
]
LEDGER = {
    "a": [("", "2026-01-05", "new", 0, 3000), ("", "2026-02-05", "expansion", 3000, 5000),
          ("", "2026-03-01", "churned", 5000, 0)],
    "b": [("", "2026-01-10", "new", 0, 1000)],
}  # fmt: skip


def test_any_order_and_repetition_gives_the_same_ledger(loading: Loading) -> None:
    """Facts in any order, in blocks of any size, once or twice; of two copies of an event the first received counts."""
    found = set()
    for seed in range(5):
        loading.empty()
        shuffled: list[Entry] = HISTORY + HISTORY[:4]
        random.Random(seed).shuffle(shuffled)
        for start in range(0, len(shuffled), 1 + seed):
            loading.load(shuffled[start : start + 1 + seed])
            loading.follow()
        found.add(repr((rows(loading), loading.listed())))
    assert len(found) == 1
    assert changes(loading) == {key(uid): movements for uid, movements in LEDGER.items()}
    (a,) = [row for row in rows(loading) if bytes(row[0]) == key("a")]
    assert a[-5:] == ([date(2026, 1, 5)], [date(2026, 3, 1)], ["voluntary"], ["too dear"], [False])
    items = {item.id: item.billing for item in loading.listed().items}
    assert items["uid:c"] is None
    assert items["uid:b"] is not None
    assert (items["uid:b"].status, items["uid:b"].plans, items["uid:b"].mrr) == ("active", ["pro"], "10.00")
    assert items["uid:a"] is not None
    assert (items["uid:a"].status, items["uid:a"].mrr, items["uid:a"].paying_since) == ("canceled", "0.00", None)


def test_a_merge_makes_one_ledger_and_a_split_gives_both_back(loading: Loading) -> None:
    """The ledger is its customer's: two that become one have one history, and no row of the other is left."""
    loading.load(HISTORY)
    before = changes(loading)
    loading.link("a", "a", 1)
    loading.link("b", "a", 1)
    assert list(changes(loading)) == [key("a")]
    assert [kind for _, _, kind, _, _ in changes(loading)[key("a")]] == ["new", "expansion", "expansion", "contraction"]
    loading.link("b", "b", 2)
    loading.link("a", "a", 2)
    assert changes(loading) == before


def test_what_a_crash_left_undone_is_found(loading: Loading) -> None:
    """A loader that starts makes the ledgers of what was stored before it, and without its file all of them."""
    loading.load(HISTORY[:1])
    loading.follow()
    loading.load(HISTORY[1:])
    loading.start()
    expected = {key(uid): movements for uid, movements in LEDGER.items()}
    assert changes(loading) == expected
    loading.warehouse.client.command("TRUNCATE TABLE ledger")
    (loading.journals / "customers.json").unlink()
    loading.start()
    assert changes(loading) == expected


@pytest.mark.parametrize("table", ["event", "subscription_fact", "first_copy"])
def test_a_block_that_is_inserted_again_says_everything_once(
    loading: Loading, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever insert a crash comes after, doing the block again leaves the facts of the copies that are kept."""
    insert = BlockWriter.insert

    def crashing(self: BlockWriter, name: str, *rest: Any) -> None:
        insert(self, name, *rest)
        if name == table:
            raise ConnectionError

    loading.load(HISTORY[4:6])  # copies that others replace
    token = f"block-{table}-{time.time_ns()}"
    with monkeypatch.context() as patched:
        patched.setattr(BlockWriter, "insert", crashing)
        with pytest.raises(ConnectionError):
            loading.load(HISTORY[:4], token)
    loading.start()
    loading.load(HISTORY[:4], token, repeats=True)
    assert changes(loading) == {key(uid): movements for uid, movements in LEDGER.items()}


def test_events_of_before_have_a_ledger(loading: Loading) -> None:
    """What is stored is read after the schema's migration, and doing it again changes nothing."""
    loading.load(HISTORY)
    expected = rows(loading)
    for _ in range(2):
        for table in ("subscription_fact", "ledger"):
            loading.warehouse.client.command(f"DROP TABLE {table}")
        loading.warehouse.client.command(
            "DELETE FROM schema_migration WHERE number IN (7, 12, 16, 17, 18) OR number > 1000000"
        )
        of_ledger = ["0007_subscriptions.sql", "0012_levels.sql"]
        of_ledger += ["0016_unpriced.sql", "0017_held.sql", "0018_silent.sql"]
        assert migrate(loading.warehouse.client, STEPS) == of_ledger
        assert read_subscriptions_anew(loading.warehouse.client)
        assert not read_subscriptions_anew(loading.warehouse.client)
        loading.start()
        assert rows(loading) == expected


def test_other_rules_and_rates_make_all_ledgers_anew(loading: Loading, monkeypatch: pytest.MonkeyPatch) -> None:
    """By their stamp; a customer for whom a rate is missing has no book in the currency to report in, and counts."""
    monkeypatch.setattr("tenure.loader.customers.DUE_SECONDS", 0)
    loading.load([*HISTORY, entry(8, said("d", "2026-01-01", "6", 2000, status="past_due", currency="EUR"))])
    assert changes(loading)[key("d")] == [("", "2026-01-01", "new", 0, 2000)]
    rates = Rates("EUR", {"USD": (Rate(date(2026, 1, 6), Decimal("0.5")),)})
    other = Billing(Rules(past_due="out"), rates, "other rules")
    loading.billing = lambda _: other
    found = changes(loading)
    assert found.get(key("d")) == []
    assert found[key("a")] == LEDGER["a"]  # no rate of January 5
    assert found[key("b")] == [*LEDGER["b"], ("EUR", "2026-01-10", "new", 0, 500)]
    assert {row[1] for row in rows(loading)} == {"other rules"}
    told = [basis(loading.warehouse.tenant(APP), other, book) for book in ("EUR", "")]
    assert [(each.customers, each.customers_without_rate) for each in told] == [(3, 1), (3, 0)]
    listed = {item.id: item.billing for item in loading.listed().items}
    assert listed["uid:b"] is not None
    assert (listed["uid:b"].mrr, listed["uid:b"].currency) == ("5.00", "EUR")


def test_more_than_a_column_holds_can_be_sorted_by_and_summed(loading: Loading) -> None:
    """At an absurd rate everybody has the most that is stored: the list still sorts by it, and the sum is right."""
    rates = Rates("JPY", {"USD": (Rate(date(2026, 1, 1), Decimal("999999999999.9")),)})
    loading.billing = lambda _: Billing(Rules(), rates, "absurd rates")
    loading.load([entry(number, said(f"big{number}", "2026-01-05", f"{number}", 2**63 - 1)) for number in range(30)])
    loading.load([entry(99, said("small", "2026-01-05", "99", 1))])
    loading.follow()
    tenant = loading.warehouse.tenant(APP)
    listed = customers(tenant, Filter(), sort="mrr", limit=2)
    assert listed.items[0].id == "uid:small"
    assert len(customers(tenant, Filter(), sort="mrr", limit=100, cursor=listed.next).items) == 29
    asked = Asked(period="day", first=date(2026, 1, 5), last=date(2026, 1, 5), book="JPY")
    assert [row.closing for row in statement(tenant, asked)] == [30 * 10**24 + Fraction("9999999999.999")]


def test_what_is_stored_is_what_is_computed(loading: Loading, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a customer with very many facts it is read what else is computed: the same, in both books and as of today."""
    rates = Rates("EUR", {"USD": (Rate(date(2026, 1, 1), Decimal("0.9")),)})
    billing = Billing(Rules(), rates, "in euros")
    loading.billing = lambda _: billing
    ahead = at("2199-01-01")
    yearly = [{"amount": 100, "plan": "year", "interval": "year"}]
    more = said("a", "2026-04-02", "8", 10, subscription="s3", items=yearly, cancel_at=ahead)
    loading.load([*HISTORY, entry(90, more)])
    loading.follow()
    tenant = loading.warehouse.tenant(APP)
    for uid in "ab":
        customer = find_customer(tenant, loading.store, uid)
        computed = billing_of(tenant, customer, billing), subscriptions(tenant, customer, billing)
        with monkeypatch.context() as patched:
            patched.setattr(of_customer, "MAX_FACTS", 0)
            assert (billing_of(tenant, customer, billing), subscriptions(tenant, customer, billing)) == computed
        assert computed[1].reported
        assert computed[1].movements


def test_what_is_dated_ahead_comes_by_itself(loading: Loading, monkeypatch: pytest.MonkeyPatch) -> None:
    """An end that was set ahead is in the ledger from the start, and in the status when its time comes."""
    monkeypatch.setattr("tenure.loader.customers.DUE_SECONDS", 0)
    now, day = time.time_ns(), 86_400_000
    loading.load([entry(1, said("a", "2026-01-05", "1", 3000, cancel_at=now // 1_000_000 + 10 * day))])
    assert [kind for _, _, kind, _, _ in changes(loading)[key("a")]] == ["new", "churned"]
    found = []
    for days in (9, 11):
        monkeypatch.setattr(time, "time_ns", lambda: now + days * day * 1_000_000)  # noqa: B023 - asked at once
        (item,) = loading.listed().items
        assert item.billing is not None
        found.append((item.billing.status, item.billing.mrr))
    assert found == [("active", "30.00"), ("canceled", "0.00")]


def test_a_ledger_is_made_again_only_for_a_reason(loading: Loading, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has very many subscriptions and does something else costs a look; nobody waits for one who fails."""
    made: list[int] = []
    account = ledgers.account

    def counting(facts: Iterator[Any], *rest: Any, **named: Any) -> Any:
        known = list(facts)
        made.append(len(known))
        if any(fact.subscription == "broken" for fact in known):
            raise ZeroDivisionError
        return account(known, *rest, **named)

    monkeypatch.setattr(ledgers, "account", counting)
    for start in range(0, SUBSCRIPTIONS, 10_000):
        numbers = range(start, min(start + 10_000, SUBSCRIPTIONS))
        loading.load([entry(n, said("a", "2026-01-05", f"{n}", 100, subscription=f"s{n}")) for n in numbers])
    loading.load([entry(10**9, said("b", "2026-01-05", "b", 100))])
    loading.load([entry(10**9 + 1, said("c", "2026-01-05", "c", 100, subscription="broken"))])
    loading.follow()
    assert sorted(made) == [1, 1, SUBSCRIPTIONS]
    loading.load([entry(10**9 + 2, *(Event(index=0, name="login", uid=uid, message_id=f"l{uid}") for uid in "abc"))])
    items = {item.id: item for item in loading.listed().items}
    assert sorted(made) == [1, 1, SUBSCRIPTIONS]
    assert items["uid:a"].events == SUBSCRIPTIONS + 1
    assert items["uid:a"].billing is not None
    assert (items["uid:a"].billing.subscriptions, items["uid:a"].billing.mrr) == (SUBSCRIPTIONS, f"{SUBSCRIPTIONS}.00")
    assert items["uid:c"].billing is None
    assert set(changes(loading)) == {key("a"), key("b")}


def test_a_ledger_that_takes_long_is_put_off(loading: Loading, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made at once the first time, then not again for a while; the others go on, and in the end it is right."""
    monkeypatch.setattr("tenure.loader.customers.DUE_SECONDS", 0)
    loading.load(HISTORY[:1])
    long_after = time.monotonic() + 3600
    with monkeypatch.context() as patched:
        patched.setattr(ledgers, "_not_before", lambda _: long_after)
        assert list(changes(loading)) == [key("a")]
    loading.load(HISTORY[1:])
    first = changes(loading)
    assert (first[key("a")], first[key("b")]) == (LEDGER["a"][:1], LEDGER["b"])
    with monkeypatch.context() as patched:
        patched.setattr(time, "monotonic", lambda: long_after + 1)
        assert changes(loading)[key("a")] == LEDGER["a"]
    assert not loading.following._ledgers.put_off


def windback(number: int, name: str, day: str, mrr: int | None = None, **who: str) -> Entry:
    properties = json.dumps({} if mrr is None else {"mrr": mrr, "currency": "USD", "plan": "pro"})
    told = Event(index=0, name=name, occurred_at=at(day), properties=properties, **who)
    return replace(entry(number, told), dialect="windback")


def test_a_payer_who_is_merged_with_one_who_left_pays_on(loading: Loading) -> None:
    """At a source without ids two who become one have two subscriptions, also by facts of an older release."""
    loading.load([windback(1, "subscription_started", "2026-01-05", 3000, uid="a"),
                  windback(2, "subscription_started", "2026-01-10", 1000, uid="b"),
                  windback(3, "churn_recorded", "2026-02-01", uid="b")])  # fmt: skip
    before = rows(loading)
    loading.link("a", "a", 1)
    loading.link("b", "a", 1)
    merged = [("", "2026-01-05", "new", 0, 3000), ("", "2026-01-10", "expansion", 0, 1000),
              ("", "2026-02-01", "contraction", 1000, 0)]  # fmt: skip
    assert changes(loading) == {key("a"): merged}
    (item,) = loading.listed().items
    assert item.billing is not None
    assert (item.billing.status, item.billing.mrr, item.billing.subscriptions) == ("active", "30.00", 2)
    client = loading.warehouse.client
    stored = "SELECT * FROM subscription_fact FINAL ORDER BY ALL"
    now = client.query(stored).result_rows
    client.command("TRUNCATE TABLE subscription_fact")
    old = [
        [*row[:3], "", *row[4:10], row[10].replace('"subscription":"uid:', '"subscription":"'), row[11]] for row in now
    ]
    client.insert("subscription_fact", old)
    client.command("ALTER TABLE ledger UPDATE rules = 'older' WHERE true SETTINGS mutations_sync = 1")
    client.command("DELETE FROM schema_migration WHERE number > 1000000")
    assert read_subscriptions_anew(client)
    assert client.query(stored).result_rows == now
    loading.start()
    assert changes(loading) == {key("a"): merged}
    loading.link("b", "b", 2)
    loading.link("a", "a", 2)
    assert rows(loading) == before


def stripe(number: int, body: dict[str, Any]) -> Entry:
    return replace(entry(number, webhook_event(body)), dialect="stripe")


def test_what_an_older_release_read_of_discounts_and_taxes_is_read_again(loading: Loading) -> None:
    """One discount overwrote the other, a customer's was not read, and a tax counted as revenue."""
    half, tenth = ({"id": name, "object": "discount", "start": seconds("2026-03-01"), "end": None, "customer": "cus_1",
                    "coupon": {"id": name, "percent_off": off, "duration": "forever"}}
                   for name, off in (("di_half", 50), ("di_tenth", 10)))  # fmt: skip
    put = {"object": "event", "type": "customer.discount.created", "created": seconds("2026-03-02")}
    rate = {"id": "txr_1", "object": "tax_rate", "percentage": 20, "inclusive": True}
    taxed = items(item(unit_amount=1200))
    loading.load([
        stripe(1, webhook("2026-03-01", "created", items=taxed, default_tax_rates=[rate])),
        stripe(2, put | {"id": "evt_2", "data": {"object": half | {"subscription": "sub_1"}}}),
        stripe(3, put | {"id": "evt_3", "data": {"object": tenth | {"subscription": "sub_1"}}}),
        stripe(4, webhook("2026-03-01", "created", id="evt_4", items=taxed) | {
            "data": {"object": subscription(id="sub_2", items=taxed, default_tax_rates=[rate])}}),
        stripe(5, {"id": "evt_5", "object": "event", "type": "customer.updated", "created": seconds("2026-03-05"),
                   "data": {"object": {"id": "cus_1", "object": "customer", "discount": tenth}}}),
    ])  # fmt: skip
    (found,) = changes(loading).values()
    (shown,) = loading.listed().items
    assert shown.billing is not None
    assert (shown.billing.mrr, shown.billing.subscriptions) == ("13.50", 2)
    tenant = loading.warehouse.tenant(APP)
    page = subscriptions(tenant, find_customer(tenant, loading.store, "cus_1"), Billing(Rules(), None, ""))
    assert [(one.id, one.states[0].mrr, one.states[0].discounts, one.evidence_count) for one in page.items] == [
        ("sub_1", "4.50", 2, 4), ("sub_2", "9.00", 1, 2)
    ]  # fmt: skip
    client = loading.warehouse.client
    stored = "SELECT * FROM subscription_fact FINAL ORDER BY ALL"
    now = client.query(stored).result_rows
    facts = "ALTER TABLE subscription_fact UPDATE fact = replaceRegexpAll(fact, "
    for pattern, older in (('"tax":"[0-9.]+","taxed":true', '"quantity":1'), ('"put_on":', '"discounts":'),
                           ('"payer":"cus_1",', "")):  # fmt: skip
        client.command(f"{facts}'{pattern}', '{older}') WHERE true SETTINGS mutations_sync = 1")
    client.command("DELETE FROM subscription_fact WHERE subscription = ''")
    client.command("ALTER TABLE ledger UPDATE rules = 'older' WHERE true SETTINGS mutations_sync = 1")
    client.command("DELETE FROM schema_migration WHERE number > 1000000")
    loading.start()
    assert changes(loading) != {key("x"): found}
    assert read_subscriptions_anew(client)
    assert client.query(stored).result_rows == now
    client.command("ALTER TABLE ledger UPDATE rules = 'older' WHERE true SETTINGS mutations_sync = 1")
    loading.start()
    assert list(changes(loading).values()) == [found]
