"""What an identify says, statement by statement."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.event import Changes, Identify
from tenure.loader.facts import Statement, statements, weight
from tenure.wire import registry
from tests.wire.test_golden import INPUTS, NOW, recording


def test_every_operation_is_a_statement() -> None:
    """Traits are set, a null unsets, and each change is one statement, of the customer and of the user."""
    changes = Changes(set_once='{"source":"ad"}', increment='{"n":0.1}', unset=("old",))
    identify = Identify(
        index=0, uid="u", user_id="p", traits='{"a":[1],"b":null}', changes=changes, user_changes=changes
    )
    assert statements(identify) == [
        Statement("customer", "", "a", "set", "[1]"),
        Statement("customer", "", "b", "unset"),
        Statement("customer", "", "source", "set_once", '"ad"'),
        Statement("customer", "", "n", "increment", "0.1"),
        Statement("customer", "", "old", "unset"),
        Statement("user", "p", "", "member"),
        Statement("user", "p", "source", "set_once", '"ad"'),
        Statement("user", "p", "n", "increment", "0.1"),
        Statement("user", "p", "old", "unset"),
    ]


def test_a_list_of_users_names_each_once() -> None:
    """The list has the ids in order; of two entries for one user, the later data count."""
    users = '[{"data":{"a":1,"b":1},"userId":"p2"},{"userId":"p1"},{"data":{"a":2},"userId":"p2"}]'
    assert statements(Identify(index=0, uid="u", users=users)) == [
        Statement("users", "", "", "list", '["p1","p2"]'),
        Statement("user", "p2", "", "member"),
        Statement("user", "p2", "a", "set", "2"),
        Statement("user", "p2", "b", "set", "1"),
        Statement("user", "p1", "", "member"),
    ]
    assert statements(Identify(index=0, uid="u", users="[]")) == [Statement("users", "", "", "list", "[]")]


def test_a_channel_is_known_by_channel_and_address() -> None:
    """Two entries for one are one statement with the later fields."""
    channels = '[{"address":"+1","channel":"sms","opted_in":true},{"address":"+1","channel":"sms","opted_in":false}]'
    value = '{"address":"+1","channel":"sms","opted_in":false}'
    assert statements(Identify(index=0, uid="u", channels=channels)) == [
        Statement("channel", '["sms","+1"]', "", "set", value)
    ]


JSON = st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner))


@given(st.dictionaries(st.text(), JSON))
def test_the_weight_is_never_below_the_number_of_statements(traits: dict[str, object]) -> None:
    """A block is made by weights, so that no request makes it much larger than it may be."""
    identify = Identify(index=0, uid="u", user_id="p", traits=msgspec.json.encode(traits).decode())
    assert len(statements(identify)) <= weight(identify)


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}/{path.name.split('.')[0]}")
def test_what_every_dialect_decodes_can_be_said(path: Path) -> None:
    """No identify of the golden pairs fails here, and no attribute of one is said twice."""
    recorded = msgspec.json.decode(recording(path).read_bytes())
    operation = registry.find(recorded["path"], recorded.get("headers", {}))
    assert operation is not None
    if "identifies" not in recorded:
        return
    for identify in operation.decode(path.read_bytes(), NOW).identifies:
        found = [(one.scope, one.subject, one.name) for one in statements(identify)]
        assert len(found) == len(set(found))
