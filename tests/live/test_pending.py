"""Following journals: what comes is seen once, whoever writes it, and what is pruned before is told."""

from __future__ import annotations

from pathlib import Path

from tenure import entry as entries
from tenure.entry import Entry
from tenure.event import Event, Refusal
from tenure.identity import Identifier
from tenure.journal import Journal, Loaded
from tenure.live.pending import BURST, Tail, find, newest
from tenure.live.request import First, Wanted, request_of

OURS, OTHERS = "app_0123456789abcdef", "app_fedcba9876543210"


def an_entry(number: int, app: str = OURS) -> Entry:
    event = Event(index=0, name="a", uid=f"u{number}", message_id=f"m{number}")
    return Entry(app=app, receipt=f"{number:032x}", received_at=number, dialect="native", verified=True,
                 key_prefix="sk_live_abcd", events=[event])  # fmt: skip


def append(journal: Journal, *numbers: int, app: str = OURS) -> None:
    journal.append([entries.record(entry) for entry in (an_entry(number, app) for number in numbers)])


def test_what_comes_is_seen_once(tmp_path: Path) -> None:
    """From the moment of the first look on, in every journal, new ones too; of the apps that are asked for."""
    one = Journal.claim(tmp_path, 2**30)
    append(one, 1, 2)
    tail = Tail(tmp_path)
    append(one, 4)
    append(one, 5, app=OTHERS)
    two = Journal.claim(tmp_path, 2**30)
    append(two, 3)
    assert [entry.received_at for entry in tail.read({OURS}).entries] == [3, 4]
    assert tail.read({OURS}) == ([], 0)
    assert [entry.received_at for entry in newest(tmp_path, OURS, 3)] == [4, 3, 2]
    tail.close()


def test_what_is_pruned_before_it_is_seen_is_told(tmp_path: Path) -> None:
    """So that it can be looked for in the warehouse; and so is what is too much."""
    journal = Journal.claim(tmp_path, 2**30)
    tail = Tail(tmp_path)
    append(journal, 1, 2, 3)
    Loaded({journal.id: 2}).write(tmp_path)
    assert journal.prune() == 2
    news = tail.read({OURS})
    assert ([entry.received_at for entry in news.entries], news.missed) == ([3], 2)
    append(journal, *range(10, 10 + BURST + 7))
    news = tail.read({OURS})
    assert (len(news.entries), news.missed) == (BURST, 7)


def test_only_what_waits_is_searched(tmp_path: Path) -> None:
    """What is loaded is the warehouse's to find."""
    journal = Journal.claim(tmp_path, 2**30)
    append(journal, 1, 2, 3)
    Loaded({journal.id: 1}).write(tmp_path)
    assert [entry.received_at for entry in find(tmp_path, OURS, lambda _: True, 9)] == [2, 3]
    assert [entry.received_at for entry in find(tmp_path, OURS, lambda _: True, 1)] == [2]


def test_what_is_known_of_an_event_decides_its_outcome() -> None:
    """Nothing: accepted; the same: stored; an earlier one: a duplicate, or a conflict when that says something else."""
    entry = an_entry(7)
    for first, outcome in (
        (None, "accepted"),
        (First(entry.receipt, 0, b"x", is_loaded=True), "stored"),
        (First(entry.receipt, 0, b"x", is_loaded=False), "accepted"),
        (First("0" * 32, 0, b"x", is_loaded=True), "duplicate"),
        (First("0" * 32, 0, b"y", is_loaded=False), "conflict"),
    ):
        request = request_of(entry, lambda _, first=first: first, content=lambda _: b"x")
        assert request.outcomes == {outcome: 1}


def test_what_is_sought_is_shown_first() -> None:
    """Of a request with many elements, five; the others are counted."""
    events = [Event(index=index, name=f"n{index}", uid="u") for index in range(8)]
    refusal = Refusal(index=8, code="wrong_type", message="…", field="f")
    entry = Entry(app=OURS, receipt="0" * 32, received_at=1, dialect="churnkey", verified=True, key_prefix="",
                  events=events, refusals=[refusal])  # fmt: skip
    request = request_of(entry, sought=lambda item: item is refusal or item is events[6])
    assert [element.index for element in request.elements] == [6, 8, 0, 1, 2]
    assert (request.outcomes, request.left_out) == ({"accepted": 8, "quarantined": 1}, 4)
    assert Wanted(outcome="quarantined", name="n6", customer="u").takes(request)
    assert not Wanted(customer="v").takes(request)
    assert not Wanted(dialect="native").takes(request)
    assert request.elements[0].identifiers == (Identifier("uid", "u"),)
