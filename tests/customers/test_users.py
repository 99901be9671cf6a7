"""Since when, and until when, a user is a member of a customer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tenure.customers.users import Said, periods


def here(at: int) -> Said:
    return Said(at, True)


def elsewhere(at: int) -> Said:
    return Said(at, False)


def test_a_member_from_the_first_that_says_so() -> None:
    """From the earliest time on, however often it is said again."""
    assert periods([here(3), here(1), here(2)], []) == [(1, None)]
    assert periods([], []) == []


def test_another_customer_takes_the_user_over() -> None:
    """Until the other says so, and again from when this one says so later."""
    assert periods([here(1), elsewhere(5)], []) == [(1, 5)]
    assert periods([here(1), elsewhere(5), here(7)], []) == [(1, 5), (7, None)]
    assert periods([elsewhere(1), here(5)], []) == [(5, None)]


def test_a_list_without_the_user_ends_the_membership() -> None:
    """From its time on; what is said at the same time counts before it, what is said later begins anew."""
    assert periods([here(1)], [5]) == [(1, 5)]
    assert periods([here(1), here(5)], [5]) == [(1, 5)]
    assert periods([here(1), here(6)], [5, 9]) == [(1, 5), (6, 9)]
    assert periods([here(6)], [5]) == [(6, None)]


said = st.builds(Said, st.integers(0, 20), st.booleans())


@given(st.lists(said, unique_by=lambda one: one.at), st.lists(st.integers(0, 20)), st.randoms())
def test_periods_do_not_depend_on_the_order_of_arrival(found: list[Said], lists: list[int], random: object) -> None:
    """Shuffled and said twice, the periods are the same; they follow each other, and only the last is open."""
    shuffled = found + found[::2]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    made = periods(found, lists)
    assert periods(shuffled, lists[::-1]) == made
    bounds = [at for period in made for at in period if at is not None]
    assert bounds == sorted(bounds)
    assert all(until is not None for _, until in made[:-1])
