"""The audit log: every change leaves an entry that says who made it, in the change's own transaction."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import anyio
import httpx
import pytest
from fastapi import Depends, FastAPI

from tenure.control.actor import act_as, acting
from tenure.control.audit import Entry, record
from tenure.control.database import connect, migrate
from tenure.control.erasures import new_erasure
from tenure.control.incidents import Incident, Kind
from tenure.control.link import API, MERGE, Link
from tenure.control.people import ADMIN, VIEWER
from tenure.control.repairs import Match
from tenure.control.store import Store
from tenure.errors import TenureError
from tenure.health.settings import HealthSettings, changed
from tenure.identity import Identifier
from tenure.pages.audit import WORDS
from tenure.repair.steps import Step
from tenure.settings import Settings
from tenure.subscriptions.rules import Rules
from tests.harness import Server

PASSWORD = "correct horse battery"
SECRET = "whsec_0123456789abcdef"
ONE, OTHER = Identifier("customer_id", "cus-one"), Identifier("uid", "uid-two")


@pytest.fixture(scope="module")
def settings(new_settings: Callable[[], Settings]) -> Settings:
    return new_settings()


@pytest.fixture(scope="module")
def store(settings: Settings) -> Store:
    engine = connect(settings)
    migrate(engine)
    return Store(engine)


MATCH = Match("native", "/v1/ingest", "bad_field", "x")


def _link(app: str) -> Link:
    return Link(app, ONE, OTHER, MERGE, API, True, 1, "1" * 32)


def _revoke(store: Store, app: str) -> None:
    store.revoke_key(store.list_keys(app)[0].id)


def _trust(store: Store, app: str) -> None:
    publishable = next(key for key in store.list_keys(app) if key.kind == "publishable")
    store.trust_key(publishable.id, trusted=True)


def _request(store: Store, app: str) -> None:
    store.erasures.request(new_erasure(app, [ONE]))


def _accept(store: Store, app: str) -> None:
    store.incidents.report(Incident(kind=Kind.JOURNAL_LOST, place="0", text="Lost.", app=app))
    store.incidents.accept(store.incidents.open()[0].id)


def _delete_view(store: Store, app: str) -> None:
    store.saved_views.delete(app, store.saved_views.of(app)[0].id)


def _change_health(store: Store, app: str) -> None:
    store.health.change(app, lambda settings: changed(settings, {"signals": {"complained": "negative"}}))


def _redeem(store: Store, app: str) -> None:
    store.people.redeem(store.people.sign_in_link(_bob(store)), "bob@example.com", PASSWORD)


def _bob(store: Store) -> str:
    return store.people.find("bob@example.com").id


CHANGES: dict[str, tuple[str, Callable[[Store, str], Any]]] = {
    "create_app": ("app.create", lambda store, _: store.create_app("another")),
    "set_origins": ("app.origins", lambda store, app: store.set_origins(app, ["https://a.example"])),
    "set_limit": ("app.limit", lambda store, app: store.set_limit(app, "native", 5)),
    "reset_limit": ("app.limit", lambda store, app: store.reset_limit(app, "native")),
    "set_retry_seconds": ("app.retries", lambda store, app: store.set_retry_seconds(app, 60)),
    "reinstated.ask": ("event.reinstate", lambda store, app: store.reinstated.ask(app, "00" * 16, [bytes(16)])),
    "create_key": ("key.create", lambda store, app: store.create_key(app, "secret")),
    "create_keys": ("key.create", lambda store, app: store.create_keys(app)),
    "import_key": ("key.import", lambda store, app: store.import_key(app, "secret", "k" * 20)),
    "trust_key": ("key.trust", _trust),
    "rotate_key": ("key.rotate", lambda store, app: store.rotate_key(store.list_keys(app)[0].id)),
    "revoke_key": ("key.revoke", _revoke),
    "links.add": ("link.add", lambda store, app: store.links.add([_link(app)])),
    "links.undo": ("link.undo", lambda store, app: store.links.undo([_link(app).id], 2)),
    "billing.set": ("mrr.rules", lambda store, app: store.billing.set(app, Rules(), None)),
    "health.change": ("health.settings", _change_health),
    "stripe_secrets.add": ("stripe_secret.add", lambda store, app: store.stripe_secrets.add(app, SECRET)),
    "stripe_secrets.revoke": ("stripe_secret.revoke", lambda store, app: store.stripe_secrets.revoke(app, SECRET[:7])),
    "erasures.request": ("erasure.request", _request),
    "erasures.finish": ("erasure.done", lambda store, _: store.erasures.finish(store.erasures.pending()[0])),
    "people.create": ("person.create", lambda store, _: [store.people.create("ann@example.com", PASSWORD, ADMIN),
                                                         store.people.create("bob@example.com", None, ADMIN)]),
    "people.set_password": ("person.password", lambda store, _: store.people.set_password(_bob(store), PASSWORD)),
    "people.sign_in_link": ("person.link", lambda store, _: store.people.sign_in_link(_bob(store))),
    "people.redeem": ("person.password", _redeem),
    "people.open_session": ("session.open", lambda store, _: store.people.open_session(
        store.people.find("bob@example.com"), "")),
    "people.end_sessions": ("session.end", lambda store, _: store.people.end_sessions(_bob(store))),
    "people.end_session": ("session.end", lambda store, _: [
        store.people.open_session(store.people.find("bob@example.com"), ""),
        store.people.end_session(store.people.sessions(_bob(store))[0].id)]),
    "people.set_role": ("person.role", lambda store, _: store.people.set_role(_bob(store), VIEWER)),
    "saved_views.save": ("view.save", lambda store, app: store.saved_views.save(app, "late", "past_due=true")),
    "saved_views.delete": ("view.delete", _delete_view),
    "repairs.add": ("repair.add", lambda store, app: store.repairs.add(app, MATCH, [Step("drop", "x")], "ann")),
    "rename_app": ("app.rename", lambda store, _: store.rename_app(store.app("another").id, "renamed")),
    "people.disable": ("person.disable", lambda store, _: store.people.disable(_bob(store))),
    "incidents.accept": ("incident.accept", _accept),
    "people.enable": ("person.enable", lambda store, _: store.people.enable(_bob(store))),
}  # fmt: skip
"""Every public method of the Store and its parts that changes something, in an order in which they can be called; and
the action of its entry."""

QUIET = {
    "reinstated.finish": "the loader did what was asked for",
    "received.write": "counts of a journal",
    "incidents.write_waiting": "nobody did it: what was found wrong, or right again",
    "links.forget": "a part of an erasure, whose request and end are recorded",
    "links.remember_gone": "a part of an erasure",
    "backfills.finish": "nobody did it but an upgrade",
    "erasures.record": "a part of an erasure",
    "erasures.reach": "a part of an erasure, and the end of one is recorded",
    "erasures.extend": "a part of an erasure",
    "erasures.unlink": "a part of an erasure",
    "erasures.with_links": "a part of an erasure",
    "add_mode_apps": "nobody did it: data of another mode came",
    "erasures.follow_clock": "nobody did it but the clock",
    "repairs.begin": "a part of a repair, whose request is recorded",
    "repairs.count": "a part of a repair",
    "repairs.finish": "a part of a repair",
    "people.check_password": "counts the attempt; the session that follows is recorded",
    "people.session": "notes that the session is in use",
}
"""Those that write and leave no entry, and why."""


def _public_methods(store: Store) -> dict[str, Callable[..., Any]]:
    parts = {"": store} | {f"{name}.": part for name, part in vars(store).items() if not name.startswith("_")}
    return {
        f"{prefix}{name}": method
        for prefix, part in parts.items()
        for name, method in inspect.getmembers(part, inspect.ismethod)
        if not name.startswith("_")
    }


def test_no_method_that_writes_is_forgotten(store: Store) -> None:
    """Each public method of the Store and its parts is listed here as a change or as quiet, or it writes nothing."""
    methods = _public_methods(store)
    assert CHANGES.keys() | QUIET.keys() <= methods.keys()
    for name, method in methods.items():
        if name not in CHANGES | QUIET:
            source = inspect.getsource(method)
            assert not re.search("_writer|_changing", source), f"{name} writes: let it leave an entry"


def test_every_change_leaves_an_entry(store: Store) -> None:
    """With who did it, from where, and what it was; and none of the secrets is in any of them."""
    app = store.create_app("audited").id
    secrets = [PASSWORD, SECRET, "k" * 20, ONE.value, OTHER.value]
    for name, (action, change) in CHANGES.items():
        before = {entry.id for entry in _entries(store)}
        with acting(name, "192.0.2.1"):
            result = change(store, app)
        shown = result.values() if isinstance(result, dict) else [result]
        secrets += [text for text in shown if isinstance(text, str) and len(text) > 16]
        fresh = [entry for entry in _entries(store) if entry.id not in before]
        found = next(entry for entry in fresh if entry.action == action)
        own = "bob@example.com" if name in {"people.redeem", "people.open_session"} else name
        assert (found.actor, found.address) == (own, "192.0.2.1"), name
    assert len(secrets) > 9
    text = str(_entries(store))
    for secret in secrets:
        assert secret not in text


def test_entry_is_there_only_with_its_change(store: Store, settings: Settings) -> None:
    """A change that is taken back takes its entry along."""
    before = _entries(store)
    with connect(settings).connect() as db:
        record(db, "app.create", None, "never")
        db.rollback()
    with pytest.raises(TenureError, match="is an app named"):
        store.create_app("audited")
    assert _entries(store) == before


def test_facts_from_events_are_no_changes_by_anybody(store: Store) -> None:
    """What clients sent links without an entry; of a split only the number of such facts is told."""
    app = store.create_app("automatic").id
    carried = Link(app, ONE, OTHER, "carried together", "native", True, 1, "2" * 32)
    store.links.add([carried])
    store.links.undo([carried.id], 5)
    actions = [(entry.action, entry.details) for entry in _entries(store, app)]
    assert actions == [("link.undo", {"facts": 1, "by_hand": []}), ("app.create", {})]


def test_entries_come_in_pages_newest_first(store: Store) -> None:
    """By app, by actor, by action; each once."""
    app = store.create_app("pages").id
    with acting("pages"):
        for number in range(7):
            store.set_limit(app, "native", number + 1)
        store.create_key(app, "read")
    pages, cursor = [], None
    while True:
        page = store.audit.entries(app, actor="pages", action="app.limit", cursor=cursor, limit=3)
        pages.append([entry.details["per_minute"] for entry in page.items])
        cursor = page.next
        if cursor is None:
            break
    assert pages == [[7, 6, 5], [4, 3, 2], [1]]
    assert [entry.action for entry in store.audit.entries(app, action="key.create").items] == ["key.create"]
    assert store.audit.entries(app, action="key").items == []
    assert store.audit.entries(app, actor="pages", limit=8).next is None


def test_settings_of_health_tell_what_changed(store: Store) -> None:
    """The value before and after, of what differs alone."""
    app = store.create_app("health").id
    store.health.change(app, lambda _: changed(HealthSettings(), {"signals": {"a": "negative", "b": "positive"}}))
    store.health.change(app, lambda now: changed(now, {"signals": {"b": "positive", "c": "positive"}}))
    changes = {"a": {"was": "negative", "now": None}, "c": {"was": None, "now": "positive"}}
    assert store.audit.entries(app, limit=1).items[0].details == {"signals": changes, "weights": {}}


def test_each_action_has_its_words() -> None:
    """The page that shows the log says each in words, and lets it be chosen."""
    assert {action for action, _ in CHANGES.values()} <= WORDS.keys()


def test_actor_reaches_the_thread_of_an_endpoint(store: Store) -> None:
    """What an `async` dependency says holds in the endpoint's thread, for this request alone."""
    api = FastAPI()

    async def act(name: str) -> None:
        act_as(name)

    @api.post("/{name}", dependencies=[Depends(act)])
    def change(name: str) -> None:
        store.create_app(f"app of {name}")

    @api.post("/apps/{name}")
    def unsigned(name: str) -> None:
        store.create_app(name)

    async def send(path: str) -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://test") as client:
            assert (await client.post(path)).status_code == 200

    for path in ("/ann", "/bob", "/apps/nobody's"):
        anyio.run(send, path)  # a task of its own, as a server's requests have
    assert [(entry.actor, entry.subject) for entry in store.audit.entries(limit=3).items] == [
        ("Tenure", "nobody's"), ("bob", "app of bob"), ("ann", "app of ann")]  # fmt: skip


def test_changes_by_the_api_are_by_their_key(server: Server, keys: dict[str, str]) -> None:
    """The entry names what may be shown of the secret key, and the address that the request came from."""
    link = {"one": {"kind": "uid", "value": "a"}, "other": {"kind": "customer_id", "value": "b"}}
    asked = [
        ("PUT", "/v1/signals", {"signals": {"complained": "negative"}}),
        ("PUT", "/v1/metrics/rules", {"currency": "EUR"}),
        ("POST", "/v1/links", link),
        ("POST", "/v1/customers/a/split", {"identifiers": ["b"]}),
        ("POST", "/v1/links", link),
        ("DELETE", "/v1/customers/a", None),
    ]
    for method, path, body in asked:
        answer = server.http.request(method, path, json=body, headers={"Authorization": f"Bearer {keys['secret_key']}"})
        assert answer.status_code < 300, answer.text
    found = Store(connect(Settings.load({"data": server.data}, {}))).audit.entries(keys["app"]).items
    by_key = [(entry.action, entry.address) for entry in found if entry.actor == f"key {keys['secret_key'][:12]}…"]
    assert by_key[::-1] == [(action, "127.0.0.1") for action in (
        "health.settings", "mrr.rules", "link.add", "link.undo", "link.add",
        "erasure.request")]  # fmt: skip


def _entries(store: Store, app: str | None = None) -> list[Entry]:
    return store.audit.entries(app, limit=1_000).items
