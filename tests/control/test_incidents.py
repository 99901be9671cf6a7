"""What is wrong is kept until it is right again or accepted, on each kind of control database."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from tenure.control.database import connect, migrate
from tenure.control.incidents import Incident, Incidents, Kind, count_by_kind
from tenure.errors import NotFound
from tenure.settings import Settings

LOST = Incident(
    kind=Kind.MISSING_ELEMENTS, place="event", app="app_1", text="Run `tenure restore-parts`.", count=3, at_least=True,
    first_at=1_700_000_000_000, last_at=1_700_000_060_000, incomplete=True,
)  # fmt: skip


@pytest.fixture
def incidents(new_settings: Callable[[], Settings]) -> Incidents:
    engine = connect(new_settings())
    migrate(engine)
    return Incidents(engine)


def test_a_reported_incident_is_open_until_it_is_resolved(incidents: Incidents) -> None:
    """It is listed once however often it is reported, keeps when it began, and is gone when it is right again."""
    incidents.report(LOST)
    [first] = incidents.open()
    incidents.report(replace(LOST, count=5))
    [second] = incidents.open()
    assert (second.count, second.since) == (5, first.since)
    assert first.since > 0
    assert incidents.current() == [second]
    assert incidents.incomplete("app_1") == [second]
    assert incidents.incomplete("app_2") == []
    assert count_by_kind(incidents.open())["missing_elements"] == 1
    incidents.resolve(LOST.kind, LOST.place, LOST.app)
    assert incidents.open() == incidents.current() == []


def test_an_accepted_incident_opens_again_only_when_more_is_affected(incidents: Incidents) -> None:
    """An operator closes it for good, as far as it was known."""
    incidents.report(LOST)
    incidents.accept(LOST.id)
    incidents.report(LOST)
    incidents.report(replace(LOST, count=2))
    assert incidents.open() == []
    assert [one.count for one in incidents.accepted()] == [3]
    incidents.report(replace(LOST, count=4))
    assert [one.count for one in incidents.open()] == [4]
    assert incidents.accepted() == []
    with pytest.raises(NotFound):
        incidents.accept("none")


def test_what_cannot_be_written_is_written_later(incidents: Incidents) -> None:
    """While the control database refuses, an incident waits in memory, and the list is the last one known."""
    other = Incident(kind=Kind.CLOCK, place="clock", text="Set the clock.")
    incidents.report(LOST)
    known = incidents.current()
    with incidents._writer.begin() as db:
        db.execute(text("ALTER TABLE incident RENAME TO hidden"))
    incidents.report(other)
    incidents.resolve(LOST.kind, LOST.place, LOST.app)
    assert incidents.current() == known
    assert not incidents.write_waiting()
    with incidents._writer.begin() as db:
        db.execute(text("ALTER TABLE hidden RENAME TO incident"))
    assert incidents.write_waiting()
    assert [one.kind for one in incidents.open()] == [Kind.CLOCK]


def test_the_extent_of_an_incident_in_words() -> None:
    """How many, of which app, received when; only what is known."""
    assert LOST.extent == (
        "at least 3 elements of app app_1 received between 2023-11-14T22:13:20.000Z and 2023-11-14T22:14:20.000Z"
    )
    assert Incident(kind=Kind.CLOCK, place="clock", text="Set the clock.").extent == ""


def test_every_kind_is_documented() -> None:
    """`docs/operating.md` has a row for each kind of incident."""
    page = (Path(__file__).parent.parent.parent / "docs" / "operating.md").read_text()
    section = page.partition("## Incidents\n")[2].partition("\n## ")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == sorted(Kind)
