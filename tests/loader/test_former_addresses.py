"""What older releases stored under another form of an address is the same customer's after the upgrade."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tenure import mail_address
from tenure.control.erasures import ErasedAt
from tenure.control.tables import app
from tenure.customers.customer import find_customer
from tenure.event import Event
from tenure.identity import Identifier, identity_key
from tenure.loader import former_addresses
from tenure.loader.tombstones import Tombstones
from tenure.warehouse.migrate import migrate
from tests.loader.test_customers import APP, Loading, entry
from tests.warehouse.conftest import Engine


@pytest.fixture
def loading(tmp_path: Path) -> Iterator[Loading]:
    engine = Engine(tmp_path)
    yield Loading(tmp_path, engine)
    engine.stop()
    engine.listener.close()


def by_mail(message_id: str, email: str) -> Event:
    return Event(index=0, name="login", email=email, message_id=message_id)


def test_old_rows_are_found_by_the_address(loading: Loading, monkeypatch: pytest.MonkeyPatch) -> None:
    """By any of its forms, together with what came since; doing the step again changes nothing."""
    with monkeypatch.context() as older:
        older.setattr(mail_address, "normal", mail_address.former)
        loading.load([entry(1, by_mail("1", "Jane <jane@x.example>")), entry(2, by_mail("2", "john@x.example"))])
    loading.load([entry(3, by_mail("3", "jane@x.example"))])
    with loading.store.links._writer.begin() as db:
        db.execute(app.insert().values(id=APP, name="test", created_at=0))
    steps = {former_addresses.NUMBER: former_addresses.step(loading.store.links, {APP})}
    for _ in range(2):
        loading.warehouse.client.command(f"DELETE FROM schema_migration WHERE number = {former_addresses.NUMBER}")
        assert migrate(loading.warehouse.client, steps) == ["0015_addresses.sql"]
    for text in ("jane@x.example", "Jane <JANE@x.example>", "mailto:jane@x.example"):
        found = find_customer(loading.warehouse.tenant(APP), loading.store, text)
        assert [one.value for one in found.identifiers] == ["jane <jane@x.example>", "jane@x.example"]
    loading.loader._canonical.follow()
    assert sorted(loading.counts().values()) == [1, 2]


def test_what_was_erased_under_another_form_stays_away() -> None:
    """An erasure of an older release wrote down the form that it knew."""
    former = identity_key(APP, Identifier("email", "jane <jane@x.example>"))
    erased = Tombstones({former: ErasedAt(2_000_000_000_000_000, 2_000_000_000_000)})
    said = entry(1, by_mail("1", "Jane <jane@x.example>"))
    assert erased.is_old(said, said.events[0])
    assert not erased.is_old(said, by_mail("1", "jane@x.example"))
