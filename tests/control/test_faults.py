"""Faults of the control database: a full disk, a read-only one, a damaged file, a server that is away."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tenure.control.database import connect, migrate
from tenure.control.store import Store
from tenure.errors import TenureError, Unavailable
from tenure.settings import Settings
from tests.harness import Server, free_port, whisperr_events
from tests.postgresql import PostgreSQL
from tests.small_disk import Ballast, remount, small_disk

PASSWORD = "correct horse battery"
PATIENCE_SECONDS = 30


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path, 8) as root:
        yield root


def settings_on(disk: Path, data: Path) -> Settings:
    """Settings whose control database alone is on a disk."""
    return Settings.load({"data": data, "control_url": f"sqlite:///{disk}/control.sqlite"}, {})


def made(settings: Settings) -> Store:
    engine = connect(settings)
    migrate(engine)
    return Store(engine)


def refusal(change: Callable[[], object]) -> Unavailable:
    """What a change is refused with; SQLite may have room for a few changes in its log still."""
    for _ in range(2_000):
        try:
            change()
        except Unavailable as error:
            return error
    raise AssertionError("no change was refused")


def numbered(store: Store) -> Callable[[], object]:
    numbers = iter(range(1_000_000))
    return lambda: store.create_app(f"app {next(numbers)}")


def test_a_full_disk_refuses_changes_and_not_questions(disk: Path, tmp_path: Path) -> None:
    """Nothing of a refused change is there, what was there is read, and changes work again once there is room."""
    store, ballast = made(settings_on(disk, tmp_path)), Ballast(disk)
    change = numbered(store)
    ballast.leave(0)
    assert "its disk is full" in refusal(change).message
    apps = len(store.apps())
    with pytest.raises(Unavailable):
        change()
    assert len(store.apps()) == apps
    ballast.leave(1024 * 1024)
    change()
    assert len(store.apps()) == apps + 1


def test_a_read_only_disk_refuses_changes_until_it_is_not(disk: Path, tmp_path: Path) -> None:
    """The process that saw the disk read-only writes again without a restart."""
    settings = settings_on(disk, tmp_path)
    made(settings)._engine.dispose()
    remount(disk, "ro")
    store = Store(connect(settings))
    assert "its file" in refusal(numbered(store)).message
    remount(disk, "rw")
    store.create_app("after")
    assert [app.name for app in store.apps()] == ["after"]


def test_a_damaged_file_is_no_traceback(tmp_path: Path) -> None:
    """Every question says what is wrong."""
    settings = Settings.load({"data": tmp_path}, {})
    (tmp_path / "control.sqlite").write_bytes(b"no database at all" * 1_000)
    refused = refusal(Store(connect(settings)).apps)
    assert "its file is damaged" in refused.message
    assert refused.code == "control_unavailable"


def test_a_server_that_is_away_is_unavailable(tmp_path: Path) -> None:
    """With PostgreSQL away, questions say so."""
    url = f"postgresql+psycopg://tenure@127.0.0.1:{free_port()}/tenure"
    store = Store(connect(Settings.load({"data": tmp_path, "control_url": url}, {})))
    assert "it cannot be reached" in refusal(store.apps).message


def test_a_violated_rule_stays_what_it_is(tmp_path: Path) -> None:
    """Only faults of the database are mapped: a name that is taken is the caller's to mend."""
    store = made(Settings.load({"data": tmp_path}, {}))
    store.create_app("one")
    with pytest.raises(TenureError, match="already") as refused:
        store.create_app("one")
    assert not isinstance(refused.value, Unavailable)


class Visitor:
    """Somebody who is signed in as an admin."""

    def __init__(self, server: Server) -> None:
        self._http = httpx.Client(base_url=server.url, headers={"Sec-Fetch-Site": "same-origin"}, timeout=30)
        form = {"email": "admin@example.com", "password": PASSWORD}
        assert self._http.post("/sign-in", data=form).status_code == 303
        found = re.search(r'name="csrf" value="(\w+)"', self._http.get("/settings/apps").text)
        assert found
        self._csrf = found[1]

    def read(self) -> httpx.Response:
        return self._http.get("/settings/apps")

    def post(self, path: str, **fields: str) -> httpx.Response:
        return self._http.post(path, data=fields | {"csrf": self._csrf})


def test_a_server_with_a_full_control_disk_answers_503_and_takes_events(disk: Path, tmp_path: Path) -> None:
    """Changes by the API and by pages are refused with a sentence, pages are read, events are taken and loaded."""
    data = tmp_path / "data"
    store = made(settings_on(disk, data))
    app = store.create_app("test")
    keys = store.create_keys(app.id)
    store.people.create("admin@example.com", PASSWORD, "admin")
    server = Server(data, {"TENURE_CONTROL_URL": f"sqlite:///{disk}/control.sqlite"})
    server.start()
    try:
        visitor, ballast = Visitor(server), Ballast(disk)
        ballast.leave(0)
        refusal(numbered(store))
        secret = {"X-API-Key": keys["secret_key"], "Authorization": f"Bearer {keys['secret_key']}"}

        declared = server.http.put("/v1/signals", json={"signals": {"x": "positive"}}, headers=secret)
        assert declared.status_code == 503, declared.text
        assert declared.headers["Retry-After"] == "5"
        assert declared.json()["error"] == "control_unavailable"

        sent = visitor.post(f"/apps/{app.id}/settings/name", name="another name")
        assert (sent.status_code, sent.headers["Retry-After"]) == (503, "5")
        assert "its disk is full" in sent.text
        assert 'value="another name"' in sent.text

        sent = visitor.post(f"/apps/{app.id}/settings/origins", origins="https://example.com")
        assert sent.status_code == 503
        assert '<input type="hidden" name="origins" value="https://example.com">' in sent.text
        assert "Send it again" in sent.text

        assert visitor.read().status_code == 200
        taken = server.http.post("/v1/events/batch", json=whisperr_events(0, 3), headers=secret)
        assert taken.status_code == 202
        server.wait_loaded()
        assert server.read("/v1/events", keys)["items"][0]["count"] == 3
        assert "Traceback" not in server.log.read_text()

        ballast.leave(1024 * 1024)
        assert visitor.post(f"/apps/{app.id}/settings/name", name="another name").status_code == 303
        declared = server.http.put("/v1/signals", json={"signals": {"x": "positive"}}, headers=secret)
        assert declared.status_code == 200, declared.text
    finally:
        server.kill_tree()


def test_a_server_takes_events_while_postgresql_is_away(tmp_path: Path) -> None:
    """With keys that it knows; changes are 503, no answer is 500, and all of it goes on by itself when it is back."""
    data = tmp_path / "data"
    with PostgreSQL() as postgresql:
        url = postgresql.create_database()
        store = made(Settings.load({"data": data, "control_url": url}, {}))
        app = store.create_app("test")
        keys = store.create_keys(app.id)
        secret = {"X-API-Key": keys["secret_key"], "Authorization": f"Bearer {keys['secret_key']}"}
        server = Server(data, {"TENURE_CONTROL_URL": url})
        server.start()

        def send(start: int) -> int:
            events = whisperr_events(start, 3)
            return server.http.post("/v1/events/batch", json=events, headers=secret).status_code

        def declare() -> int:
            return server.http.put("/v1/signals", json={"signals": {"x": "positive"}}, headers=secret).status_code

        try:
            assert send(0) == 202
            server.wait_loaded()
            postgresql.stop()
            assert [send(start) for start in range(3, 30, 3)] == [202] * 9
            assert declare() == 503
            reading = {"Authorization": f"Bearer {keys['read_key']}"}
            assert server.http.get("/v1/events", headers=reading).status_code in {200, 503}
            assert server.http.get("/settings/apps").status_code in {303, 503}
            postgresql.start()
            wait_until(lambda: declare() == 200)
            wait_until(lambda: server.read("/v1/events", keys)["items"][0]["count"] == 30)
            assert "Traceback" not in server.log.read_text()
        finally:
            server.kill_tree()


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for what follows by itself once a fault is gone."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
