"""An identifier that joins too many joins nobody, and an address of two who pay is neither's: whatever the order."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.control.link import API, BY_HAND, CARRIED, ENDED, GONE, LARGE, MERGE, PROMOTION, SAME_ID, SUBSCRIBED, Link
from tenure.control.partition import partition
from tenure.identity import Identifier, identity_key

APP = "app_0000000000000001"
NAMES = {"c": "customer_id", "u": "uid", "b": "billing_id", "e": "email", "a": "anonymous_id"}


def who(name: str) -> Identifier:
    return Identifier(NAMES[name[0]], name)


def carried(one: str, other: str, at: int = 1, how: str = CARRIED, **more: Any) -> Link:
    return Link(APP, who(one), who(other), how, "native", True, at, f"r{at}", **more)


def by_hand(one: str, other: str, at: int = 1, how: str = BY_HAND, **more: Any) -> Link:
    return Link(APP, who(one), who(other), how, API, True, at, f"{one}{other}{at}", **more)


def large(one: str, **more: Any) -> Link:
    return by_hand(one, one, how=LARGE, **more)


def live(billing_id: str, since: int, until: int | None = None) -> list[Link]:
    own = carried(billing_id, billing_id)
    began = own._replace(how=SUBSCRIBED, note=f"{since} stripe sub_{billing_id}")
    return [began] if until is None else [began, own._replace(how=ENDED, note=f"{until} stripe sub_{billing_id}")]


def customers(*facts: Link, as_of: int | None = None) -> set[str]:
    found = partition(facts, as_of).customers
    return {" ".join(side.value for side in sides) for sides in found.values()}


def users(count: int, of: str = "c0") -> list[Link]:
    """Facts that one customer id joins so many uids, each said a moment after the one before."""
    return [carried(of, f"u{n:02}", n + 1) for n in range(count)]


@pytest.mark.parametrize("count", [9, 10])
def test_up_to_ten_are_one_customer(count: int) -> None:
    """A customer id of 9 or 10 uids."""
    assert len(customers(*users(count))) == 1


@pytest.mark.parametrize("count", [11, 40])
def test_more_than_ten_are_customers_of_their_own(count: int) -> None:
    """With 11 uids it is held, and each of them is for itself; what is held is told."""
    assert len(customers(*users(count))) == count + 1
    assert partition(users(count)).held == {who("c0")}


KINDS = [("c0", "u"), ("c0", "b"), ("u0", "c"), ("u0", "b"), ("b0", "c"), ("b0", "u"), ("e0", "u"), ("a0", "u")]


@pytest.mark.parametrize(("one", "kind"), KINDS)
def test_any_identifier_that_joins_eleven_of_another_kind_is_held(one: str, kind: str) -> None:
    """Customer ids, uids and billing ids, but also addresses and anonymous ids that come with as many."""
    facts = []
    for n in range(11):
        first, second = sorted([one, f"{kind}{n + 1}"], key=lambda name: "cubea".index(name[0]))
        facts.append(carried(first, second, at=n + 1))
    assert partition(facts).held == {who(one)}
    assert len(customers(*facts)) == 12


def test_all_other_kinds_count_together() -> None:
    """Six uids and five billing ids are eleven; the same id as a billing id's is none more, and addresses are none."""
    facts = [carried("c0", f"u{n}") for n in range(6)] + [carried("c0", f"b{n}") for n in range(4)]
    facts += [carried("c0", f"e{n}") for n in range(20)] + [carried("c0", "b9", how=SAME_ID)]
    assert partition(facts).held == set()
    assert partition([*facts, carried("c0", "b4")]).held == {who("c0")}


def test_links_by_hand_do_not_count_and_go_on_to_join() -> None:
    """A person may join as many as there are, and what is held is somebody's by a person's word."""
    merged = [by_hand("c0", f"u{n}", n + 1, how=MERGE) for n in range(30)]
    assert len(customers(*merged)) == 1
    assert "c0 c9" in customers(*users(11), by_hand("c0", "c9"))


def test_unverified_claims_do_not_count() -> None:
    """Anybody can say them: nobody is taken apart by that."""
    said = [carried(f"u{n}", "a1", n + 1, how=PROMOTION)._replace(verified=False) for n in range(20)]
    assert "u0 a1" in customers(*said)


def test_an_account_that_really_is_so_large_stays_one() -> None:
    """By a person's word, until that is taken back; as of a time before it was given it was apart."""
    facts = users(11)
    assert len(customers(*facts, large("c0"))) == 1
    assert len(customers(*facts, large("c0", undone_at=50))) == 12
    assert len(customers(*facts, large("c0")._replace(received_at=40), as_of=39)) == 12
    assert len(customers(*facts, large("c0")._replace(received_at=40), as_of=40)) == 1


def test_facts_that_were_undone_count_for_ever() -> None:
    """A split of one of eleven does not join the other ten again."""
    facts = users(11)
    assert len(customers(*[facts[0]._replace(undone_at=50)], *facts[1:])) == 11


def test_as_of_a_time_counts_what_was_known_then() -> None:
    """Ten were one customer before the eleventh came."""
    assert len(customers(*users(11), as_of=10)) == 1
    assert len(customers(*users(11), as_of=11)) == 12


def test_who_was_erased_counts_once() -> None:
    """The hash of an erased id counts with those that are left, and not beside the same id when it is there again."""
    gone = Link(APP, who("c0"), Identifier("erased", identity_key(APP, who("u99")).hex()), GONE, API, True, 1, "r")
    assert len(customers(*users(9), gone)) == 1
    assert len(customers(*users(10), gone)) == 11
    again = carried("c0", "u99")
    assert len(customers(*users(9), gone, again)) == 1


def test_what_came_with_a_held_id_stays_together() -> None:
    """The uid and the address of one person, sent with the id that everybody has, are one; a split parts them."""
    facts = users(11) + [carried("c0", f"e{n:02}", n + 1) for n in range(11)]
    assert customers(*facts) == {"c0", *(f"u{n:02} e{n:02}" for n in range(11))}
    apart = carried("u03", "e03", 4, undone_at=60)
    assert customers(*facts, apart) >= {"u03", "e03", "u04 e04"}


def test_a_placeholder_of_old_facts_links_nobody() -> None:
    """Those that a release before joined through one are apart, each with what came with them; by hand as well."""
    nobody = Identifier("customer_id", "Undefined ")
    old = [carried(name, other, n)._replace(one=nobody) for n, (name, other) in enumerate(
        [("c0", "u1"), ("c0", "e1"), ("c0", "u2"), ("c0", "a2")])]  # fmt: skip
    assert customers(*old) == {"Undefined ", "u1", "e1", "u2", "a2"}
    old = [fact._replace(receipt=f"r{at}", received_at=at) for fact, at in zip(old, (1, 1, 2, 2), strict=True)]
    assert customers(*old) == {"Undefined ", "u1 e1", "u2 a2"}
    assert customers(*old, by_hand("c1", "u1")._replace(other=nobody)) == {"Undefined ", "u1 e1", "u2 a2", "c1"}


ids = st.sampled_from([f"{kind}{n}" for kind in "cub" for n in range(4)] + ["e1", "e2", "a1", "a2"])
pairs = st.tuples(st.sampled_from(["c0", "u0", "c1"]), ids | st.integers(10, 29).map("u{}".format), st.integers(1, 9),
                  st.none() | st.integers(4, 12))  # fmt: skip
history = st.lists(pairs, max_size=60).map(
    lambda found: [carried(one, other, at, undone_at=undone) for one, other, at, undone in found if one[0] != other[0]]
)


@given(history, st.booleans(), st.randoms(use_true_random=False), st.none() | st.integers(0, 12))
def test_any_order_gives_the_same_customers(
    facts: list[Link], is_large: bool, shuffle: random.Random, as_of: int | None
) -> None:
    """With identifiers that join few and many, in any order, some facts twice, now and as of any time."""
    facts = [*facts, *([large("c0")] if is_large else [])]
    again = facts + facts[: len(facts) // 2]
    shuffle.shuffle(again)
    found, other = partition(facts, as_of), partition(again, as_of)
    assert (found.customers, found.held) == (other.customers, other.held)


@given(history, ids, ids)
def test_a_merge_and_a_split_restore_exactly(facts: list[Link], one: str, other: str) -> None:
    """Whatever is held, a merge that is undone leaves everybody as they were."""
    if one == other:
        return
    merge = by_hand(one, other, how=MERGE, undone_at=9)
    before, after = partition(facts), partition([*facts, merge])
    for side in [*before.customers, who(one), who(other)]:
        assert after.customer(side) == before.customer(side)


@given(history)
def test_what_is_held_joins_nothing(facts: list[Link]) -> None:
    """Without the facts about it, all others are the customers that they are with them, or fewer are one."""
    found = partition(facts)
    for side in found.held:
        assert found.customer(side) == (side,)


AGENCY = [carried("b1", "e1", 1), carried("b2", "e1", 2)]


def test_an_address_of_two_who_pay_is_neithers() -> None:
    """Two billing ids with live subscriptions stay two; one whose subscription ended before the other began is one."""
    assert customers(*AGENCY) == {"b1 b2 e1"}
    assert customers(*AGENCY, *live("b1", 10), *live("b2", 20)) == {"b1", "b2", "e1"}
    assert customers(*AGENCY, *live("b1", 10, 20), *live("b2", 20)) == {"b1 b2 e1"}
    assert customers(*AGENCY, *live("b1", 10, 21), *live("b2", 20)) == {"b1", "b2", "e1"}
    assert customers(*AGENCY, *live("b1", 10, 21), *live("b2", 20, 22)) == {"b1", "b2", "e1"}
    assert customers(*AGENCY, *live("b1", 10)) == {"b1 b2 e1"}


def test_an_address_of_two_who_pay_leads_no_billing_id_to_its_customer() -> None:
    """Whose it is by their own word keeps it; a billing id that is theirs by id stays theirs."""
    both = [*live("b1", 10), *live("b2", 20)]
    assert customers(*AGENCY, carried("c1", "e1"), *both) == {"c1 e1", "b1", "b2"}
    assert customers(*AGENCY, carried("c1", "b1"), *both) == {"c1 b1", "b2", "e1"}
    assert customers(*AGENCY, carried("c1", "b1"), carried("c1", "b2"), *both) == {"c1 b1 b2 e1"}
    assert customers(*AGENCY[1:], carried("c1", "b1"), carried("c1", "e1"), *both) == {"c1 b1 e1", "b2"}
    assert customers(*AGENCY, by_hand("b1", "e1"), *both) == {"b1 e1", "b2"}
    assert customers(*AGENCY, carried("b3", "e1"), *both, *live("b3", 5, 6)) == {"b1", "b2", "b3", "e1"}


spans = st.tuples(st.sampled_from(["b1", "b2", "b3"]), st.integers(0, 9), st.none() | st.integers(1, 9)).map(
    lambda one: live(one[0], one[1], None if one[2] is None else one[1] + one[2])
)
claims = st.builds(
    carried, st.sampled_from(["b1", "b2", "b3", "c1", "c2"]), st.sampled_from(["e1", "e2"]), st.integers(1, 5)
)
owned = st.builds(carried, st.sampled_from(["c1", "c2"]), st.sampled_from(["b1", "b2", "b3"]), st.integers(1, 5))


@given(st.lists(claims | owned, max_size=10), st.lists(spans, max_size=5), st.randoms(use_true_random=False))
def test_subscriptions_in_any_order_give_the_same(
    facts: list[Link], lives: list[list[Link]], shuffle: random.Random
) -> None:
    """Whatever comes first: the addresses, who has them, or when which subscription began and ended."""
    said = [*facts, *(link for found in lives for link in found)]
    again = said + said[::2]
    shuffle.shuffle(again)
    assert partition(again).customers == partition(said).customers
