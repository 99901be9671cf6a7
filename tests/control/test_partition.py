"""Who is one customer is a function of the facts alone: not of their order, their number, or what was undone."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.control.link import API, BY_HAND, CARRIED, MERGE, PROMOTION, SAME_ID, Link, strength
from tenure.control.partition import partition
from tenure.identity import Identifier

APP = "app_0000000000000001"
NAMES = {"c": "customer_id", "u": "uid", "b": "billing_id", "e": "email", "a": "anonymous_id", "x": "churn_event_id"}


def who(name: str) -> Identifier:
    """`c1` is a customer id, `u1` a uid, `b1` a billing id, `e1` an e-mail address, `a1` an anonymous id, `x1` a churn
    event's."""
    return Identifier(NAMES[name[0]], name)


def carried(one: str, other: str, at: int = 1, receipt: str = "", **more: Any) -> Link:
    return Link(APP, who(one), who(other), CARRIED, "native", True, at, receipt or f"r{at}", **more)


def same_id(one: str, other: str, at: int = 1, **more: Any) -> Link:
    return carried(one, other, at, **more)._replace(how=SAME_ID)


def by_hand(one: str, other: str, at: int = 1, how: str = BY_HAND, **more: Any) -> Link:
    return Link(APP, who(one), who(other), how, API, True, at, f"{one}{other}{at}", **more)


def customers(*facts: Link, as_of: int | None = None) -> set[str]:
    """Each customer as its identifiers, strongest first."""
    return {" ".join(side.value for side in sides) for sides in partition(facts, as_of).customers.values()}


strong = st.sampled_from(["c1", "c2", "c3", "u1", "u2", "u3"])
weak = st.sampled_from(["e1", "e2", "a1", "a2", "b1", "b2", "b3"])
billing = st.sampled_from(["b1", "b2", "b3"])
times = st.integers(1, 6)
undone = st.none() | st.integers(4, 9)
automatic = st.one_of(
    st.builds(carried, st.sampled_from(["c1", "c2", "c3"]), st.sampled_from(["u1", "u2"]), times, undone_at=undone),
    st.builds(carried, strong, weak, times, st.sampled_from("rs"), position=st.integers(0, 1), undone_at=undone),
    st.builds(carried, st.sampled_from(["e1", "e2"]), st.sampled_from(["a1", "a2"]), times, undone_at=undone),
    st.builds(carried, billing, st.sampled_from(["e1", "e2", "e3", "a1"]), times, undone_at=undone),
    st.builds(lambda b, at, undone: same_id(f"c{b[1]}", b, at, undone_at=undone), billing, times, undone),
    st.builds(carried, strong | weak, st.sampled_from(["x1", "x2"]), times, undone_at=undone),
)  # fmt: skip
human = st.builds(by_hand, strong | weak, strong | weak, times, st.sampled_from([BY_HAND, MERGE]), undone_at=undone)
human = human.filter(lambda link: link.one != link.other)
histories = st.lists(automatic | human, max_size=14)


@given(histories, st.randoms(use_true_random=False), st.none() | st.integers(0, 10))
def test_order_and_repetition_change_nothing(facts: list[Link], shuffle: random.Random, as_of: int | None) -> None:
    """Any permutation of the facts, some of them twice, gives the same customers, now and as of any time."""
    again = facts + facts[: len(facts) // 2]
    shuffle.shuffle(again)
    assert partition(again, as_of).customers == partition(facts, as_of).customers


@given(histories, human)
def test_a_merge_that_is_undone_never_was(facts: list[Link], merge: Link) -> None:
    """Merge and split give every identifier the customer that it had before, whatever came in between."""
    taken_back = partition([*facts, merge._replace(undone_at=9)])
    before = partition(facts)
    for side in [*before.customers, *merge.pair]:
        assert taken_back.customer(side) == before.customer(side)
    joined = partition([*facts, merge._replace(undone_at=None)])
    assert joined.customer(merge.one) == joined.customer(merge.other)


@given(histories, st.integers(0, 10))
def test_as_of_is_what_was_known(facts: list[Link], as_of: int) -> None:
    """Facts that were received later do not exist, and what was undone later is not undone."""
    known = [fact._replace(undone_at=None if (fact.undone_at or 0) > as_of else fact.undone_at)
             for fact in facts if fact.received_at <= as_of]  # fmt: skip
    assert partition(facts, as_of).customers == partition(known).customers


@given(histories)
def test_what_is_weak_never_joins_two(facts: list[Link]) -> None:
    """Billing ids, e-mail addresses, anonymous ids and churn events that clients send change nothing about who else is
    one."""
    facts = [fact for fact in facts if fact.automatic or {fact.one.value[0], fact.other.value[0]} <= {"c", "u"}]
    without = partition([fact for fact in facts if {fact.one.value[0], fact.other.value[0]} <= {"c", "u"}])
    for side, customer in partition(facts).customers.items():
        if side.value[0] in "cu":
            assert tuple(other for other in customer if other.value[0] in "cu") == without.customer(side)


@given(histories)
def test_billing_ids_take_no_address_from_anybody(facts: list[Link]) -> None:
    """What clients say of billing ids leaves each address with the customer id or uid that it is with without it."""
    facts = [fact for fact in facts if fact.automatic or "b" not in {fact.one.value[0], fact.other.value[0]}]
    without = partition([fact for fact in facts if "b" not in {fact.one.value[0], fact.other.value[0]}])
    found = partition(facts)
    for side, customer in without.customers.items():
        if side.value[0] == "e" and customer[0].value[0] in "cu":
            assert found.customer(side)[0] == customer[0]


@given(histories)
def test_every_customer_holds_together_by_facts_about_it(facts: list[Link]) -> None:
    """From any identifier the facts between a customer's own lead to all others: whoever asks why can be told."""
    found = partition(facts)
    for customer in found.customers.values():
        reached, within = {customer[0]}, [link for link in found.standing if set(customer).issuperset(link.pair)]
        while near := {side for link in within for side in link.pair if reached.intersection(link.pair)} - reached:
            reached |= near
        assert reached == set(customer)


@given(histories)
def test_customers_are_disjoint_and_in_order(facts: list[Link]) -> None:
    """Each identifier has one customer, the same for each of its identifiers, strongest first."""
    found: Mapping[Identifier, tuple[Identifier, ...]] = partition(facts).customers
    for side, customer in found.items():
        assert side in customer
        assert list(customer) == sorted(customer, key=strength)
        assert all(found[other] is customer for other in customer)


def test_chains_and_cycles_are_one() -> None:
    """What is linked step by step is one customer, with a cycle or without."""
    chain = [carried(f"c{n}", f"u{n}") for n in range(2500)] + [carried(f"c{n + 1}", f"u{n}") for n in range(2500)]
    (customer,) = set(partition(chain).customers.values())
    assert len(customer) == 5001
    assert set(partition([*chain, carried("c0", "u2499")]).customers.values()) == {customer}


def test_an_email_of_one_customer_is_theirs() -> None:
    """Carried with two identifiers of one customer it is no more ambiguous than with one."""
    assert customers(carried("c1", "e1")) == {"c1 e1"}
    assert customers(carried("c1", "e1"), carried("u1", "e1"), carried("c1", "u1")) == {"c1 u1 e1"}


def test_an_email_of_two_customers_is_nobodys() -> None:
    """It joins neither, until the two are one; and again after they are not."""
    facts = [carried("c1", "e1"), carried("c2", "e1")]
    assert customers(*facts) == {"c1", "c2", "e1"}
    assert customers(*facts, by_hand("c1", "c2", how=MERGE)) == {"c1 c2 e1"}
    assert customers(*facts, by_hand("c1", "c2", how=MERGE, undone_at=5)) == {"c1", "c2", "e1"}


def test_an_anonymous_id_belongs_to_the_first_who_claimed_it() -> None:
    """By time of receipt, then receipt, then position in the request; later claims move nothing."""
    assert customers(carried("u1", "a1", 2), carried("u2", "a1", 1)) == {"u2 a1", "u1"}
    assert customers(carried("u1", "a1", 1, "s"), carried("u2", "a1", 1, "r")) == {"u2 a1", "u1"}
    assert customers(carried("u1", "a1", position=1), carried("u2", "a1", position=0)) == {"u2 a1", "u1"}
    promoted = carried("u2", "a1", 1)._replace(how=PROMOTION, verified=False)
    assert customers(carried("u1", "a1", 2), promoted) == {"u2 a1", "u1"}


def test_a_visitor_follows_an_email_to_its_customer() -> None:
    """An anonymous id that was claimed with an e-mail address goes where the address goes."""
    assert customers(carried("e1", "a1")) == {"e1 a1"}
    assert customers(carried("e1", "a1"), carried("c1", "e1")) == {"c1 e1 a1"}
    assert customers(carried("e1", "a1"), carried("c1", "e1"), carried("c2", "e1")) == {"c1", "c2", "e1 a1"}


def test_a_person_decides_whose_a_weak_identifier_is() -> None:
    """By hand an ambiguous e-mail, or an anonymous id that another claimed first, is given to one customer."""
    facts = [carried("c1", "e1"), carried("c2", "e1"), carried("u1", "a1", 1)]
    assert customers(*facts, by_hand("c2", "e1")) == {"c1", "c2 e1", "u1 a1"}
    assert customers(*facts, by_hand("c2", "a1", 9)) == {"c1", "c2 a1", "e1", "u1"}
    assert customers(carried("u1", "a1"), by_hand("a1", "a2")) == {"u1 a1 a2"}


BILLING = [
    ("a person's word counts before all", [by_hand("b1", "u9", 9), same_id("c1", "b1"), carried("c2", "b1"),
     carried("b1", "e1"), carried("c3", "e1")], {"u9 b1", "c1", "c2", "c3 e1"}),
    ("the same id counts before what was carried earlier", [same_id("c1", "b1", 5), carried("c2", "b1", 1),
     carried("b1", "e1", 1), carried("c3", "e1", 1)], {"c1 b1", "c2", "c3 e1"}),
    ("the first who carried it", [carried("c2", "b1", 2), carried("u1", "b1", 1)], {"u1 b1", "c2"}),
    ("carried counts before an address", [carried("c2", "b1", 2), carried("b1", "e1", 1), carried("c3", "e1", 1)],
     {"c2 b1", "c3 e1"}),
    ("an address leads to its customer", [carried("b1", "e1", 1), carried("u1", "e1", 2)], {"u1 b1 e1"}),
    ("the first address that has an owner leads", [carried("b1", "e1", 1), carried("b1", "e3", 2),
     carried("b1", "e2", 3), carried("c2", "e2", 4), carried("c3", "e3", 5)], {"c3 b1 e1 e3", "c2 e2"}),
    ("an ambiguous address leads nowhere", [carried("b1", "e1"), carried("c1", "e1"), carried("c2", "e1"),
     carried("b2", "e1")], {"b1", "b2", "c1", "c2", "e1"}),
    ("nor does one that is one with it by hand", [by_hand("e1", "e2"), carried("c1", "e1"), carried("c2", "e1"),
     carried("b1", "e2")], {"b1", "c1", "c2", "e1 e2"}),
    ("one address, one customer", [carried("b1", "e1"), carried("b2", "e1"), carried("b2", "e2")], {"b1 b2 e1 e2"}),
    ("an address follows its billing id", [carried("b1", "e1"), carried("c1", "b1")], {"c1 b1 e1"}),
    ("and the first of two", [carried("b2", "e1", 2), carried("b1", "e1", 1), same_id("c1", "b1"), same_id("c2", "b2")],
     {"c1 b1 e1", "c2 b2"}),
    ("one that is somebody's before one that is nobody's", [carried("b1", "e1", 1), carried("b2", "e1", 2),
     same_id("c2", "b2", 3)], {"c2 b1 b2 e1"}),
    ("two tracked customers stay two", [carried("b1", "e1"), carried("b1", "e2"), carried("b2", "e1"),
     carried("b3", "e2"), same_id("c2", "b2"), same_id("c3", "b3")], {"c2 b1 b2 e1 e2", "c3 b3"}),
    ("it makes no address ambiguous", [carried("b1", "e1", 1), same_id("c1", "b1", 1), carried("c2", "e1", 9)],
     {"c1 b1", "c2 e1"}),
    ("a visitor goes with it", [carried("b1", "a1"), same_id("c1", "b1", 5)], {"c1 b1 a1"}),
    ("taken apart, the same id says no more", [same_id("c1", "b1", undone_at=3), same_id("c1", "b1", 4),
     carried("c2", "b1", 9)], {"c2 b1"}),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "expected"), [case[1:] for case in BILLING], ids=[case[0] for case in BILLING])
def test_whose_a_billing_id_is(facts: list[Link], expected: set[str]) -> None:
    """Each rule of docs/identity.md, in its place among the others, with the facts in either order."""
    assert customers(*facts) == customers(*reversed(facts)) == expected


def test_a_churn_event_never_joins_two() -> None:
    """Its id hangs on the customer it was first recorded for, an ambiguous e-mail address too."""
    assert customers(carried("c1", "x1", 2), carried("c2", "x1", 1)) == {"c1", "c2 x1"}
    assert customers(carried("e1", "x1"), carried("c1", "e1"), carried("e1", "x2")) == {"c1 e1 x1 x2"}
    assert customers(carried("e1", "x1"), carried("c1", "e1"), carried("c2", "e1")) == {"c1", "c2", "e1 x1"}


@pytest.mark.parametrize("how", [BY_HAND, MERGE])
def test_what_was_undone_stays_undone_but_for_a_person(how: str) -> None:
    """A pair that was taken apart is not joined when a client says it again, and is when a person does."""
    undone_pair = carried("c1", "u1", 1, undone_at=3)
    said_again = carried("c1", "u1", 5)._replace(source="churnkey")
    assert customers(undone_pair, said_again) == set()
    assert customers(undone_pair, said_again, as_of=2) == {"c1 u1"}
    assert customers(undone_pair, said_again, by_hand("c1", "u1", 6, how)) == {"c1 u1"}
