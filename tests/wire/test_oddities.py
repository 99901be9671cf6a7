"""Every oddity of the table: through every dialect's decoder, and through a server to the timeline."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from tenure.entry import Entry
from tenure.errors import BadRequest
from tenure.event import Event
from tenure.identity import event_ids
from tenure.wire import registry
from tests.harness import Server, create_app
from tests.wire import oddities
from tests.wire.oddities import AS_SENT, BODIES, IDS, NAMES, PROPERTIES, TAKEN, Oddity, Refused

NOW = 1_781_438_700_000
rule = pytest.mark.rule

BODY_OF: dict[str, tuple[str, bytes, int]] = {
    "churnkey": (
        "/v1/api/events/new", b'{"event":%(name)b,"customerId":%(id)b,"eventDate":1781438400,"eventData":%(odd)b}', 1),
    "windback": (
        "/api/v1/track", b'{"event":%(name)b,"customer_id":%(id)b,"timestamp":1781438400,"properties":%(odd)b}', 1),
    "customerscore": (
        "/api/tracker/track",
        b'{"trackerKey":"CS-1","events":[{"name":%(name)b,"timestamp":1781438400000,'
        b'"identification":{"customer":%(id)b},"properties":%(odd)b}]}', 3),
    "whisperr": (
        "/v1/events/track",
        b'{"event_type":%(name)b,"external_user_id":%(id)b,"properties":%(odd)b,"context":{"$message_id":"m"}}', 1),
    "native": (
        "/v1/ingest",
        b'{"events":[{"event":%(name)b,"customer_id":%(id)b,"message_id":"m","properties":%(odd)b}]}', 3),
}  # fmt: skip
"""By dialect: a path, a body with a name, an id and properties to put in, and the levels around the properties."""

every_dialect = pytest.mark.parametrize("dialect", BODY_OF)


def body(dialect: str, odd: Oddity | None = None, *, name: bytes = b'"odd"', id: bytes = b'"odd"') -> bytes:
    """A good body, with these texts of JSON in their places."""
    return BODY_OF[dialect][1] % {b"name": name, b"id": id, b"odd": b"{}" if odd is None else raw(dialect, odd)}


def raw(dialect: str, odd: Oddity) -> bytes:
    """The text that stands for the oddity, which depends on the levels around it when depth is the matter."""
    return odd.raw if isinstance(odd.raw, bytes) else odd.raw(BODY_OF[dialect][2])


def decode(dialect: str, content: bytes) -> Event | Refused:
    """The one event of a body, or why there is none."""
    operation = registry.find(BODY_OF[dialect][0], {})
    assert operation is not None
    try:
        decoded = operation.decode(content, NOW)
    except BadRequest as refused:
        return Refused(refused.code)
    return decoded.events[0] if decoded.events else Refused(decoded.refusals[0].code)


def expected(dialect: str, odd: Oddity) -> Any:
    """What the table says that an oddity becomes in a dialect."""
    becomes = odd.but.get(dialect, odd.becomes)
    return json.loads(raw(dialect, odd)) if becomes == AS_SENT else becomes


def same(found: Any, wanted: Any) -> bool:
    """Equal, with 1, 1.0 and true apart, and -0.0 from 0.0."""
    if isinstance(found, Refused) or isinstance(wanted, Refused):
        return bool(found == wanted)
    return json.dumps(found, sort_keys=True) == json.dumps(wanted, sort_keys=True)


def of(table: list[Oddity]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("odd", table, ids=lambda odd: odd.what)


@rule("json")
@every_dialect
@of(PROPERTIES)
def test_odd_properties(dialect: str, odd: Oddity) -> None:
    """What stands in an event's properties is kept or refused as the table says."""
    found = decode(dialect, body(dialect, odd))
    if isinstance(found, Event):
        kept = json.loads(found.context)["properties"] if dialect == "customerscore" else json.loads(found.properties)
        assert same(kept, expected(dialect, odd))
    else:
        assert found == expected(dialect, odd)


@rule("json")
@every_dialect
@of(IDS)
def test_odd_ids(dialect: str, odd: Oddity) -> None:
    """What stands in the customer's id is kept or refused as the table says."""
    found = decode(dialect, body(dialect, id=raw(dialect, odd)))
    assert (found if isinstance(found, Refused) else found.customer_id or found.uid) == expected(dialect, odd)


@rule("json")
@every_dialect
@of(NAMES)
def test_odd_names(dialect: str, odd: Oddity) -> None:
    """What stands in the event's name is kept or refused as the table says."""
    found = decode(dialect, body(dialect, name=raw(dialect, odd)))
    assert (found if isinstance(found, Refused) else found.name) == expected(dialect, odd)


@rule("json")
@every_dialect
@pytest.mark.parametrize(("change", "becomes"), [row[1:] for row in BODIES], ids=[row[0] for row in BODIES])
def test_odd_bodies(dialect: str, change: oddities.Change, becomes: Any) -> None:
    """What is done to the whole body is read over or refused as the table says."""
    good = decode(dialect, body(dialect))
    assert decode(dialect, change(body(dialect))) == (good if becomes == TAKEN else becomes)


@rule("json-depth")
@every_dialect
@pytest.mark.parametrize("nested", [oddities.nested_objects, lambda levels: oddities.nested(b"[", b"]", levels)])
def test_depth_of_the_whole_body(dialect: str, nested: Callable[[int], Callable[[int], bytes]]) -> None:
    """The 64th level is taken and the 65th refused, wherever in the body the properties stand."""
    assert isinstance(decode(dialect, body(dialect, Oddity("", nested(64), {}))), Event)
    assert decode(dialect, body(dialect, Oddity("", nested(65), {}))) == oddities.DEEP


SPELLINGS = [
    rb'{"name":"Jos\u00e9","path":"a\/b","face":"\ud83d\ude00","n":{"x":1,"y":2.5}}',
    '{ "n": {"y": 2.50, "x": 1},\r\n"face": "\U0001f600", "path": "a/b", "name": "José" }'.encode(),
    '{"path":"x","path":"a/b","name":"José","n":{"y":25e-1,"x":1},"face":"\U0001f600"}'.encode(),
]


@rule("json")
@every_dialect
def test_spellings_of_one_value_are_one_event(dialect: str) -> None:
    """Escaped and raw, in any order, with any white space: the same event id."""
    found = [decode(dialect, body(dialect, Oddity("", spelling, {}))) for spelling in SPELLINGS]
    said = Entry(
        app="app", receipt="r", received_at=0, dialect=dialect, verified=True, key_prefix="", idempotency_key="k"
    )
    entries = [msgspec.structs.replace(said, events=[event]) for event in found if isinstance(event, Event)]
    ids = {event_ids(entry)[0] for entry in entries}
    assert len(found) == len(SPELLINGS)
    assert len(ids) == 1
    assert found[0] == found[1] == found[2]


class Sent:
    """The whole table, sent to a server as single events of one dialect, and loaded."""

    dialect = "churnkey"

    def __init__(self, server: Server) -> None:
        self.server = server
        self.keys = create_app(server.data, "oddities")
        self.headers = {"x-ck-api-key": self.keys["secret_key"], "x-ck-app": self.keys["app"]}
        self.answers = {id(odd): self.send(self.body(odd)) for odd in [*PROPERTIES, *IDS, *NAMES]}
        self.spelt = [self.send(body(self.dialect, Oddity("", text, {}), id=b'"spelt"')) for text in SPELLINGS]
        server.wait_loaded()

    def body(self, odd: Oddity) -> bytes:
        """The oddity in its place; the other place of name and id holds a text that finds it again."""
        mark = json.dumps(self.mark(odd)).encode()
        if odd in PROPERTIES:
            return body(self.dialect, odd, id=mark)
        return body(self.dialect, id=odd.raw, name=mark) if odd in IDS else body(self.dialect, name=odd.raw, id=mark)

    def send(self, content: bytes) -> tuple[int, Any]:
        """The status and body of the answer."""
        answer = self.server.http.post(BODY_OF[self.dialect][0], headers=self.headers, content=content)
        return answer.status_code, answer.json()

    def timeline(self, customer: str) -> list[dict[str, Any]]:
        """The events of a customer."""
        items = self.server.read(f"/v1/customers/{quote(customer, safe='')}/timeline", self.keys)["items"]
        assert isinstance(items, list)
        return items

    @staticmethod
    def mark(odd: Oddity) -> str:
        """A text of its own for each oddity."""
        table = next(table for table in (PROPERTIES, IDS, NAMES) if odd in table)
        return f"{'p' if table is PROPERTIES else 'i' if table is IDS else 'n'}-{table.index(odd)}"


@pytest.fixture(scope="module")
def sent(server: Server) -> Sent:
    return Sent(server)


@rule("json", "churnkey")
@pytest.mark.parametrize("odd", [*PROPERTIES, *IDS, *NAMES], ids=lambda odd: odd.what)
def test_odd_values_come_back_from_the_timeline(sent: Sent, odd: Oddity) -> None:
    """Through the journal, the warehouse and the read API, an oddity is still what the table says."""
    status, answer = sent.answers[id(odd)]
    wanted = expected(sent.dialect, odd)
    if isinstance(wanted, Refused):
        assert (status, answer["error"]) == (400, wanted.code)
        return
    assert status == 200
    if odd in IDS:
        assert sent.mark(odd) in [item["name"] for item in sent.timeline(wanted)]
        return
    (item,) = sent.timeline(sent.mark(odd))
    assert same(item["properties"], wanted) if odd in PROPERTIES else item["name"] == wanted


@rule("json", "churnkey")
@rule("retry", "churnkey")
def test_spellings_of_one_value_are_stored_once(sent: Sent) -> None:
    """Escaped and raw content, sent one after the other without message ids, is one event on the timeline."""
    assert [status for status, _ in sent.spelt] == [200, 200, 200]
    (item,) = sent.timeline("spelt")
    assert item["properties"] == json.loads(SPELLINGS[0])


def test_page_is_the_table() -> None:
    """`docs/json.md` is what the table gives now."""
    assert oddities.PAGE.read_text("utf-8") == oddities.page(), "run: python -m tests.wire.oddities"
