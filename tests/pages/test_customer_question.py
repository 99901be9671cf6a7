"""What the page of customers is asked for, in its address and in its form."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.customers.conditions import Filter
from tenure.errors import BadRequest
from tenure.pages.customer_question import OPERATORS, TIMES, Question, parse

TEXT = st.text(max_size=20).map(str.strip).filter(bool)
FIELDS = {
    "q": TEXT, "plan": TEXT, "did": TEXT, "did_not": TEXT,
    "status": st.sampled_from(["active", "past_due", "none"]), "past_due": st.sampled_from(["true", "false"]),
    "mrr_at_least": st.sampled_from(["0", "12.5"]), "health_below": st.integers(0, 100).map(str),
    "inactive_days": st.integers(1, 400).map(str), "renews_after": st.just("2026-01-31"),
    "sort": st.sampled_from(["-mrr", "name", "attribute:seats"]),
}  # fmt: skip
GIVEN = st.fixed_dictionaries({}, optional=FIELDS).map(lambda found: list(found.items()))
CONDITION = st.builds(
    lambda name, operator, value: f"{name}:{operator}:{value}",
    TEXT.filter(lambda name: ":" not in name), st.sampled_from(["eq", "ne", "gt", "lt"]), TEXT,
)  # fmt: skip


@given(GIVEN, st.lists(CONDITION, max_size=3, unique=True), st.lists(TEXT, max_size=3, unique=True))
def test_an_address_says_the_same_again(
    fields: list[tuple[str, str]], conditions: list[str], columns: list[str]
) -> None:
    """Whatever is asked for, its query string asks for it too, in one form whatever order it was in."""
    pairs = [*fields, *(("attribute", one) for one in conditions), *(("column", one) for one in columns)]
    question = parse(pairs)
    assert parse(parse_qsl(question.query)) == question
    assert parse([*pairs[::-1], ("plan", ""), ("new_column", " ")]).query == parse(pairs[::-1]).query
    for chip in question.chips:
        assert len(chip.without.chips) < len(question.chips)
        parse(parse_qsl(chip.without.query))


def test_a_form_adds_conditions_and_columns() -> None:
    """Three fields make a condition, another a column; a bare operator needs no value; what is there is not added."""
    form = [("attribute", "plan:eq:pro"), ("attribute_name", "seats"), ("attribute_operator", "gt"),
            ("attribute_value", "10"), ("new_column", "seats"), ("column", "plan"), ("mrr_below", "")]  # fmt: skip
    question = parse(form)
    assert question.attribute == ("plan:eq:pro", "seats:gt:10")
    assert question.column == ("plan", "seats")
    bare = [("attribute_name", "trial"), ("attribute_operator", "missing"), ("attribute_value", "x")]
    assert parse(bare).attribute == ("trial:missing",)
    assert parse([*bare, ("attribute", "trial:missing")]).attribute == ("trial:missing",)
    assert [chip.text for chip in question.chips] == ["plan is pro", "seats is more than 10"]


def test_every_filter_of_the_api_can_be_in_the_address() -> None:
    """The fields of a question are those of the list's filter, under the same names."""
    assert set(Filter.__struct_fields__) - {"attributes", "now", "uses"} == (
        set(Question.__struct_fields__) - {"attribute", "column", "sort"}
    )
    assert set(TIMES) <= set(Filter.__struct_fields__)
    assert Question(status="none").filter.status == ""
    assert parse([("attribute", "a:eq:b:c")]).filter.attributes == ("a:eq:b:c",)
    assert set(OPERATORS) == {"eq", "ne", "gt", "lt", "exists", "missing"}


@pytest.mark.parametrize(
    ("field", "value"),
    [("mrr_below", "1e3"), ("status", "happy"), ("did_at_least", "2"), ("inactive_days", "0"), ("verified", "perhaps"),
     ("last_seen_after", "soon"), ("attribute", "plan"), ("sort", "colour"), ("did", "x" * 257), ("colour", "red")],
)  # fmt: skip
def test_what_the_list_cannot_be_asked_is_refused(field: str, value: str) -> None:
    """With a message that names the field and never the value."""
    with pytest.raises(BadRequest) as refused:
        parse([(field, value)])
    assert refused.value.field == field or field == "colour"
    assert value not in refused.value.message


def test_a_head_sorts_and_then_the_other_way_round() -> None:
    """Numbers begin with the greatest, texts with the first; a column that is taken away sorts no more."""
    once = Question().sorted_by("mrr", descending_first=True)
    assert (once.sort, once.sorted_by("mrr", descending_first=True).sort) == ("-mrr", "mrr")
    assert Question().sorted_by("name", descending_first=False).sort == "name"
    by_seats = Question(column=("seats", "plan"), sort="-attribute:seats")
    assert by_seats.without_column("seats") == Question(column=("plan",))
    assert by_seats.without_column("plan").sort == "-attribute:seats"
