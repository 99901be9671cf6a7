from __future__ import annotations

from pathlib import Path

import pytest

from prove.ledger import Element, Ledger, digest
from prove.verifier import Stored, Verdict, compare, sample

APP = "app"


def element(number: int, customer: str = "ann", name: str = "used") -> Element:
    return Element(APP, f"m{number}", customer, name, digest(name, customer, {"n": number}))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Two acknowledged events and one that is not."""
    ledger = Ledger(tmp_path / "ledger")
    elements = [element(number) for number in range(3)]
    ledger.send(elements)
    ledger.acknowledge(elements[:2], "receipt")
    return ledger


def stored_of(*elements: Element) -> Stored:
    """What a server answers that has these, with counts that agree."""
    stored = Stored()
    for one in elements:
        stored.digests[one.message_id].append(one.digest)
        stored.owners[one.message_id] = one.customer
        stored.names[one.name] += 1
        stored.by_customer[f"uid:{one.customer}"] += 1
    stored.catalogue, stored.volumes, stored.listed = dict(stored.names), dict(stored.names), dict(stored.by_customer)
    return stored


def problems(ledger: Ledger, stored: Stored) -> dict[str, int]:
    return compare(ledger.expected(), stored).problems()


def test_what_was_acknowledged_has_to_be_there_and_the_rest_may_be(ledger: Ledger) -> None:
    """Once."""
    assert problems(ledger, stored_of(element(0), element(1))) == {}
    assert problems(ledger, stored_of(element(0), element(1), element(2))) == {}
    assert problems(ledger, stored_of(element(0))) == {"lost": 1}
    assert problems(ledger, stored_of(element(0), element(1), element(2), element(2))) == {"twice": 1}


def test_what_was_not_sent_or_says_something_else_is_told(ledger: Ledger) -> None:
    """Nothing is invented, nothing changed."""
    assert problems(ledger, stored_of(element(0), element(1), element(9))) == {"invented": 1}
    other = Element(APP, "m1", "ann", "used", "another digest")
    assert problems(ledger, stored_of(element(0), other)) == {"changed": 1}


@pytest.mark.parametrize("counted", ["catalogue", "volumes"])
def test_counts_are_of_what_is_stored(ledger: Ledger, counted: str) -> None:
    """In the catalogue, in the volumes."""
    stored = stored_of(element(0), element(1))
    getattr(stored, counted)["used"] = 3
    assert problems(ledger, stored) == {"miscounted": 1}


def test_the_list_counts_what_is_stored(ledger: Ledger) -> None:
    """Of each customer."""
    stored = stored_of(element(0), element(1))
    stored.listed["uid:ann"] = 1
    assert problems(ledger, stored) == {"miscounted": 1}


def test_an_acknowledged_erasure_leaves_nothing(ledger: Ledger) -> None:
    """And is not undone."""
    ledger.request_erasure("ann")
    assert problems(ledger, stored_of()) == {}, "not acknowledged: it may have been carried out"
    assert problems(ledger, stored_of(element(0), element(1), element(2))) == {}
    assert problems(ledger, stored_of(element(0))) == {"undone": 1}
    ledger.acknowledge_erasure("ann", "id")
    assert problems(ledger, stored_of()) == {}
    assert problems(ledger, stored_of(element(0))) == {"undone": 1}


def test_a_receipt_tells_what_became_of_each_element(ledger: Ledger) -> None:
    """In the order in which they were sent."""
    stored = stored_of(element(0), element(1))
    stored.outcomes["receipt"] = ["stored", "duplicate"]
    assert problems(ledger, stored) == {}
    stored.outcomes["receipt"] = ["stored", "pending"]
    assert problems(ledger, stored) == {"receipts": 1}
    stored.outcomes["receipt"] = []
    assert problems(ledger, stored) == {"receipts": 1}


def test_what_is_required_is_what_was_acknowledged_before_the_moment(ledger: Ledger) -> None:
    """Later acknowledgements may be missing, and what was sent later cannot be there."""
    moment = max(when for when, _ in ledger._sent.values())
    assert compare(ledger.expected(moment), stored_of()).problems() == {}
    ledger.send([element(5)])
    assert compare(ledger.expected(moment), stored_of(element(5))).problems() == {"invented": 1}


def test_a_verdict_with_no_problem_holds() -> None:
    """Whatever it compared."""
    assert Verdict(required=5).holds
    assert not Verdict(lost=1).holds


def test_a_sample_of_receipts_has_the_newest_and_old_ones() -> None:
    """Spread evenly."""
    receipts = [str(number) for number in range(100)]
    assert sample(receipts, 4) == ["99", "74", "49", "24"]
    assert sample(receipts, None) == receipts
