"""What names a customer among what people wrote down goes with the customer."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tenure.control.database import connect, migrate
from tenure.control.erasures import new_erasure
from tenure.control.mentions import mentioning
from tenure.control.repairs import Match
from tenure.control.store import Store
from tenure.errors import NotFound
from tenure.identity import Identifier
from tenure.repair.steps import Step
from tenure.settings import Settings

MATCH = Match("native", "/v1/ingest", "bad_field", "x")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("jane@example.com", True),
        ("email:JANE@Example.com", True),
        ("contact:eq:jane@example.com", True),
        ("Jane@example.com's view", True),
        ("Stra\u00dfe 4711", True),
        ("STRASSE 4711", True),
        ("see jane@example.com.", True),
        ("mary-jane@example.com", False),
        ("jane@example.com.au", False),
        ("xjane@example.com", False),
        ("jane@example.community", False),
        ("47115", False),
        ("u1", True),
        ("u1 and others", False),
        ("", False),
    ],
)
def test_an_identifier_is_found_as_a_word(text: str, names: bool) -> None:
    """In any case and beside anything but letters and digits; a very short one only as the whole text."""
    assert mentioning(["jane@example.com", "4711", "stra\u00dfe", "u1"])(text) is names


def test_nobody_mentions_nobody() -> None:
    """Without identifiers nothing names them."""
    assert not mentioning([])("anything")


def test_views_and_rules_that_name_the_erased_are_deleted(new_settings: Callable[[], Settings]) -> None:
    """They are counted in the certificate and the audit log says why; what names somebody else, or is another app's,
    stays."""
    engine = connect(new_settings())
    migrate(engine)
    store = Store(engine)
    app, other = store.create_app("mentioning").id, store.create_app("other").id
    jane = Identifier("customer_id", "cus_jane")
    for of in (app, other):
        store.saved_views.save(of, "hers", "sort=-mrr&q=customer_id%3Acus_jane")
        store.saved_views.save(of, "cus_jane", "")
        store.saved_views.save(of, "by attribute", "attribute=boss%3Aeq%3Acus_jane")
        store.saved_views.save(of, "somebody's", "q=cus_janet&plan=cus_jane")
    named = store.repairs.add(app, MATCH, [Step("drop", "y"), Step("default", "x", "cus_jane")], "ann")
    kept = store.repairs.add(app, MATCH, [Step("default", "x", "cus_john")], "ann")

    asked = new_erasure(app, [jane])
    store.erasures.request(asked)
    assert store.erasures.finish(store.erasures.find(app, asked.id))

    assert [view.name for view in store.saved_views.of(app)] == ["somebody's"]
    assert len(store.saved_views.of(other)) == 4
    assert store.repairs.find(app, kept.id).steps == kept.steps
    with pytest.raises(NotFound):
        store.repairs.find(app, named.id)
    assert store.erasures.find(app, asked.id).removed == {"control": {"saved_view": 3, "repair": 1}}
    told = [entry for entry in store.audit.entries(app).items if entry.details.get("erasure") == asked.id]
    assert sorted(entry.action for entry in told) == ["repair.forget", "view.delete", "view.delete", "view.delete"]
    assert "cus_jane" not in str(told)
