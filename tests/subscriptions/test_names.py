"""Which subscription an event of a source without ids is about: that of the identifier that it is kept under."""

from __future__ import annotations

from datetime import date
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.event import Event
from tenure.loader.columns import COLUMNS
from tenure.loader.subscription_facts import Said, rows
from tenure.subscriptions.account import account, standing
from tenure.subscriptions.fact import Fact
from tenure.subscriptions.ledger import Subscription, day_of
from tenure.subscriptions.names import as_one
from tenure.subscriptions.rules import Rules
from tenure.subscriptions.sources import facts
from tenure.wire.json import canonical
from tests.subscriptions.histories import at

FACT = list(COLUMNS["subscription_fact"]).index("fact")
NOW = at("2026-06-01")
MONEY = {
    "windback": {"mrr": 3000, "currency": "USD", "plan": "pro"},
    "whisperr": {"price": "30.00", "currency": "USD", "plan_period": "monthly", "plan_id": "pro"},
}
START = {"windback": "subscription_started", "whisperr": "membership_started"}
END = {"windback": "subscription_ended", "whisperr": "membership_ended"}


def stored(event: Event, dialect: str, event_id: bytes) -> list[Fact]:
    """What an event says, as it is stored."""
    read = facts(dialect, event, 1_700_000_000_000_000).facts
    made = rows(Said("app", bytes(16), event_id, 1, bytes(16), 0, 99, 99), read)
    return [msgspec.json.decode(row[FACT], type=Fact) for row in made]


def said(dialect: str, name: str, day: str, number: int, money: bool = False, **who: Any) -> list[Fact]:
    """What an event of a vendor says."""
    properties = canonical(MONEY[dialect] if money else {})
    event = Event(index=0, name=name, occurred_at=at(day), properties=properties, **who)
    return stored(event, dialect, number.to_bytes(16))


def mrr(told: list[Fact]) -> dict[str, int]:
    found = standing(account(told, Rules()), NOW, Rules())
    return {} if found is None else {currency: int(amount) for currency, amount in found.mrr[""].items()}


@pytest.mark.parametrize("dialect", ["windback", "whisperr"])
@pytest.mark.parametrize("kinds", [("uid", "uid"), ("customer_id", "email"), ("uid", "anonymous_id")])
def test_a_payer_who_is_merged_with_one_who_left_pays_on(dialect: str, kinds: tuple[str, str]) -> None:
    """Two people who become one customer have two subscriptions: the end of the one is none of the other's."""
    payer, leaver = {kinds[0]: "payer@example.com"}, {kinds[1]: "leaver@example.com"}
    told = said(dialect, START[dialect], "2026-01-01", 1, True, **payer)
    told += said(dialect, START[dialect], "2026-01-10", 2, True, **leaver)
    told += said(dialect, END[dialect], "2026-03-01", 3, **leaver)
    names = {Subscription(dialect, f"{kind}:{who}") for who_is in (payer, leaver) for kind, who in who_is.items()}
    assert set(account(told, Rules()).timelines) == names
    assert mrr(told) == {"USD": 3000}
    assert mrr(told[:1] + told[2:]) == {"USD": 3000}  # of whom nobody said that they began


def test_identifiers_that_came_together_are_of_one_subscription() -> None:
    """Told by address, then by id with the address: the end finds what it ends. By id alone it is another one."""
    start = said("windback", START["windback"], "2026-01-01", 1, True, email="a@example.com")
    end = said("windback", END["windback"], "2026-03-01", 2, customer_id="cus-1", email="a@example.com")
    assert set(account(start + end, Rules()).timelines) == {Subscription("windback", "customer_id:cus-1")}
    assert mrr(start + end) == {}
    alone = said("windback", END["windback"], "2026-03-01", 2, customer_id="cus-1")
    assert mrr(start + alone) == {"USD": 3000}
    renewed = said("windback", "subscription_renewed", "2026-02-01", 3, customer_id="cus-1", email="a@example.com")
    assert mrr(start + alone + renewed) == {}


def test_the_reason_of_a_churn_event_is_of_the_subscription_that_it_ended() -> None:
    """It is told by the id of the churn event alone, and is the reason of that end and of no other."""
    money = canonical(MONEY["windback"] | {"provider": "stripe"})
    ended = Event(index=0, name="churn_recorded", occurred_at=at("2026-03-01"), email="a@example.com", properties=money)
    (end,) = stored(ended, "windback", b"e" * 16)
    (churn_event,) = [name.removeprefix("churn_event_id:") for name in end.also]
    told = [*said("windback", START["windback"], "2026-01-01", 1, True, email="a@example.com"), end]
    properties = canonical({"cancel_reason": "too_dear"})
    reported = Event(index=0, name="cancel_reason_reported", occurred_at=at("2026-03-02"), properties=properties,
                     churn_event_id=churn_event)  # fmt: skip
    told += stored(reported, "windback", b"r" * 16)
    other = said("windback", START["windback"], "2026-01-01", 5, True, email="b@example.com")
    other += said("windback", END["windback"], "2026-03-09", 6, email="b@example.com")
    found = account(told + other, Rules())
    ends = {one.id: spans[-1].state.reason for one, spans in found.timelines.items()}
    assert ends == {"email:a@example.com": "too_dear", "email:b@example.com": None}
    assert day_of(at("2026-03-09")) == date(2026, 3, 9) == found.spells[0].end


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["", "x", "y"]), st.booleans()), max_size=8),
       st.randoms(use_true_random=False))  # fmt: skip
def test_the_order_of_delivery_does_not_matter(told: list[tuple[str, str, bool]], shuffle: Random) -> None:
    """Whatever comes with whatever, in any order: the MRR is the same, and naming facts again changes nothing."""
    found: list[Fact] = []
    for number, (uid, email, ends) in enumerate(told):
        who: dict[str, Any] = {"uid": uid} | ({"email": f"{email}@example.com"} if email else {})
        name = (END if ends else START)["windback"]
        found += said("windback", name, f"2026-01-{number + 1:02}", number, not ends, **who)
    shuffled = found[:]
    shuffle.shuffle(shuffled)
    assert mrr(shuffled) == mrr(found)
    assert as_one(as_one(found)) == as_one(found)
    assert sorted(fact.id for fact in as_one(shuffled)) == sorted(fact.id for fact in found)
