"""However an address was written, it is one address: what carries it goes with whom it belongs to."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.erasure.bytes_of import holders
from tests.erasure.person import Keys, Person, certificate_when_done, erase, outcomes
from tests.harness import Server

AROUND = {
    "tab": "\t{}",
    "line break": "{}\r\n",
    "no-break space": "\u00a0{}\u00a0",
    "zero-width space": "{}\u200b",
    "byte order mark": "\ufeff{}",
    "name": "Jane <{}>",
    "quoted name": '"Doe @ Home, Jane" <{}>',
    "scheme": "mailto:{}",
    "upper case": "MAILTO:{}?subject=Hello",
    "comment": "{} (Jane)",
    "full stop": "{}.",
}


def ingest(server: Server, keys: Keys, person: Person, kind: str, *events: object) -> None:
    answer = server.http.post("/v1/ingest", headers={"X-API-Key": keys[kind]}, json={"events": list(events)})
    assert answer.status_code == 202, answer.text
    person.receipts.append(answer.headers["Tenure-Receipt"])


def test_events_of_others_that_spell_the_address_in_any_way_go_too(own: tuple[Server, Keys]) -> None:
    """A publishable key links nothing: each event is another customer's, and carries Jane's address in some form."""
    server, keys = own
    jane = Person()
    email = f"{jane.mark}@münchen.example"
    ingest(server, keys, jane, "secret_key", {"event": "own", "email": email, "customer_id": f"{jane.mark}-id"})
    forms = [form.format(email) for form in AROUND.values()]
    forms += [f"{jane.mark}@{host}.example" for host in ("xn--mnchen-3ya", "MÜNCHEN", "mu\u0308nchen")]
    told = [{"event": "told", "customer_id": f"other{n}", "email": form} for n, form in enumerate(forms)]
    ingest(server, keys, jane, "publishable_key", *told)
    john = {"event": "john", "customer_id": "john", "email": "Jöhn <j@x.example>"}
    ingest(server, keys, jane, "publishable_key", john)
    unusable = [{"event": "", "customerId": "other", "eventData": {"to": form}} for form in forms]
    headers = {"x-ck-api-key": keys["secret_key"], "x-ck-app": keys["app"]}
    answer = server.http.post(
        "/v1/api/events/bulk", headers=headers, json=[{"event": "kept", "customerId": "other"}, *unusable]
    )
    server.wait_loaded()
    done = certificate_when_done(server, keys, erase(server, keys, email))
    assert done["removed"]["warehouse"]["event of others"] == len(forms)
    assert set(outcomes(server, keys, jane.receipts[:2])) == {"erased"}
    assert outcomes(server, keys, jane.receipts[2:]) == ["stored"]
    assert set(outcomes(server, keys, [answer.headers["Tenure-Receipt"]])) == {"stored", "erased"}
    assert holders(server, [jane.mark]) == {}


@pytest.mark.parametrize("form", AROUND.values(), ids=AROUND)
def test_one_address_is_one_customer(server: Server, keys: Keys, form: str) -> None:
    """Sent in one form and asked for in another, by reading and by erasing."""
    mark = Person().mark
    person = Person(mark)
    ingest(server, keys, person, "secret_key", {"event": "a", "email": form.format(f"{mark}@x.example")},
           {"event": "b", "email": f"{mark}@x.example"})  # fmt: skip
    server.wait_loaded()
    for asked in (f"{mark.upper()}@X.example", f"email:{form.format(mark + '@x.example')}"):
        items = server.read(f"/v1/customers/{quote(asked)}/timeline", keys)["items"]
        assert sorted(item["name"] for item in items) == ["a", "b"]
    customer = server.read(f"/v1/customers/{mark}@x.example/identity", keys)
    assert [(one["kind"], one["value"]) for one in customer["identifiers"]] == [("email", f"{mark}@x.example")]
