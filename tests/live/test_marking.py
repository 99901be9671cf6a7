"""What was refused, with the field that was the reason marked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.live.marking import LINES, marked


@pytest.mark.parametrize(
    ("payload", "field", "lines"),
    [
        ({"a": 1, "b": "x"}, "b", ['  "b": "x"']),
        ({"a": 1}, "b", ['  "b": is not there']),
        ({"user": {"id": 1, "x": 2}}, "user.x", ['    "x": 2']),
        ({"user": {"id": 1}}, "user.x", ['    "x": is not there']),
        ({"user": {}}, "user.x", ['    "x": is not there']),
        ({"users": [{"userId": 1}, {}]}, "users[1].userId", ['      "userId": is not there']),
        ({"user": {"a": [1]}}, "user", ['  "user": {', '    "a": [', "      1", "    ]", "  }"]),
        ({"a": 1}, "b.c", ['  "b.c": is not there']),
        ({"a": 1}, "", []),
        ({"a": 1}, "a.b", ['  "a": 1']),
        ([1], "a", ['  "a": is not there']),
    ],
)
def test_the_field_is_marked(payload: Any, field: str, lines: list[str]) -> None:
    """The field with all that is in it, or the place where it is missing."""
    assert [line.text for line in marked(json.dumps(payload), field) if line.is_marked] == lines


def test_what_was_cut_is_shown_as_it_is() -> None:
    """A text that is no JSON any more is one line; a long one ends."""
    (line,) = marked('{"a": "cut o', "a")
    assert (line.text, line.is_marked) == ('{"a": "cut o', True)
    assert len(marked(json.dumps([0] * 10_000), "")) == LINES + 1


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(values, st.text(alphabet="ab.[]01", max_size=8))
def test_without_marks_it_is_the_same_json(value: Any, field: str) -> None:
    """Any value is shown whole, whatever field is named."""
    lines = marked(json.dumps(value), field)
    assert json.loads("\n".join(line.text for line in lines if not line.is_missing)) == value
