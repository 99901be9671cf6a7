"""MRR and churn by the warehouse: number for number what the pure functions say of the same movements."""

from __future__ import annotations

import itertools
import signal
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from fractions import Fraction
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.subscriptions.histories import active
from tests.subscriptions.test_order import histories, rules
from tests.warehouse.conftest import Engine

from tenure.control.billing import Billing
from tenure.errors import BadRequest
from tenure.loader.ledger import COLUMNS, Told, level, row
from tenure.metrics.answers import basis
from tenure.metrics.asked import DAY, Asked, Sql
from tenure.metrics.churn import churn, cohorts
from tenure.metrics.explain import OF_CHURN, Behind, explain, of_churn, of_mrr
from tenure.metrics.statement import statement
from tenure.metrics.survival import Spells, lifetimes
from tenure.settings import Settings
from tenure.subscriptions import metrics
from tenure.subscriptions.account import OWN, account
from tenure.subscriptions.amount import exactly
from tenure.subscriptions.fact import Fact
from tenure.subscriptions.metrics import explain_movements, explain_mrr, main_plans
from tenure.subscriptions.movements import KINDS, Change, Movement
from tenure.subscriptions.rules import Rules
from tenure.subscriptions.spells import Spell
from tenure.warehouse.client import Tenant, Warehouse
from tenure.warehouse.migrate import migrate

APP, OTHER = "app_0000000000000001", "app_0000000000000002"
versions = itertools.count(1)
FIRST, LAST = date(2024, 3, 5), date(2025, 6, 17)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """A warehouse with the schema, on an engine of the module's own."""
    engine = Engine(tmp_path_factory.mktemp("engine"))
    url = f"http://tenure:{engine.secret}@127.0.0.1:{engine.port}/default"
    warehouse = Warehouse(Settings.load({}, {"TENURE_WAREHOUSE_URL": url}))
    migrate(warehouse.client, {})
    yield warehouse
    engine.stop(signal.SIGKILL)
    engine.listener.close()


def key(customer: str) -> bytes:
    return blake2b(customer.encode(), digest_size=16).digest()


class Book(NamedTuple):
    """What is in the warehouse: movements of all customers with levels as they are stored, and spells by customer."""

    movements: list[Movement]
    spells: dict[str, list[Spell]]


def fill(warehouse: Warehouse, facts: dict[str, list[Fact]], by: Rules) -> Book:
    """Put customers with these facts into the ledger, of a version of their own, and those of another app beside."""
    warehouse.client.command("TRUNCATE TABLE ledger")
    book, rows, version = Book([], {}), [], next(versions)
    for customer, history in facts.items():
        found = account(history, by)
        book.spells[customer] = found.spells
        book.movements.extend(each._replace(customer=customer) for each in stored(found.movements(by)[OWN]))
        rows += [made(app, customer, history, by, version=version) for app in (APP, OTHER)]
    insert(warehouse, rows)
    return book


def made(app: str, customer: str, history: list[Fact], by: Rules, stamp: str = "stamp", version: int = 1) -> Any:
    """A row of the ledger."""
    found = account(history, by)
    return row(app, key(customer), version, Told([key(customer)], found, found.movements(by), stamp))


def insert(warehouse: Warehouse, rows: list[tuple[Any, ...]]) -> None:
    warehouse.client.insert("ledger", rows, column_names=list(COLUMNS), column_type_names=list(COLUMNS.values()))


def stored(found: list[Movement]) -> Iterator[Movement]:
    """The movements with every level rounded to the places that are stored; they still telescope."""
    mrr: defaultdict[str, Fraction] = defaultdict(Fraction)
    for movement in found:
        changes = tuple(
            Change(each.subscription, each.plan, Fraction(level(each.before)), Fraction(level(each.after)))
            for each in movement.changes
        )
        before = mrr[movement.currency]
        mrr[movement.currency] += sum((each.after - each.before for each in changes), Fraction(0))
        yield movement._replace(before=before, after=mrr[movement.currency], changes=changes)


def asked(period: metrics.Period = "month", first: date = FIRST, last: date = LAST, **more: Any) -> Asked:
    return Asked(period=period, first=metrics.start_of(first, period), last=last, **more)


GENERATE = Phase.explicit, Phase.reuse, Phase.generate
"""Not to shrink: with an engine that would take minutes."""
many = st.lists(histories(), min_size=1, max_size=6)


@settings(max_examples=25, suppress_health_check=list(HealthCheck), phases=GENERATE)
@given(many, rules, st.sampled_from(["day", "week", "month"]), st.booleans())
def test_every_number_is_that_of_the_pure_functions(
    warehouse: Warehouse, found: list[list[Fact]], by: Rules, period: metrics.Period, by_plan: bool
) -> None:
    """Statements, churn with its causes, cohorts, and lengths of spells, of random histories under random rules."""
    book = fill(warehouse, {f"c{number}": history for number, history in enumerate(found)}, by)
    tenant = warehouse.tenant(APP)
    first, last = (date(2024, 11, 20), date(2025, 1, 7)) if period == "day" else (FIRST, LAST)
    question = asked(period, first, last)
    up_to = [movement for movement in book.movements if movement.day <= last]
    expected = metrics.statement(up_to, period, first, last, by_plan=by_plan)
    ends = dict(question.periods())
    assert statement(tenant, question, by_plan=by_plan) == [each._replace(end=ends[each.start]) for each in expected]
    by_currency = {
        currency: [each for each in metrics.cohorts(up_to, currency, last) if each.month >= question.first]
        for currency in {movement.currency for movement in up_to}
    }
    assert cohorts(tenant, question) == {currency: told for currency, told in by_currency.items() if told}
    assert_churn(tenant, question, book, by_plan=by_plan)
    assert_lifetimes(tenant, book, last)


def assert_lifetimes(tenant: Tenant, book: Book, last: date) -> None:
    """Every spell once, in its group, with its length as it was seen on the last day."""
    expected: dict[str, Counter[tuple[str, int, bool]]] = {by: Counter() for by in ("none", "cohort", "plan")}
    for customer, spells in book.spells.items():
        currencies = sorted({each.currency for each in book.movements if each.customer == customer})
        for spell in spells:
            if spell.start > last:
                continue
            ended = spell.end is not None and spell.end <= last
            length = ((spell.end if ended and spell.end else last) - spell.start).days
            plans = [main_plans(book.movements, currency, spell.start).get(customer) for currency in currencies]
            groups = {"none": "", "cohort": str(metrics.start_of(spells[0].start, "month")),
                      "plan": next(plan for plan in plans if plan is not None)}  # fmt: skip
            for by, group in groups.items():
                expected[by][group, length, ended] += 1
    for by, spells_of in expected.items():
        found: Counter[tuple[str, int, bool]] = Counter()
        for group in lifetimes(tenant, Spells(first=date(1970, 1, 1), last=last, by=by)):
            lengths = group.lifetimes
            found.update({(group.name, days, ended): count for days, ended, count
                          in zip(lengths.days, lengths.ended, lengths.spells, strict=True)})  # fmt: skip
        assert found == spells_of, by


def assert_churn(tenant: Tenant, question: Asked, book: Book, *, by_plan: bool) -> None:
    rows = churn(tenant, question, by_plan=by_plan)
    seen = {(each.currency, each.plan, each.start) for each in rows}
    assert len(seen) == len(rows)
    for start, end in question.periods():
        for currency in {movement.currency for movement in book.movements}:
            plans = main_plans(book.movements, currency, start - DAY)
            for plan in {*plans.values()} if by_plan else {None}:
                of = [each for each in book.movements if plan is None or plans.get(each.customer) == plan]
                told = metrics.churn(of, currency, start, end - DAY)
                if told.customers:
                    assert (currency, plan, start) in seen
                for lost in rows:
                    if (lost.currency, lost.plan, lost.start) == (currency, plan, start):
                        assert lost.churn == told
                        causes = causes_of(of, book.spells, currency, start, end - DAY)
                        assert (lost.voluntary, lost.involuntary) == (
                            causes.count("voluntary"), causes.count("involuntary"),
                        )  # fmt: skip


def _there(found: list[Movement], currency: str, day: date) -> set[str]:
    """Customers with MRR at the end of a day, or held without."""
    of = [movement for movement in found if movement.currency == currency and movement.day <= day]
    last = {movement.customer: movement for movement in sorted(of, key=lambda movement: movement.day)}
    return {customer for customer, movement in last.items() if movement.after or movement.held}


def causes_of(
    found: list[Movement], ended: dict[str, list[Spell]], currency: str, first: date, last: date
) -> list[Any]:
    """Why the lost ended their last spell, of those whose it ended."""
    before, now = (_there(found, currency, day) for day in (first - DAY, last))
    lost = [customer for customer in before if customer not in now]
    latest = [[spell for spell in ended[customer] if spell.start <= last][-1] for customer in lost]
    return [spell.cause for spell in latest if spell.end is not None and spell.end <= last]


@settings(max_examples=12, suppress_health_check=list(HealthCheck), phases=GENERATE)
@given(many, rules, st.booleans())
def test_what_is_behind_a_number_adds_up_to_it(
    warehouse: Warehouse, found: list[list[Fact]], by: Rules, by_plan: bool
) -> None:
    """Every subscription is listed once, over pages of two, as the pure functions list them."""
    book = fill(warehouse, {f"c{number}": history for number, history in enumerate(found)}, by)
    tenant = warehouse.tenant(APP)
    question = asked("month", date(2024, 6, 1), date(2024, 6, 30))
    for told in statement(tenant, question, by_plan=by_plan):
        one = msgspec.structs.replace(question, currency=told.currency, plan=told.plan)
        for what, number in {"opening": told.opening, **told.movements, "closing": told.closing}.items():
            items = walk(tenant, one, what, of_mrr(one, what), number)
            assert sorted((each.subscription, each.plan, each.before, each.after) for each in items) == sorted(
                (change.subscription.id, change.plan, *(exactly(level, told.currency) for level in change[2:]))
                for change in behind(book, one, what)
            )
    for lost in churn(tenant, question, by_plan=by_plan):
        one = msgspec.structs.replace(question, currency=lost.currency, plan=lost.plan)
        numbers = lost.churn.opening, lost.churn.churned, lost.churn.contraction, lost.churn.expansion
        for what, number in zip(OF_CHURN, numbers, strict=True):
            walk(tenant, one, what, of_churn(one, what), number)


def walk(tenant: Tenant, one: Asked, what: str, rows: Sql, number: Fraction) -> list[Behind]:
    """All that is behind a number, two at a time, after seeing that it adds up."""
    items: list[Behind] = []
    cursor: str | None = None
    while True:
        page = explain(tenant, one, what, rows, number, limit=2, cursor=cursor)
        items += page.items
        cursor = page.next
        if cursor is None:
            break
    assert sum(Decimal(each.amount) for each in items) == Decimal(page.number)
    assert page.number == exactly(number, one.currency or "")
    return items


def behind(book: Book, one: Asked, what: str) -> list[Change]:
    """By the pure functions."""
    currency = one.currency or ""
    if what in KINDS:
        changes = [change for _, change in explain_movements(book.movements, what, currency, one.first, one.last)]  # type: ignore[arg-type]
    else:
        day = one.last if what == "closing" else one.first - DAY
        changes = [change for _, change in explain_mrr(book.movements, currency, day)]
    return [change for change in changes if one.plan in (None, change.plan)]


def test_only_customers_of_the_question_count(warehouse: Warehouse) -> None:
    """Those hidden by an erasure, taken out, or replaced by a newer row do not; cohorts are by the first MRR."""
    came = {"a": "2025-01-10", "b": "2025-01-20", "c": "2025-02-01", "d": "2025-02-02"}
    fill(warehouse, {customer: [active(day, 1000)] for customer, day in came.items()}, Rules())
    newer = next(versions)
    out = row(APP, key("c"), newer, Told([key("c")]))
    insert(warehouse, [out, made(APP, "d", [active("2025-02-02", 500)], Rules(), "newer", newer)])
    question = asked("month", date(2025, 2, 1), date(2025, 2, 28))
    assert closing(warehouse.tenant(APP), question) == 2500
    erasure = "00" * 16
    warehouse.client.insert(
        "erasing", [(bytes(16), key("a"), bytes(32))], column_names=["erasure", "key", "fingerprint"]
    )
    assert closing(warehouse.tenant(APP, [erasure]), question) == 1500
    january = msgspec.structs.replace(question, cohort=date(2025, 1, 1))
    assert closing(warehouse.tenant(APP, [erasure]), january) == 1000
    assert closing(warehouse.tenant(OTHER), question) == 4000
    told = basis(warehouse.tenant(APP), Billing(Rules(), None, "newer"), "")
    assert (told.customers, told.customers_by_older_rules) == (3, 2)


def closing(tenant: Tenant, question: Asked) -> Fraction:
    (found,) = statement(tenant, question)
    return found.closing


def test_an_answer_has_a_limit(warehouse: Warehouse) -> None:
    """More rows than an answer holds are refused, with what to do."""
    fill(
        warehouse,
        {"a": [active("2025-01-01", items=[{"amount": 1, "plan": str(each)} for each in range(60)])]},
        Rules(),
    )
    question = asked("day", date(2025, 1, 1), date(2025, 12, 31))
    assert len(statement(warehouse.tenant(APP), question)) == 365
    with pytest.raises(BadRequest, match="more than 20,000 rows"):
        statement(warehouse.tenant(APP), question, by_plan=True)
