"""The golden book: histories whose movements, MRR and spells were computed by hand, each with its reason."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import date
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest

from tenure.subscriptions.currency import Rates
from tenure.subscriptions.movements import movements
from tenure.subscriptions.rules import Rules
from tenure.subscriptions.spells import spells
from tests.subscriptions.histories import fact

BOOK = sorted((Path(__file__).parent / "golden").glob("*.input.json"))


@pytest.mark.parametrize("page", BOOK, ids=lambda page: page.name.removesuffix(".input.json"))
def test_history(page: Path) -> None:
    """A history has the movements, the MRR at the end and the spells that a person computed for it."""
    given = json.loads(page.read_text())
    expected = json.loads(Path(str(page).replace(".input.", ".movements.")).read_text())
    facts = [fact(**each) for each in given["facts"]]
    rules = msgspec.convert(given.get("rules", {}), Rules)
    rates = msgspec.convert(given["rates"], Rates) if "rates" in given else None
    until = date.fromisoformat(given["until"])

    found = movements("c1", facts, rules, until, rates=rates)
    assert [[str(each.day), each.currency, each.kind, str(each.amount)] for each in found] == expected["movements"]
    closing: defaultdict[str, Fraction] = defaultdict(Fraction)
    for movement in found:
        closing[movement.currency] += movement.amount
    assert {currency: str(mrr) for currency, mrr in closing.items()} == expected["mrr"]
    assert [
        [str(each.start), each.end and str(each.end), each.cause, each.reason, each.reactivated]
        for each in spells(facts, rules, until)
    ] == expected["spells"]


def test_the_book_is_whole() -> None:
    """It has 25 histories, each with its sentence and its answers."""
    assert len(BOOK) == 25
    for page in BOOK:
        assert json.loads(page.read_text())["why"].endswith(".")
        assert Path(str(page).replace(".input.", ".movements.")).exists()
