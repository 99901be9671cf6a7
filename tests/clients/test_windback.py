"""`windback` (PyPI), unmodified but for its base URL, against a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from windback import SafeResult, Windback, WindbackError

from tenure.settings import Settings
from tenure.warehouse.client import Warehouse
from tests.clients.arrivals import Keys, events, names, until, wait_for_events
from tests.clients.lost_reply import losing_replies
from tests.clients.outage import Outage
from tests.harness import Server, create_app, ledger_of, tenure

pytestmark = pytest.mark.rule("client-windback", "windback")

SLUG = "my-saas"
JANE = {"email": "jane@example.com", "provider": "stripe", "mrr": 4900, "currency": "USD"}
IN_FULL = JANE | {
    "name": "Jane Doe",
    "provider_customer_id": "cus_1",
    "provider_subscription_id": "sub_1",
    "plan_name": "Pro",
    "tenure_days": 120,
    "last_active_at": "2026-02-10T12:30:00Z",
    "cancel_reason": "too_expensive",
    "cancel_reason_text": "Over our budget",
    "notes": "Asked for a downgrade first",
}
NO_SUCH_ID = "00000000000000000000000000000000"


@pytest.fixture
def windback(server: Server, keys: Keys) -> Iterator[Windback]:
    """The client with the app's secret key."""
    with Windback(keys["secret_key"], project_slug=SLUG, base_url=server.url) as client:
        yield client


def value(result: SafeResult[Any]) -> Any:
    """What a call gave; fails with the client's error when it gave none."""
    assert result.ok, result.error
    return result.data


def in_full(server: Server, keys: Keys, churn_event_id: str) -> dict[str, Any]:
    """A churn event as the server shows it: the client leaves free text and notes out."""
    path = f"/api/v1/projects/{SLUG}/churn-events/{churn_event_id}"
    answer = server.http.get(path, headers={"X-API-Key": keys["secret_key"]})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_track_churn_with_what_is_required(windback: Windback) -> None:
    """The least that the client takes is enough; it can be read by its id right after, and is the same."""
    tracked = value(windback.track_churn(email="jane@example.com", provider="stripe", mrr=4900))
    assert (tracked.customer_email, tracked.provider) == ("jane@example.com", "stripe")
    assert (tracked.mrr, tracked.currency) == (4900, "USD")
    assert tracked.id
    assert tracked.status
    assert tracked.created_at.endswith("Z")
    assert tracked.cancel_reason is None
    assert value(windback.get_event(tracked.id)) == tracked


def test_track_churn_with_everything(windback: Windback, server: Server, keys: Keys) -> None:
    """All that the client can say of a cancellation is kept, and shown again."""
    tracked = value(windback.track_churn(**IN_FULL))
    shown = value(windback.get_event(tracked.id))
    assert (shown.customer_name, shown.plan_name, shown.tenure_days) == ("Jane Doe", "Pro", 120)
    assert (shown.provider_customer_id, shown.provider_subscription_id) == ("cus_1", "sub_1")
    assert (shown.cancel_reason, shown.last_active_at[:19]) == ("too_expensive", "2026-02-10T12:30:00")
    body = in_full(server, keys, tracked.id)
    assert (body["cancel_reason_text"], body["notes"]) == ("Over our budget", "Asked for a downgrade first")


def test_submit_cancel_flow(windback: Windback, server: Server, keys: Keys) -> None:
    """A cancel flow is a churn event with its reason: by its id, and on the customer's timeline."""
    flow = JANE | {"cancel_reason": "missing_features", "cancel_reason_text": "No Salesforce"}
    submitted = value(windback.submit_cancel_flow(**flow))
    assert submitted.status
    assert submitted.message
    shown = value(windback.get_event(submitted.churn_event_id))
    assert (shown.customer_email, shown.mrr, shown.cancel_reason) == ("jane@example.com", 4900, "missing_features")
    assert in_full(server, keys, submitted.churn_event_id)["cancel_reason_text"] == "No Salesforce"
    (item,) = events(server, keys, "email:jane@example.com")
    assert (item["dialect"], item["verified"]) == ("windback", True)


def test_submit_cancel_flow_without_a_project(server: Server, keys: Keys) -> None:
    """The key alone says whose cancel flow it is."""
    with Windback(keys["secret_key"], base_url=server.url) as client:
        assert value(client.submit_cancel_flow(**JANE, cancel_reason="other")).churn_event_id


def test_report_cancel_reason(windback: Windback, server: Server, keys: Keys) -> None:
    """The reason comes after the event; what was reported last is what is shown, with its free text."""
    tracked = value(windback.track_churn(**JANE))
    for reason, text in (("other", "I will tell you later"), ("poor_support", "Nobody answered")):
        reported = windback.report_cancel_reason(tracked.id, cancel_reason=reason, cancel_reason_text=text)
        assert value(reported) is None
        shown = value(windback.get_event(tracked.id))
        assert (shown.id, shown.mrr, shown.cancel_reason) == (tracked.id, 4900, reason)
        assert in_full(server, keys, tracked.id)["cancel_reason_text"] == text


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.track_churn(**JANE),
        lambda client: client.submit_cancel_flow(**JANE, cancel_reason="other"),
        lambda client: client.report_cancel_reason(NO_SUCH_ID, cancel_reason="other"),
        lambda client: client.get_event(NO_SUCH_ID),
    ],
    ids=["track_churn", "submit_cancel_flow", "report_cancel_reason", "get_event"],
)
def test_wrong_key(server: Server, call: Callable[[Windback], SafeResult[Any]]) -> None:
    """Each call with an unknown key ends in an error that says so, and does not say the key."""
    reported: list[WindbackError] = []
    key = "sk_live_not_a_key_of_ours"
    with Windback(key, project_slug=SLUG, base_url=server.url, on_error=reported.append) as client:
        result = call(client)
    assert not result.ok
    assert result.error is reported[0]
    assert result.error.status == 401
    assert "key is not known" in str(result.error)
    assert key not in str(result.error)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("customer_email", {"email": "jane"}),
        ("customer_email", {"email": ""}),
        ("mrr", {"mrr": -1}),
        ("mrr", {"mrr": "49 dollars"}),
        ("cancel_reason", {"cancel_reason": ""}),
    ],
)
def test_wrong_value(windback: Windback, field: str, wrong: dict[str, Any]) -> None:
    """What the client lets through and the server cannot use ends in an error that names the field."""
    result = windback.submit_cancel_flow(**JANE | {"cancel_reason": "other"} | wrong)
    assert not result.ok
    assert result.error is not None
    assert result.error.status == 400
    assert field in str(result.error)


def test_churn_event_of_nobody_or_of_another(windback: Windback, server: Server) -> None:
    """An id that no app has, and one that another app has, are not found, in the same words."""
    other = create_app(server.data, "another app of windback")
    with Windback(other["secret_key"], project_slug=SLUG, base_url=server.url) as client:
        of_another = value(client.track_churn(**JANE)).id
    for churn_event_id in (NO_SUCH_ID, of_another, "not-an-id"):
        result = windback.get_event(churn_event_id)
        assert not result.ok
        assert result.error is not None
        assert result.error.status == 404
        assert "no churn event with that id" in str(result.error)


def test_error_as_an_exception(server: Server, keys: Keys) -> None:
    """With `safe=False` the client raises the same text."""
    with (
        Windback(keys["secret_key"], project_slug=SLUG, base_url=server.url, safe=False) as client,
        pytest.raises(WindbackError, match="churn event") as raised,
    ):
        client.get_event(NO_SUCH_ID)
    assert raised.value.status == 404


def test_what_would_send_mail_is_refused_in_words(windback: Windback) -> None:
    """Mail to customers is not for this server: the methods for it fail with a text, and nothing is retried."""
    for result in (
        windback.generate_variants(NO_SUCH_ID),
        windback.send_variant(NO_SUCH_ID, "variant"),
        windback.update_variant(NO_SUCH_ID, "variant", subject="Come back", body="Please"),
        windback.list_templates(),
    ):
        assert result.error is not None
        assert result.error.status == 404
        assert "nothing at this path" in str(result.error)


def test_503_then_success(outage: Outage) -> None:
    """While the server cannot keep a churn event the client is told so; when it can, the same call succeeds."""
    key = outage.keys["secret_key"]
    with Windback(key, project_slug=SLUG, base_url=outage.server.url, retries=0) as client:
        result = client.track_churn(**IN_FULL)
        assert result.error is not None
        assert result.error.status == 503
        assert "journal is full" in str(result.error)
        outage.end()
        assert value(client.track_churn(**IN_FULL)).id


@pytest.mark.rule("retries", "windback")
def test_a_retry_after_a_lost_reply_is_one_cancellation(server: Server, keys: Keys) -> None:
    """By the id in the second answer the client reads the one event and adds a reason; the second receipt says why it
    is a duplicate, and that one is stored after all when it is asked to be, once."""
    with (
        losing_replies(server) as url,
        Windback(keys["secret_key"], project_slug=SLUG, base_url=url, retries=1) as client,
    ):
        flow = value(client.submit_cancel_flow(**JANE, cancel_reason="other"))
        tracked = value(client.track_churn(**JANE))
    server.wait_loaded()
    assert names(events(server, keys, "email:jane@example.com")) == ["cancel_flow_submitted", "churn_recorded"]
    with Windback(keys["secret_key"], project_slug=SLUG, base_url=server.url) as client:
        assert value(client.get_event(flow.churn_event_id)).cancel_reason == "other"
        assert value(client.report_cancel_reason(tracked.id, cancel_reason="poor_support")) is None
        shown = value(client.get_event(tracked.id))
        assert (shown.id, shown.cancel_reason) == (tracked.id, "poor_support")
    listed = server.read("/v1/customers/jane@example.com/churn-events", keys)["items"]
    assert sorted(one["cancel_reason"] for one in listed) == ["other", "poor_support"]
    first = events(server, keys, "email:jane@example.com")[0]["receipt"]
    ledger = ledger_of(server.data, keys["app"])
    assert (ledger.received, ledger.stored, ledger.duplicates, ledger.balanced) == (5, 3, 2, True)

    (element, *_) = _duplicates(server, keys, first)
    assert element["reason"] == "retry_window"
    path = f"/v1/receipts/{element['receipt']}/reinstate"
    assert server.http.post(path, headers={"Authorization": f"Bearer {keys['read_key']}"}).status_code == 403
    for _ in range(2):
        answer = server.http.post(path, headers={"Authorization": f"Bearer {keys['secret_key']}"})
        assert (answer.status_code, answer.json()["event_ids"]) == (200, [element["event_id"]])
        until(lambda: len(events(server, keys, "email:jane@example.com")) == 3, "the copy is stored")
    ledger = ledger_of(server.data, keys["app"])
    assert (ledger.received, ledger.stored, ledger.duplicates, ledger.balanced) == (5, 4, 1, True)


def _duplicates(server: Server, keys: Keys, of: str) -> list[dict[str, Any]]:
    """The elements that are duplicates of this request, each with its receipt."""
    tenant = Warehouse(Settings.load({"data": server.data}, {})).tenant(keys["app"])
    receipts = [bytes(row[0]).hex() for row in tenant.rows("SELECT DISTINCT receipt FROM arrival")]
    found = [
        element | {"receipt": receipt}
        for receipt in receipts
        for element in server.read(f"/v1/receipts/{receipt}", keys)["elements"]
    ]
    return [element for element in found if element.get("of") == of]


@pytest.mark.rule("retries", "windback")
def test_what_is_tracked_again_at_once_is_one_event(server: Server, keys: Keys) -> None:
    """Single events and batches without a timestamp, in which equal events are as many; off when the app says so."""
    headers = {"X-API-Key": keys["secret_key"]}
    single = {"event": "login", "customer_email": "jane@example.com"}
    batch = {"events": [single, single, single | {"event": "logout"}]}
    for _ in range(3):
        for body in (single, batch):
            assert server.http.post("/api/v1/track", headers=headers, json=body).status_code == 200
    server.wait_loaded()
    assert names(events(server, keys, "email:jane@example.com")) == ["login", "login", "login", "logout"]
    tenure("app", "retries", keys["app"], "--seconds", "0", data=server.data)
    until(lambda: server.http.post("/api/v1/track", headers=headers, json=single).status_code == 200
          and len(wait_for_events(server, keys, "email:jane@example.com", 4)) > 4, "it is off")  # fmt: skip
    assert ledger_of(server.data, keys["app"]).balanced
