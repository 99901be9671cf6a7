"""Cursors of the list of customers."""

from __future__ import annotations

from typing import Any

import pytest

from tenure.customers.list_cursor import Cursor
from tenure.errors import BadRequest


@pytest.mark.parametrize(
    "value", [0, -(2**63), "x", (False, "1.5", 0.0, ""), (True, "0", 0.0, "a"), (False, "9", float("inf"), "")]
)
def test_a_cursor_is_read_as_it_was_written(value: Any) -> None:
    """Whatever a list is sorted by, its cursor comes back whole."""
    cursor = Cursor(b"asked", False, value, bytes(16))
    assert Cursor.parse(cursor.text(), b"asked", type(value)) == cursor


@pytest.mark.parametrize(
    "value",
    [2**63, (1, 2.0), (False, 1.5), (2, "1", 1.0, "x"), (False, "x", 0.0, ""), (False, "1" * 59, 0.0, ""), [], None],
)
def test_a_cursor_with_a_made_up_value_is_refused(value: Any) -> None:
    """What the engine could not compare is a bad request, not a failure of the engine."""
    made_up = Cursor(b"asked", False, value, bytes(16)).text()
    for kind in (int, str, tuple):
        with pytest.raises(BadRequest):
            Cursor.parse(made_up, b"asked", kind)
