"""An erasure does not wait for the loader: what was acknowledged and is not loaded counts as known."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tenure.control.database import connect
from tenure.control.store import Store
from tenure.customers import erasure as asking
from tenure.settings import Settings
from tenure.warehouse.client import Warehouse
from tests.erasure.bytes_of import holders
from tests.erasure.person import Keys, Person, bearer, certificate_when_done, erase, outcomes
from tests.harness import Server


@contextmanager
def nothing_loaded(server: Server) -> Iterator[None]:
    """The loader is alive, and does nothing."""
    loader = server.roles()["loader"]
    os.kill(loader, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(loader, signal.SIGCONT)


def native(server: Server, keys: Keys, person: Person, *elements: dict[str, Any]) -> None:
    answer = server.http.post("/v1/ingest", headers={"X-API-Key": keys["secret_key"]}, json={"events": list(elements)})
    assert answer.status_code == 202, answer.text
    person.receipts.append(answer.headers["Tenure-Receipt"])


def statuses(server: Server, keys: Keys, names: list[str]) -> list[int]:
    found = [server.http.get(f"/v1/customers/{name}", headers=bearer(keys, "read_key")) for name in names]
    return [answer.status_code for answer in found]


def test_names_that_are_not_loaded_go_with_the_answer(own: tuple[Server, Keys]) -> None:
    """Over several links, through what is loaded and what is not; a customer who only shares an address stays."""
    server, keys = own
    jane, john = Person(), Person()
    one, two, three = (f"{jane.mark}-{number}" for number in range(3))
    native(server, keys, jane, {"event": "seen", "customer_id": jane.customer_id}, {"event": "seen", "uid": two},
           {"event": "seen", "uid": three, "email": jane.email}, {"event": "seen", "uid": john.mark})  # fmt: skip
    server.wait_loaded()
    with nothing_loaded(server):
        native(server, keys, jane, {"event": "seen", "customer_id": jane.customer_id, "uid": one})
        native(server, keys, jane, {"event": "seen", "uid": two, "email": jane.email.upper()},
               {"event": "seen", "customer_id": jane.customer_id, "uid": two}, {"unknown": one})  # fmt: skip
        native(server, keys, john, {"event": "seen", "uid": john.mark, "customer_id": john.customer_id})
        erasure = erase(server, keys, one)
        assert statuses(server, keys, [jane.customer_id, one, two]) == [404, 404, 404]
        assert statuses(server, keys, [three, john.mark]) == [200, 200]
        assert outcomes(server, keys, jane.receipts[1:]) == ["erased", "erased", "erased", "rejected"]
        assert outcomes(server, keys, john.receipts) == ["pending"]
        assert erase(server, keys, jane.customer_id) == erasure
        native(server, keys, jane, {"event": "back", "customer_id": jane.customer_id})
    server.wait_loaded()
    again = erase(server, keys, jane.customer_id)
    assert again != erasure
    assert certificate_when_done(server, keys, erasure)["identifiers"] == 3
    certificate_when_done(server, keys, again)
    assert statuses(server, keys, [jane.customer_id, one, two]) == [404, 404, 404]
    assert statuses(server, keys, [three, john.customer_id]) == [200, 200]


def test_names_that_were_not_read_go_when_they_are_loaded(
    own: tuple[Server, Keys], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where too much waits to be read in time, the rest is learnt from the loader, and nobody else goes."""
    server, keys = own
    jane, john = Person(), Person()
    native(server, keys, jane, {"event": "seen", "customer_id": jane.customer_id, "email": jane.email},
           {"event": "seen", "uid": f"{jane.mark}-uid"}, {"event": "seen", "uid": john.mark})  # fmt: skip
    server.wait_loaded()
    settings = Settings.load({"data": server.data}, {})
    store = Store(connect(settings))
    monkeypatch.setattr(asking, "READ_SECONDS", -1.0)
    with nothing_loaded(server):
        native(server, keys, jane, {"event": "seen", "customer_id": jane.customer_id, "uid": f"{jane.mark}-uid"})
        native(server, keys, jane, {"event": "seen", "uid": f"{jane.mark}-uid", "anonymous_id": f"{jane.mark}-visitor"})
        native(server, keys, john, {"event": "seen", "uid": john.mark, "email": jane.email})
        asked = asking.request_erasure(
            Warehouse(settings), store, settings.journal_directory, keys["app"], jane.customer_id
        )
        assert len(asked.identifiers) == 2
        assert statuses(server, keys, [jane.customer_id, f"{jane.mark}-uid"]) == [404, 200]
    done = certificate_when_done(server, keys, asked.id)
    assert done["identifiers"] == 4
    names = [jane.customer_id, f"{jane.mark}-uid", jane.email, f"anonymous_id:{jane.mark}-visitor"]
    assert statuses(server, keys, [*names, john.mark]) == [404, 404, 404, 404, 200]
    assert holders(server, [jane.mark]) == {}
