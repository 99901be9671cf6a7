"""What is in force does not depend on how facts arrived, and each operation does what it says."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.customers.attributes import Known, known
from tenure.customers.facts import NOT_A_NUMBER, SET_BEFORE, Fact, by_attribute, first_copies, fold
from tenure.entry import Entry
from tenure.event import Changes, Identify
from tenure.loader import rows
from tenure.loader.columns import COLUMNS

APP = "app_0000000000000001"
NAMES = st.sampled_from(["plan", "seats", "a.b", 'q"', "", "\u0000"])
VALUES = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["pro", 0.1, 1e300, [1], {"x": None}])
NUMBERS = st.integers(-3, 3) | st.sampled_from([0.1, 0.2, 1e300, -1e-300])


def text(value: Any) -> str:
    return msgspec.json.encode(value, order="sorted").decode()


@st.composite
def identifies(draw: st.DrawFn) -> Identify:
    """What one element may say, at a time of its own; no name stands in two of its operations."""
    names = draw(st.lists(NAMES, unique=True, min_size=1))
    operations = {name: draw(st.sampled_from(["set", "set_once", "increment", "unset"])) for name in names}
    said = {kind: [name for name in names if operations[name] == kind] for kind in ("set", "set_once", "increment")}
    changes = Changes(
        set_once=text({name: draw(VALUES.filter(lambda value: value is not None)) for name in said["set_once"]}),
        increment=text({name: draw(NUMBERS) for name in said["increment"]}),
        unset=tuple(name for name in names if operations[name] == "unset"),
    )
    of_user = draw(st.booleans())
    values = text({name: draw(VALUES) for name in said["set"]})
    own: dict[str, Any] = {"user_traits": values, "user_changes": changes, "user_id": "p"} if of_user else {}
    return Identify(
        index=0,
        set_at=draw(st.integers(1, 4)),
        precise=True,
        uid="u",
        message_id=draw(st.none() | st.uuids().map(str)),
        **(own or {"traits": values, "changes": changes}),
    )


elements = st.tuples(identifies(), st.sampled_from(["churnkey", "customerscore", "whisperr", "native"]), st.booleans())


def request(number: int, element: tuple[Identify, str, bool]) -> Entry:
    """The element as the request of this number, a millisecond after the one before."""
    identify, dialect, verified = element
    return Entry(app=APP, receipt=f"{number:032x}", received_at=number * 1_000, dialect=dialect, verified=verified,
                 key_prefix="sk", identifies=[identify])  # fmt: skip


def loaded(entries: list[Entry], size: int = 1) -> list[Fact]:
    """The table `fact` as ReplacingMergeTree reads it with FINAL, after these entries in blocks of a size."""
    names = list(COLUMNS["fact"])
    table: dict[tuple[Any, ...], dict[str, Any]] = {}
    for start in range(0, len(entries), size):
        for values in rows.block(entries[start : start + size]).facts:
            row = dict(zip(names, values, strict=True))
            place = tuple(row[name] for name in ("scope", "subject", "name", "set_at", "operation", "element_id",
                                                 "verified"))  # fmt: skip
            if place not in table or row["precedence"] >= table[place]["precedence"]:
                table[place] = row
    return [Fact(**{name: row[name] for name in Fact._fields}) for row in table.values()]


def folded(facts: list[Fact], as_of: int = 1 << 60) -> dict[str, Known]:
    """What is known of the customer and of its user from what had been received by a number of milliseconds."""
    first = first_copies(fact for fact in facts if fact.received_at <= as_of * 1_000)
    return {scope: known([fact for fact in first if fact.scope == scope], 100) for scope in ("customer", "user")}


@given(st.lists(elements, max_size=8), st.randoms(), st.integers(1, 4))
def test_loading_in_any_order_and_batching_gives_the_same_at_every_as_of(
    found: list[Any], random: Any, size: int
) -> None:
    """What was received is loaded in another order, in other blocks, some of it twice: nothing differs."""
    entries = [request(number, element) for number, element in enumerate(found, 1)]
    shuffled = entries + entries[: len(entries) // 2]
    random.shuffle(shuffled)
    once, again = loaded(entries), loaded(shuffled, size)
    for as_of in range(len(entries) + 1):
        assert folded(once, as_of) == folded(again, as_of)


@given(st.lists(elements, max_size=8), st.randoms())
def test_arrival_in_any_order_and_twice_gives_the_same(found: list[Any], random: Any) -> None:
    """The same elements are received in another order, some again later: the same is in force, for the same reasons."""
    found = list({element[0].set_at: element for element in found}.values())  # of one time the later received counts
    resent = found + found[: len(found) // 2]
    random.shuffle(resent)
    once, again = (
        {scope: said(part) for scope, part in folded(loaded([request(*e) for e in enumerate(order, 1)])).items()}
        for order in (found, resent)
    )
    assert once == again


def said(part: Known) -> Any:
    """All but when the requests arrived."""
    plain = msgspec.json.decode(msgspec.json.encode(part))
    for changes in plain["history"].values():
        for change in changes:
            del change["received_at"], change["receipt"]
    return plain


def a_fact(set_at: int, operation: str, value: Any = None, **fields: Any) -> Fact:
    given = {"scope": "customer", "subject": "", "name": "n", "set_at": set_at, "operation": operation,
             "element_id": repr((set_at, operation, value)).encode(), "verified": True,
             "value": "" if operation == "unset" else text(value), "dialect": "native", "received_at": 1_000,
             "receipt": bytes(16), "precedence": 9}  # fmt: skip
    return Fact(**(given | fields))


def in_force(*facts: Fact) -> Any:
    """The value after these facts of one attribute, in whatever order they are given."""
    (ordered,) = by_attribute(facts).values()
    value = fold(ordered)[-1].value
    return None if value is None else msgspec.json.decode(value)


def test_latest_by_time_is_in_force() -> None:
    """What was said of the latest time counts, of whatever type it is; unset leaves nothing."""
    assert in_force(a_fact(2, "set", {"a": [1]}), a_fact(1, "set", "text"), a_fact(0, "set", 7)) == {"a": [1]}
    assert in_force(a_fact(2, "unset"), a_fact(1, "set", 1)) is None
    assert in_force(a_fact(2, "unset"), a_fact(3, "set", False)) is False


def test_set_once_counts_where_there_is_nothing_at_its_time() -> None:
    """The earliest one wins, one after a set changes nothing, one after an unset counts, and a later set replaces."""
    assert in_force(a_fact(2, "set_once", "late"), a_fact(1, "set_once", "early")) == "early"
    assert in_force(a_fact(2, "set_once", "once"), a_fact(1, "set", "before")) == "before"
    assert in_force(a_fact(3, "set_once", "once"), a_fact(1, "set", 1), a_fact(2, "unset")) == "once"
    assert in_force(a_fact(1, "set_once", "once"), a_fact(2, "set", "after")) == "after"
    steps = fold(by_attribute([a_fact(2, "set_once", 1), a_fact(1, "set", 2)])["", "n"])
    assert [step.ignored for step in steps] == [None, SET_BEFORE]


def test_increments_are_exact() -> None:
    """Ten times 0.1 is 1; large and small numbers keep every digit; after a set they go on from it."""
    assert in_force(*(a_fact(at, "increment", 0.1) for at in range(10))) == 1
    assert in_force(a_fact(1, "set", 10**40), a_fact(2, "increment", 1)) == 10**40 + 1
    assert in_force(a_fact(1, "increment", 5), a_fact(2, "set", 1.5), a_fact(3, "increment", -1)) == 0.5
    steps = fold([a_fact(1, "set", 1e300), a_fact(2, "increment", 1e-300)])
    assert Decimal(steps[-1].value or "") - Decimal("1e300") == Decimal("1e-300")


@pytest.mark.parametrize("value", ["7", True, [1], {"a": 1}])
def test_an_increment_of_what_is_no_number_is_counted_and_changes_nothing(value: Any) -> None:
    """The value stays, the increment is in the history with the reason, and the attribute says how many there were."""
    facts = [a_fact(1, "set", value), a_fact(2, "increment", 1), a_fact(3, "increment", 1)]
    found = known(facts, 10)
    assert msgspec.json.decode(found.attributes["n"].value) == value
    assert (found.attributes["n"].ignored, found.attributes["n"].set_at) == (2, "1970-01-01T00:00:00.001Z")
    assert [change.ignored for change in found.history["n"]] == [NOT_A_NUMBER, NOT_A_NUMBER, None]


@given(st.permutations([a_fact(1, "set", "b", precedence=9), a_fact(1, "unset", precedence=8),
                        a_fact(1, "set", "z", precedence=7), a_fact(1, "set_once", "c", precedence=6),
                        a_fact(1, "set", "a", precedence=5, dialect="whisperr")]))  # fmt: skip
def test_ties_are_decided_by_receipt(facts: list[Fact]) -> None:
    """At one time what was received last counts, however it is loaded."""
    found = known(facts, 10).attributes["n"]
    assert (msgspec.json.decode(found.value), found.dialect) == ("a", "whisperr")


def test_what_is_not_verified_is_never_in_force() -> None:
    """It is listed apart, also when it is later, and it cannot stand in for a verified copy of its element."""
    true = a_fact(1, "set", "true")
    forged = a_fact(2, "set", "forged", verified=False)
    found = known([true, forged], 10)
    assert msgspec.json.decode(found.attributes["n"].value) == "true"
    assert msgspec.json.decode(found.unverified["n"].value) == "forged"
    copy = true._replace(value='"forged"', verified=False, precedence=true.precedence + 1)
    assert first_copies([true, copy]) == [true, copy]


def test_the_first_received_copy_of_an_element_counts() -> None:
    """Another delivery of the element with other content changes nothing, whatever it says."""
    first, second = a_fact(1, "increment", 1), a_fact(1, "increment", 5, element_id=b"e", precedence=8)
    first = first._replace(element_id=b"e")
    other = a_fact(1, "set", 1, name="other", element_id=b"e", precedence=8)
    assert first_copies([second, first, other, first]) == [first]
