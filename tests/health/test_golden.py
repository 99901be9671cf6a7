"""The golden book: customers whose score and parts were computed by hand, each with its reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tenure.health.score import health
from tenure.health.settings import HealthSettings
from tests.health import histories

BOOK = sorted((Path(__file__).parent / "golden").glob("*.json"))
LISTS = ("positive", "negative", "silent", "broken_tracking", "unreadable", "unverified")


def days(written: list[int | list[int]]) -> list[int]:
    """Days ago; `[0, 118, 2]` is every second one from 0 to 118."""
    found: list[int] = []
    for each in written:
        found += [each] if isinstance(each, int) else range(each[0], each[1] + 1, each[2])
    return found


def by_name(written: dict[str, Any]) -> dict[str, list[int]]:
    return {name: days(each) for name, each in written.items()}


@pytest.mark.parametrize("page", BOOK, ids=lambda page: page.stem)
def test_customer(page: Path) -> None:
    """A customer has the score, the points of each part and the signals that a person computed."""
    read = json.loads(page.read_text())
    given, expected = read["given"], read["expected"]
    history = histories.history(
        by_name(given["verified"]),
        unverified=by_name(given.get("unverified", {})),
        by_billing=given.get("by_billing", ()),
        answers=[tuple(answer) for answer in given.get("answers", ())],
        known_days=given.get("known_days"),
    )
    settings = msgspec.convert(given.get("settings", {}), HealthSettings)
    found = health(
        history, histories.others(given.get("others", {})), settings, histories.billing(given.get("billing"))
    )
    assert found.score == expected["score"]
    assert [reason.code for reason in found.insufficient_data] == expected.get("reasons", [])
    parts = {part.part: [part.points, part.possible] for part in found.parts if part.left_out is None}
    assert parts == expected.get("points", {})
    assert {part.part: part.left_out for part in found.parts if part.left_out} == expected.get("left_out", {})
    for which in LISTS:
        assert [item.name for item in getattr(found.signals, which)] == expected.get(which, []), which


def test_the_book_is_whole() -> None:
    """It has 12 customers, each with its sentence."""
    assert len(BOOK) == 12
    assert all(json.loads(page.read_text())["why"].endswith(".") for page in BOOK)
