"""axios (npm) as Churnkey's customers use it: rightly, and as the sample on the vendor's page has it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.clients.arrivals import Keys, events
from tests.clients.processes import answer_of
from tests.harness import Server

pytestmark = pytest.mark.rule("client-axios", "churnkey")

EVENT = {"event": "Post Created", "customerId": "cus_abc", "eventData": {"postType": "image"}}


def post(url: str, body: object, config: object) -> Any:
    """`axios.post(url, body, config)`: `status` and `data` of the answer."""
    return answer_of("axios.mjs", url, json.dumps(body), json.dumps(config))


def headers(keys: Keys) -> dict[str, str]:
    return {"x-ck-api-key": keys["secret_key"], "x-ck-app": keys["app"]}


def test_one_event(server: Server, keys: Keys) -> None:
    """With the headers inside `{ headers }` an event is stored and verified."""
    answer = post(f"{server.url}/v1/api/events/new", EVENT, {"headers": headers(keys)})
    assert answer == {"status": 200, "data": {"status": "success", "verified": True}}
    server.wait_loaded()
    (item,) = events(server, keys, "customer_id:cus_abc")
    assert (item["name"], item["properties"], item["verified"]) == ("Post Created", {"postType": "image"}, True)


def test_bulk(server: Server, keys: Keys) -> None:
    """A bare array of events is stored, and the answer counts them."""
    array = [EVENT | {"eventDate": f"2026-01-{day:02}T12:00:00Z"} for day in range(1, 21)]
    answer = post(f"{server.url}/v1/api/events/bulk", array, {"headers": headers(keys)})
    assert answer == {"status": 200, "data": {"status": "success", "event_count": 20, "verified": True}}
    server.wait_loaded()
    assert len(events(server, keys, "customer_id:cus_abc")) == 20


def test_customer_update(server: Server, keys: Keys) -> None:
    """Attributes of a customer and of a user of theirs are taken, and make the customer known."""
    update = {
        "customerId": "cus_xyz",
        "customerData": {"numSeats": 7},
        "user": {"uid": "user_1", "data": {"name": "John Henry"}},
    }
    answer = post(f"{server.url}/v1/api/events/customer-update", update, {"headers": headers(keys)})
    assert answer == {"status": 200, "data": {"status": "success"}}
    server.wait_loaded()
    assert server.read("/v1/customers/customer_id:cus_xyz/timeline", keys)["items"] == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/api/events/new", EVENT),
        ("/v1/api/events/bulk", [EVENT]),
        ("/v1/api/events/customer-update", {"customerId": "cus_abc", "customerData": {"numSeats": 7}}),
    ],
)
def test_headers_passed_as_on_the_vendors_page(server: Server, keys: Keys, path: str, body: object) -> None:
    """As the bare third argument they are not sent: the 401 names both, says how to pass them, and stores nothing."""
    answer = post(f"{server.url}{path}", body, headers(keys))
    assert answer["status"] == 401
    message = answer["data"]["message"]
    for part in ("x-ck-api-key", "x-ck-app", "axios.post(url, body, { headers: headers })"):
        assert part in message
    assert keys["secret_key"] not in json.dumps(answer["data"])
    server.wait_loaded()
    assert server.read("/v1/events", keys)["items"] == []
