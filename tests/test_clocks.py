"""A server whose wall clock is wrong, and is set right while it runs, corrupts nothing for good."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tenure.control.database import connect
from tenure.control.store import Store
from tenure.settings import Settings
from tests.erasure.person import Keys, bearer, certificate_when_done
from tests.harness import Server, create_app
from tests.wall_clock import DAY, HOUR, WallClock

EMAIL, PASSWORD = "admin@example.com", "correct horse battery"
WAIT_SECONDS = 60
numbers = itertools.count()


class Installation:
    """A running server, its clock, and an app of one test's own."""

    def __init__(self, server: Server, clock: WallClock, keys: Keys) -> None:
        self.server, self.clock, self.keys = server, clock, keys
        self.customer = f"customer-{next(numbers)}"

    def post(self, path: str, body: Any, key: str = "secret_key", **headers: str) -> httpx.Response:
        """Send a request to an ingest path."""
        return self.server.http.post(path, json=body, headers={"X-API-Key": self.keys[key]} | headers)

    def send(self, *elements: dict[str, Any]) -> str:
        """Send elements of this customer in the native form; returns the receipt."""
        answer = self.post("/v1/ingest", {"events": [{"customer_id": self.customer} | each for each in elements]})
        assert answer.status_code == 202, answer.text
        return answer.headers["Tenure-Receipt"]

    def load(self, *elements: dict[str, Any]) -> str:
        """Send, and wait until it is loaded."""
        receipt = self.send(*elements)
        self.server.wait_loaded()
        return receipt

    def names(self) -> list[str]:
        """The names of this customer's events, newest first; empty when there is no such customer."""
        path = f"/v1/customers/{self.customer}/timeline"
        answer = self.server.http.get(path, headers=bearer(self.keys, "read_key"))
        return [item["name"] for item in answer.json()["items"]] if answer.status_code == 200 else []

    def attributes(self) -> dict[str, Any]:
        """This customer's attributes, by name."""
        found = self.server.read(f"/v1/customers/{self.customer}/attributes", self.keys)
        return {name: each["value"] for name, each in found["attributes"].items()}

    def outcomes(self, receipt: str) -> list[str]:
        """What became of each element of a request."""
        return [each["outcome"] for each in self.server.read(f"/v1/receipts/{receipt}", self.keys)["elements"]]

    def erase(self) -> str:
        """Ask for the erasure of this customer; returns its id."""
        answer = self.server.http.delete(f"/v1/customers/{self.customer}", headers=bearer(self.keys, "secret_key"))
        assert answer.status_code == 202, answer.text
        return answer.json()["id"]

    def with_plan(self, plan: str) -> list[Any]:
        """The rows of the list whose attribute `plan` has this value."""
        found: list[Any] = self.server.read("/v1/customers", self.keys, attribute=f"plan:eq:{plan}")["items"]
        return found

    def listed(self) -> dict[str, Any]:
        """This customer's row in the list."""
        found = self.server.read("/v1/customers", self.keys)["items"]
        return next((row for row in found if row["id"] == f"customer_id:{self.customer}"), {})


@pytest.fixture(scope="module")
def shifted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, WallClock]]:
    directory = tmp_path_factory.mktemp("clocks")
    clock = WallClock(directory)
    server = Server(directory / "data", {"TENURE_HTTP_WORKERS": "2"} | clock.environment)
    server.start()
    yield server, clock
    assert server.stop() == 0, server.log.read_text()


@pytest.fixture
def one(shifted: tuple[Server, WallClock], request: pytest.FixtureRequest) -> Iterator[Installation]:
    server, clock = shifted
    yield Installation(server, clock, create_app(server.data, request.node.name))
    clock.shift(0)


def rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def eventually(found: Callable[[], Any], wanted: Any) -> None:
    """Poll until `found` returns what is wanted."""
    deadline = time.monotonic() + WAIT_SECONDS
    while (last := found()) != wanted:
        assert time.monotonic() < deadline, last
        time.sleep(0.1)


def test_a_conflicting_copy_that_comes_an_hour_back_does_not_replace_the_first(one: Installation) -> None:
    """The worker that took the first copy and others agree on what came first."""
    one.load({"event": "first", "message_id": "m"})
    one.clock.shift(-HOUR)
    receipts = [one.load({"event": f"later_{number}", "message_id": "m"}) for number in range(6)]
    assert one.names() == ["first"]
    assert {outcome for receipt in receipts for outcome in one.outcomes(receipt)} == {"duplicate"}


def test_an_erasure_while_the_clock_is_behind_takes_what_was_received_before(one: Installation) -> None:
    """What is sent later is a new customer's, with a time of its own and without, before and after the clock is right;
    what is sent later and happened before stays out."""
    asked_at = time.time()
    one.load({"event": "old"})
    one.clock.shift(-HOUR)
    erasure = one.erase()
    one.load({"event": "new"}, {"event": "new_and_dated", "occurred_at": rfc3339(time.time())})
    certificate_when_done(one.server, one.keys, erasure)
    assert set(one.names()) == {"new", "new_and_dated"}
    one.clock.shift(0)
    late = {"event": "late", "occurred_at": rfc3339(asked_at - 60)}
    receipt = one.load(late, {"event": "newer", "occurred_at": rfc3339(time.time())})
    assert one.outcomes(receipt) == ["erased", "stored"]
    assert set(one.names()) == {"new", "new_and_dated", "newer"}


def test_an_event_with_the_right_time_is_kept_while_the_clock_is_behind(one: Installation) -> None:
    """Whisperr's client is told that it is rejected; a rule without a step takes it once the clock is right."""
    one.clock.shift(-HOUR)
    event = {"external_user_id": one.customer, "event_type": "paid", "occurred_at": rfc3339(time.time()),
             "properties": {"note": "x" * 20_000}, "context": {"$message_id": "m1"}}  # fmt: skip
    batch = one.post("/v1/events/batch", {"events": [event]})
    assert (batch.status_code, batch.json()) == (202, {"accepted": 0, "rejected": 1})
    single = one.post("/v1/events/track", event | {"context": {"$message_id": "m2"}})
    assert (single.status_code, single.json()["error"]["code"]) == (400, "dated_ahead")
    assert one.post("/api/v1/track", {"event": "ahead", "customer_email": f"{one.customer}@example.com",
                                      "timestamp": rfc3339(time.time())}).status_code == 200  # fmt: skip
    one.server.wait_loaded()
    assert one.outcomes(batch.headers["Tenure-Receipt"]) == ["quarantined"]
    one.clock.shift(0)
    site = sign_in(one)
    for path in ("/v1/events/batch", "/v1/events/track"):
        reason = {"dialect": "whisperr", "path": path, "code": "dated_ahead", "field": "occurred_at"}
        page = f"{one.server.url}/apps/{one.keys['app']}/quarantine"
        preview = site.get(f"{page}/reason", params=reason)
        assert "1 of the last 1" in preview.text
        token = re.search(r'name="csrf" value="([^"]+)"', preview.text)
        assert token is not None
        applied = site.post(f"{page}/rules", data=reason | {"steps": "[]", "csrf": token[1]})
        assert applied.status_code == 303, applied.text
    eventually(lambda: one.names().count("paid"), 2)
    eventually(lambda: one.outcomes(batch.headers["Tenure-Receipt"]), ["replayed"])


def test_what_is_received_ahead_does_not_survive_an_erasure(one: Installation) -> None:
    """Events and attributes that came while the clock was a day ahead go when it is right."""
    one.clock.shift(DAY)
    one.load({"event": "ahead"}, {"event": "dated", "occurred_at": rfc3339(time.time())}, {"traits": {"plan": "a"}})
    one.clock.shift(0)
    certificate = certificate_when_done(one.server, one.keys, one.erase())
    assert certificate["removed"]["warehouse"]["event"] == 2
    assert one.names() == []
    assert one.server.http.get(f"/v1/customers/{one.customer}",
                               headers=bearer(one.keys, "read_key")).status_code == 404  # fmt: skip


def test_what_comes_after_an_erasure_that_was_asked_for_ahead_is_a_new_customers(one: Installation) -> None:
    """With a time of its own and without, also before the erasure is done; what happened before it stays out."""
    asked_at = time.time()
    one.clock.shift(DAY)
    one.load({"event": "old"})
    erasure = one.erase()
    one.clock.shift(0)
    new = {"event": "new_and_dated", "occurred_at": rfc3339(time.time())}
    receipt = one.load({"event": "new"}, new, {"event": "late", "occurred_at": rfc3339(asked_at - 60)})
    certificate_when_done(one.server, one.keys, erasure)
    assert one.outcomes(receipt) == ["stored", "stored", "erased"]
    assert set(one.names()) == {"new", "new_and_dated"}


def test_the_last_statement_counts_whatever_the_clock_was(one: Installation) -> None:
    """Attributes and rows of the list that were written while the clock was a day ahead give way to later ones."""
    one.clock.shift(DAY)
    one.load({"event": "opened"}, {"traits": {"plan": "ahead", "seats": 1}})
    eventually(lambda: one.listed().get("events"), 1)
    eventually(lambda: len(one.with_plan("ahead")), 1)
    one.clock.shift(0)
    one.load({"traits": {"plan": "right"}})
    one.load({"event": "opened"})
    assert one.attributes() == {"plan": "right", "seats": 1}
    eventually(lambda: one.listed().get("events"), 2)
    eventually(lambda: (len(one.with_plan("ahead")), len(one.with_plan("right"))), (0, 1))


def test_a_score_that_was_made_ahead_is_made_again(one: Installation) -> None:
    """At once, and not when the day of the wrong clock has come."""
    one.clock.shift(0)
    one.load(*({"event": "opened", "occurred_at": rfc3339(time.time() - day * DAY)} for day in range(20)))
    one.clock.shift(30 * DAY)
    one.load({"event": "opened"})
    ahead = rfc3339(time.time() + 29 * DAY)

    def scored_at() -> str:
        return (one.listed().get("health") or {}).get("scored_at") or ""

    eventually(lambda: scored_at() > ahead, True)
    one.clock.shift(0)
    eventually(lambda: "" < scored_at() < ahead, True)


def test_wrong_passwords_while_the_clock_was_ahead_lock_nobody_out(one: Installation) -> None:
    """Who knows the password signs in once the clock is right."""
    one.clock.shift(DAY)
    answers = [attempt(one, EMAIL, "wrong wrong wrong").status_code for _ in range(11)]
    assert answers[-1] == 429
    one.clock.shift(0)
    sign_in(one)


def test_a_limiter_names_no_time_beyond_its_window(one: Installation) -> None:
    """Uses that were counted ahead count for a minute, as long as they would have."""
    one.clock.shift(HOUR)
    event = {"name": "a", "timestamp": int(time.time() * 1_000), "identification": {"customer": one.customer}}
    body = {"trackerKey": one.keys["tracker_key"], "events": [event]}

    def track() -> httpx.Response:
        return one.post("/api/tracker/track", body, **{"customerscore-key": one.keys["secret_key"]})

    answers = [track() for _ in range(201)]
    one.clock.shift(0)
    answers.append(track())
    assert [answer.status_code for answer in answers].count(200) <= 201
    assert answers[-1].status_code == 429
    assert all(int(answer.headers["Retry-After"]) <= 60 for answer in answers if answer.status_code == 429)


def test_a_clock_that_most_clients_contradict_is_said(one: Installation) -> None:
    """In `/readyz`, on every page, and in the metric, until it is set right."""

    def kinds() -> list[str]:
        return [incident["kind"] for incident in one.server.http.get("/readyz").json()["incidents"]]

    def is_said() -> bool:
        """Of this day: an earlier test may have left a word about its own jump."""
        return "tenure_clock_skew_seconds 86" in one.server.http.get("/metrics").text and "clock" in kinds()

    one.clock.shift(DAY)
    deadline = time.monotonic() + WAIT_SECONDS
    for number in itertools.count():
        one.send({"event": "now", "customer_id": f"c{number % 5}", "occurred_at": rfc3339(time.time())})
        if is_said():
            break
        assert time.monotonic() < deadline
        time.sleep(0.1)
    one.clock.shift(0)
    eventually(kinds, [])


def test_the_order_is_kept_over_a_restart(one: Installation) -> None:
    """The clock is set right while nothing runs, and the file that the workers share is gone."""
    one.clock.shift(DAY)
    one.load({"event": "first", "message_id": "m"})
    one.server.stop()
    (one.server.data / "journal" / "clock").unlink()
    one.clock.shift(0)
    one.server.start()
    one.load({"event": "later", "message_id": "m"})
    assert one.names() == ["first"]
    certificate_when_done(one.server, one.keys, one.erase())
    assert one.names() == []


def attempt(one: Installation, email: str, password: str) -> httpx.Response:
    """An attempt to sign in."""
    ours = {"Origin": one.server.url, "Sec-Fetch-Site": "same-origin"}
    return httpx.post(f"{one.server.url}/sign-in", data={"email": email, "password": password}, headers=ours,
                      timeout=30)  # fmt: skip


def sign_in(one: Installation) -> httpx.Client:
    """A browser's client that is signed in as an admin."""
    people = Store(connect(Settings.load({"data": one.server.data}, {}))).people
    if not people.any():
        people.create(EMAIL, PASSWORD, "admin")
    answer = attempt(one, EMAIL, PASSWORD)
    assert answer.status_code == 303, answer.text
    ours = {"Origin": one.server.url, "Sec-Fetch-Site": "same-origin"}
    return httpx.Client(cookies=answer.cookies, headers=ours, timeout=30)
