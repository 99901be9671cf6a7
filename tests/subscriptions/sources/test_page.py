"""`docs/billing.md` says what is read of each source, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest

from tenure.subscriptions.sources import PROBLEMS, whisperr, windback

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/billing.md").read_text()


def section(title: str) -> str:
    """The text under a heading."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None, title
    return found[1]


@pytest.mark.parametrize(
    ("title", "source", "not_read"),
    [("Whisperr", whisperr, {"refund_granted"}), ("Windback", windback, {"refund_requested"})],
)
def test_every_name_has_its_row(title: str, source: ModuleType, not_read: set[str]) -> None:
    """The table has each name that is read, and those that are billing and are not."""
    rows = dict(re.findall(r"^\| `(\w+)` \| (\w+)", section(title), re.MULTILINE))
    assert set(rows) == source.NAMES | not_read
    assert {name for name, becomes in rows.items() if becomes == "nothing"} == not_read


@pytest.mark.parametrize(("title", "source"), [("Whisperr", whisperr), ("Windback", windback)])
def test_every_property_that_is_read_is_named(title: str, source: ModuleType) -> None:
    """Each property that the code asks for stands in the source's section."""
    assert source.__file__ is not None
    asked = set(re.findall(r'(?:values\.\w+|_why)\((?:values, )?"(\w+)"', Path(source.__file__).read_text()))
    assert len(asked) > 4
    assert {name for name in asked if f"`{name}`" not in section(title)} == set()


def test_every_problem_has_its_row() -> None:
    """The table of problems is that of the code."""
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", section("Problems"), re.MULTILINE)
    assert dict(rows) == PROBLEMS
