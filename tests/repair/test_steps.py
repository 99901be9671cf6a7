"""What each step of a repair rule does to an element, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.errors import BadRequest
from tenure.repair.steps import KINDS, MAX_STEPS, Step, apply, check


@pytest.mark.parametrize(
    ("step", "before", "after"),
    [
        (Step("move", "name", "event"), {"name": "a"}, {"event": "a"}),
        (Step("move", "user.id", "customerId"), {"user": {"id": "u", "x": 1}}, {"user": {"x": 1}, "customerId": "u"}),
        (Step("move", "a", "b.c.d"), {"a": 1}, {"b": {"c": {"d": 1}}}),
        (Step("move", "a", "b"), {"a": 1, "b": 2}, {"a": 1, "b": 2}),
        (Step("move", "a", "b.c"), {"a": 1, "b": 2}, {"a": 1, "b": 2}),
        (Step("move", "a", "b"), {"c": 1}, {"c": 1}),
        (Step("move", "a.b", "c"), {"a.b": 1}, {"c": 1}),
        (Step("move", "a", "a.b"), {"a": 1}, {"a": {"b": 1}}),
        (Step("default", "a", "x"), {}, {"a": "x"}),
        (Step("default", "a", "x"), {"a": None}, {"a": "x"}),
        (Step("default", "a.b", "x"), {"a": {"b": " "}}, {"a": {"b": "x"}}),
        (Step("default", "a", "x"), {"a": 0}, {"a": 0}),
        (Step("default", "a.b", "x"), {"a": [1]}, {"a": [1]}),
        (Step("drop", "a.b"), {"a": {"b": 1, "c": 2}}, {"a": {"c": 2}}),
        (Step("drop", "a.b"), {"a": [1]}, {"a": [1]}),
        (Step("text", "a"), {"a": 12}, {"a": "12"}),
        (Step("text", "a"), {"a": 12.0}, {"a": "12"}),
        (Step("text", "a"), {"a": True}, {"a": "true"}),
        (Step("text", "a"), {"a": {"b": 1}}, {"a": {"b": 1}}),
        (Step("number", "a"), {"a": " -12 "}, {"a": -12}),
        (Step("number", "a"), {"a": "12.50"}, {"a": 12.5}),
        (Step("number", "a"), {"a": "twelve"}, {"a": "twelve"}),
        (Step("time", "t", "%d.%m.%Y %H:%M"), {"t": "03.02.2026 14:05"}, {"t": "2026-02-03T14:05+00:00"}),
        (Step("time", "t", "%m/%d/%Y"), {"t": "02/03/2026"}, {"t": "2026-02-03"}),
        (Step("time", "t", "%d/%b/%Y:%H:%M:%S %z"), {"t": "03/Feb/2026:14:05:06 +0200"},
         {"t": "2026-02-03T12:05:06.000+00:00"}),
        (Step("time", "t", "%d.%m.%Y"), {"t": "yesterday"}, {"t": "yesterday"}),
        (Step("time", "t", "%d.%m.%Y"), {"t": 5}, {"t": 5}),
    ],
)  # fmt: skip
def test_a_step(step: Step, before: dict[str, Any], after: dict[str, Any]) -> None:
    """A step does what it says where it applies, and nothing where it does not; nothing that is there is lost."""
    check([step])
    assert apply([step], before) == after


def test_steps_follow_each_other_and_leave_the_element_given_alone() -> None:
    """Each step sees what the one before it left; the element itself stays as it was."""
    before = {"user": {"id": 5}}
    steps = [Step("move", "user.id", "customerId"), Step("text", "customerId"), Step("drop", "user")]
    assert apply(steps, before) == {"customerId": "5"}
    assert before == {"user": {"id": 5}}


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [Step("drop", "a")] * (MAX_STEPS + 1),
        [Step("drop", "")],
        [Step("drop", "a..b")],
        [Step("move", "a")],
        [Step("default", "a", " ")],
        [Step("default", "a", "x" * 1_025)],
        [Step("drop", ".".join("a" * 9))],
        [Step("time", "a")],
        [Step("time", "a", "day")],
        [Step("time", "a", "%d%")],
        [Step("time", "a", "%Q")],
    ],
)
def test_a_step_that_cannot_be_done_is_refused(steps: list[Step]) -> None:
    """A rule with no steps, too many, or one that names nothing, is not taken."""
    with pytest.raises(BadRequest) as refused:
        check(steps)
    assert refused.value.code == "invalid_repair"


paths = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(".".join)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "a", "5"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
steps_of = st.lists(
    st.builds(Step, st.sampled_from(sorted(KINDS)), paths, st.sampled_from(["a", "b.c", "c.a.b", "%Y"])), max_size=4
)


@given(st.dictionaries(st.sampled_from("abc"), values, max_size=3), steps_of)
def test_any_steps_on_any_element(element: dict[str, Any], steps: list[Step]) -> None:
    """No steps fail on any element, and the same steps give the same element."""
    assert apply(steps, element) == apply(steps, element)
