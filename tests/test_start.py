"""How `tenure serve` starts, and starts again what dies: what is imported, what goes on, what is said of a fault."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tenure.app import HttpApplication
from tenure.http_workers import HttpWorker
from tenure.settings import Settings
from tests.harness import Server, create_app, kill, tenure, whisperr_events
from tests.small_disk import Ballast, remount, small_disk

NewServer = Callable[..., Server]
WAIT_SECONDS = 60

HEAVY = {"alembic", "chdb", "fastapi", "jinja2", "lifelines", "numpy", "pandas", "pyarrow", "starlette", "stripe"}
"""Packages that take long to import, and that no role needs before its first answer."""
IMPORTED = {
    "supervisor": (["tenure.cli", "tenure.supervisor"], HEAVY | {"clickhouse_connect", "granian", "sqlalchemy"}, 480),
    "http": (["tenure.roles", "tenure.fork_server"], HEAVY | {"clickhouse_connect", "rich", "typer"}, 660),
    "loader": (["tenure.roles", "tenure.loader.loader"], HEAVY | {"granian", "rich", "typer"}, 740),
    "engine": (["tenure.roles", "tenure.warehouse.engine.server"], HEAVY | {"granian", "rich", "sqlalchemy"}, 480),
}
"""What each role imports at its start, what must not come with it, and the most modules that it may be."""


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def imported_by(code: str, *arguments: str) -> set[str]:
    """The modules that are imported once a program has run."""
    program = f"{code}\nimport sys\nprint('\\n'.join(name for name, module in sys.modules.items() if module))"
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("role", IMPORTED)
def test_a_role_imports_little_before_its_first_answer(role: str) -> None:
    """None of the packages that take long, and no more modules than are listed here."""
    names, unwanted, most = IMPORTED[role]
    modules = imported_by("\n".join(f"import {name}" for name in names))
    assert not {module.split(".")[0] for module in modules} & unwanted
    assert len(modules) <= most


def test_an_http_worker_is_built_without_the_read_side(tmp_path: Path) -> None:
    """The application that takes events needs neither the read API, nor the pages, nor the warehouse's client."""
    create_app(tmp_path)
    code = """
import sys
from pathlib import Path
from tenure.app import HttpApplication
from tenure.settings import Settings
application = HttpApplication(Settings.load({"data": Path(sys.argv[1])}, {"TENURE_RATE_LIMIT_URL": sys.argv[2]}))
"""
    modules = imported_by(code, str(tmp_path), "redis://127.0.0.1:1")
    assert not {module.split(".")[0] for module in modules} & (HEAVY | {"clickhouse_connect"})
    assert not any(module.startswith(("tenure.web", "tenure.pages")) for module in modules)


def test_readyz_is_answered_before_the_read_api_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a thread builds the read API, `/readyz` says that events are taken; other answers wait."""
    create_app(tmp_path)
    settings = Settings.load({"data": tmp_path, "rate_limit_url": "redis://127.0.0.1:1"}, {})
    go_on = threading.Event()
    build = HttpApplication._build_reading_side
    monkeypatch.setattr(HttpApplication, "_build_reading_side", lambda self: go_on.wait(WAIT_SECONDS) and build(self))

    async def ask(application: HttpApplication, path: str) -> int:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b""}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "headers": [],
                 "query_string": b"", "http_version": "1.1", "scheme": "http", "root_path": ""}  # fmt: skip
        await application(scope, receive, send)
        return int(sent[0]["status"])

    async def story() -> None:
        application = HttpApplication(settings)
        waiting = asyncio.create_task(ask(application, "/openapi.json"))
        assert [await ask(application, path) for path in ("/healthz", "/readyz")] == [200, 200]
        assert not waiting.done()
        go_on.set()
        assert await waiting == 200
        assert await ask(application, "/readyz") == 200

    asyncio.run(story())


def test_events_are_accepted_before_the_engine_is_up(new_server: NewServer) -> None:
    """While the engine is stopped in the middle of its start, events are acknowledged; later they are all there."""
    server = new_server()
    keys = create_app(server.data)
    server.kill_tree()
    server.launch()
    wait_for(lambda: "engine" in server.roles(), "no engine was started")
    engine = server.roles()["engine"]
    os.kill(engine, signal.SIGSTOP)
    server.wait_ready()
    assert send(server, keys, 0).status_code == 202
    os.kill(engine, signal.SIGCONT)
    server.wait_readable()
    server.wait_loaded()
    assert server.read("/v1/events", keys)["items"][0]["count"] == 1


def test_one_worker_is_killed_again_and_again_and_the_other_goes_on(new_server: NewServer) -> None:
    """Each successor takes the journal of its predecessor; neither the other worker nor the http role is replaced."""
    server = new_server(TENURE_HTTP_WORKERS="2")
    keys = create_app(server.data)
    wait_for(lambda: len(server.workers()) == 2, "there are not two workers")
    role, survivor = server.roles()["http"], max(server.workers())
    sent = 0
    for _ in range(6):
        (victim,) = set(server.workers()) - {survivor}
        kill(victim)
        sent += keep_sending(server, keys, sent, lambda victim=victim: is_replaced(server, 2, victim))
    assert survivor in server.workers()
    assert server.roles()["http"] == role
    assert sorted(path.name for path in (server.data / "journal").glob("*.sqlite")) == ["0.sqlite", "1.sqlite"]
    server.wait_loaded()
    assert server.read("/v1/events", keys)["items"][0]["count"] == sent


def test_all_workers_are_killed_at_once_in_a_loop(new_server: NewServer) -> None:
    """New ones come each time without the http role being started again, and every acknowledged event is there."""
    server = new_server(TENURE_HTTP_WORKERS="2")
    keys = create_app(server.data)
    wait_for(lambda: len(server.workers()) == 2, "there are not two workers")
    role, sent = server.roles()["http"], 0
    for _ in range(4):
        victims = server.workers()
        for victim in victims:
            kill(victim)
        sent += keep_sending(server, keys, sent, lambda victims=victims: is_replaced(server, 2, *victims))
    assert server.roles()["http"] == role
    server.wait_loaded()
    assert server.read("/v1/events", keys)["items"][0]["count"] == sent


def test_workers_outlive_the_process_that_forked_them(new_server: NewServer) -> None:
    """The http role dies: its worker goes on. The worker dies then: the new http role makes another one."""
    server = new_server()
    keys = create_app(server.data)
    (worker,) = server.workers()
    for _ in range(2):
        role = server.roles()["http"]
        kill(role)
        assert send(server, keys, 0).status_code == 202
        wait_for(lambda role=role: server.roles().get("http", role) != role, "the http role was not started again")
    assert server.workers() == [worker]
    kill(worker)
    keep_sending(server, keys, 1, lambda: is_replaced(server, 1, worker))
    assert server.stop() == 0


def test_the_http_role_has_one_thread(server: Server) -> None:
    """A process of several threads must not fork: a lock that another thread holds would stay locked in the child."""
    assert len(list(Path(f"/proc/{server.roles()['http']}/task").iterdir())) == 1


def test_a_worker_that_cannot_start_is_tried_again_more_slowly() -> None:
    """One that has served is replaced at once; one that dies before it is ready, after a time that grows to 2 s."""
    worker, ours_and_theirs = HttpWorker(), socket.socketpair()
    with ours_and_theirs[0] as control, ours_and_theirs[1]:
        waits = []
        for served in (True, False, False, False, False, False, False, True):
            worker._due = 0.0
            worker.tend(role := _ControlOnly(control))
            assert worker.channel is not None
            worker.ready, worker._wait = served, 0.0 if served else worker._wait
            _, (theirs,), _, _ = socket.recv_fds(ours_and_theirs[1], 1, 1)
            os.close(theirs)  # as when the worker dies
            worker.tend(role)
            waits.append(worker._wait)
    assert waits == [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 0.0]


class _ControlOnly:
    """What a worker needs of the http role."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel


def test_an_engine_that_hangs_at_its_start_is_ended(new_server: NewServer) -> None:
    """It is stopped before it has opened its directory: after the limit another engine is started, and answers."""
    server = new_server(TENURE_ENGINE_START_SECONDS="4", TENURE_LOG_FORMAT="json")
    server.kill_tree()
    server.launch()
    wait_for(lambda: "engine" in server.roles(), "no engine was started")
    stopped = server.roles()["engine"]
    os.kill(stopped, signal.SIGSTOP)
    wait_for(lambda: server.roles().get("engine", stopped) != stopped, "the engine was not replaced")
    server.wait_readable()
    log = server.log.read_text()
    assert "engine did not open its data directory in time; killed" in log
    assert '"next_limit_seconds": 8' in log


def test_nothing_outlives_a_supervisor_that_is_killed(new_server: NewServer) -> None:
    """Not even an engine that is stopped; and a new server starts at once, on the same port."""
    server = new_server()
    assert server.process is not None
    engine = server.roles()["engine"]
    os.kill(engine, signal.SIGSTOP)
    kill(server.process.pid)
    server.process.wait(WAIT_SECONDS)
    server.start()
    assert not Path(f"/proc/{engine}").exists()


def test_no_proxy_of_the_environment_is_asked(tmp_path: Path, new_server: NewServer) -> None:
    """With a proxy in every variable events are loaded and read, also by commands, and the proxy hears nothing."""
    with listening_proxy() as (url, heard):
        names = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
        environment = dict.fromkeys(names, url) | {"NO_PROXY": "", "no_proxy": ""}
        server = new_server(**environment)
        keys = create_app(server.data)
        direct = httpx.Client(base_url=server.url, trust_env=False)
        answer = direct.post(
            "/v1/events/batch", headers={"X-API-Key": keys["publishable_key"]}, json=whisperr_events(0, 3)
        )
        assert answer.status_code == 202
        server.wait_loaded()
        assert server.read("/v1/events", keys)["items"][0]["count"] == 3
        tenure("check", data=server.data, environment=environment)
        wait_for(lambda: "Open the pages" in server.log.read_text(), "the way in was not shown")
        assert server.stop() == 0
    assert heard == []


@contextmanager
def listening_proxy() -> Iterator[tuple[str, list[bytes]]]:
    """A server that notes the first bytes of each connection, and hangs up."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def listen() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(1)
                    try:
                        heard.append(connection.recv(1_000))
                    except OSError:
                        heard.append(b"")

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", heard
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def refused(data: Path, *prefix: str) -> str:
    """Start a server that must not start, and say why in one sentence with exit code 3; returns the sentence."""
    command = [*prefix, sys.executable, "-m", "tenure", "serve", "--data", str(data), "--port", "1"]
    if not prefix:
        command[-1] = str(_free_port())
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_SECONDS, check=False)
    lines = [line for line in done.stderr.splitlines() if not line.startswith(("{", "20"))]  # log lines aside
    assert "Traceback" not in done.stderr
    assert (done.returncode, len(lines)) == (3, 1), done.stderr
    return lines[0]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_path_that_is_a_file_is_refused(tmp_path: Path) -> None:
    """The data directory, one above it, or one below it is a file."""
    file = tmp_path / "file"
    file.write_text("something else")
    for data in (file, file / "data"):
        assert f"cannot use {file}" in (said := refused(data))
        assert "choose another --data" in said
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "journal").write_text("something else")
    assert "journal: Not a directory" in refused(tmp_path / "data")


def test_a_read_only_file_system_is_refused(tmp_path: Path) -> None:
    """Both a directory that would have to be made and one that was used before."""
    with small_disk(tmp_path, 8) as disk:
        tenure("app", "create", "test", data=disk / "used")
        remount(disk, "ro")
        for data in (disk / "used", disk / "new"):
            assert "read-only: mount it for writing" in refused(data)
        remount(disk, "rw")


def test_a_full_disk_is_refused(tmp_path: Path) -> None:
    """Not a byte is free: the server says so at its start."""
    with small_disk(tmp_path, 8) as disk:
        tenure("app", "create", "test", data=disk / "data")
        Ballast(disk).leave(0)
        said = refused(disk / "data")
        assert "disk is full" in said
        assert "free some space" in said


def test_a_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """Who owns it is said. Root is made an ordinary user for it, which may not write everywhere."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    os.chown(data, 12345, 12345)
    said = refused(data, "setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner")
    assert f"uid {os.geteuid()}" in said
    assert "run as its owner (uid 12345)" in said


def test_a_control_database_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    """It is damaged, is on a disk that fails, or is locked by another program."""
    tenure("app", "create", "test", data=tmp_path)
    control = tmp_path / "control.sqlite"
    with sqlite3.connect(control, isolation_level=None) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        assert "another program keeps it locked" in refused(tmp_path)
    other.close()
    content = control.read_bytes()
    control.write_bytes(b"not a database at all" * 1_000)
    assert "restore it from a backup" in refused(tmp_path)
    control.unlink()
    control.symlink_to("/proc/self/mem")  # whose first byte cannot be read: EIO
    assert "its disk fails" in refused(tmp_path)
    control.unlink()
    control.write_bytes(content)


def send(server: Server, keys: dict[str, str], number: int) -> httpx.Response:
    """Send one event, which is told from others by its number, over a connection of its own."""
    with httpx.Client(base_url=server.url, timeout=30) as client:
        headers = {"X-API-Key": keys["publishable_key"]}
        return client.post("/v1/events/batch", headers=headers, json=whisperr_events(number, 1))


def keep_sending(server: Server, keys: dict[str, str], first: int, until: Callable[[], bool]) -> int:
    """Send events one after the other, each until it is acknowledged, until something holds; returns how many."""
    sent, deadline = 0, time.monotonic() + WAIT_SECONDS
    while not sent or not until():
        assert time.monotonic() < deadline, server.log.read_text()[-5_000:]
        try:
            sent += send(server, keys, first + sent).status_code == 202
        except httpx.TransportError:
            time.sleep(0.01)
    return sent


def is_replaced(server: Server, count: int, *victims: int) -> bool:
    """Whether there are so many workers, none of them a victim."""
    workers = server.workers()
    return len(workers) == count and not set(victims) & set(workers)
