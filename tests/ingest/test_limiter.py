"""A limit holds over all processes to the last request; what cannot be counted passes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from tenure.errors import RateLimited
from tenure.ingest import limiter as module
from tenure.ingest import window, window_server
from tenure.ingest.limiter import Limiter
from tenure.ingest.window import MemoryWindows
from tenure.ingest.window_server import LONGEST_SECRET, ServedWindows, WindowServer
from tenure.settings import Settings
from tests.harness import Server, free_port

SECRET = "secret of this start"
WAIT_SECONDS = 20


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine of a test may be slow."""
    for waiting in (window, window_server):
        monkeypatch.setattr(waiting, "PATIENCE_SECONDS", 20)


class Clock:
    """A monotonic clock."""

    def __init__(self) -> None:
        self.now = 1_700_000.0

    def __call__(self) -> float:
        return self.now


@contextlib.contextmanager
def serving(port: int = 0) -> Iterator[int]:
    """A server of windows; gives its port."""
    listener = socket.create_server(("127.0.0.1", port))
    server = WindowServer(listener, SECRET)
    server.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.stop()


@contextlib.contextmanager
def redis(directory: Path, port: int) -> Iterator[str]:
    """A Redis of this test's own; gives its URL."""
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)]
    process = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: accepts(port))
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.kill()
        process.wait()


@pytest.fixture(params=["supervisor", "redis"])
def environment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The variables that lead an http worker to windows in either place."""
    if request.param == "redis":
        with redis(tmp_path, free_port()) as url:
            yield {"TENURE_RATE_LIMIT_URL": url}
    else:
        with serving() as port:
            yield {"TENURE_LIMITER_PORT": str(port), "TENURE_LIMITER_SECRET": SECRET}


def accepts(port: int) -> bool:
    with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def built(environment: dict[str, str], seconds: int = 60) -> Limiter:
    """The limiter of an http worker, over another window than a minute."""
    return Limiter(module.build(Settings.load(environ=environment), environment)._windows, seconds)


def unchecked() -> float:
    return REGISTRY.get_sample_value("tenure_rate_limit_unchecked_total") or 0


async def passes(limiter: Limiter, times: int, key: str = "k", per_minute: int = 5) -> list[int | None]:
    return await asyncio.gather(*[limiter.check(key, "native", per_minute) for _ in range(times)])


HAMMER = """
import asyncio
from tenure.ingest import limiter, window, window_server
from tenure.settings import Settings

window.PATIENCE_SECONDS = window_server.PATIENCE_SECONDS = 20

async def hammer():
    mine = limiter.build(Settings.load())
    passed = 0
    for _ in range(10):
        answers = await asyncio.gather(*[mine.check("key", "customerscore", 200) for _ in range(30)])
        passed += answers.count(None)
    mine.measure()
    print(passed)

asyncio.run(hammer())
"""


def test_limit_is_exact_over_processes_that_hammer_at_once(environment: dict[str, str]) -> None:
    """Three processes send 900 requests together: 200 pass."""
    hammers = [
        subprocess.Popen(
            [sys.executable, "-c", HAMMER], env=module.os.environ | environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    assert sum(int(hammer.communicate(timeout=60)[0]) for hammer in hammers) == 200


def test_same_request_succeeds_after_the_told_time(environment: dict[str, str]) -> None:
    """By the real clock: refused, then let in once the told seconds are over."""

    async def story() -> None:
        limiter = built(environment, seconds=2)
        assert await passes(limiter, 3, per_minute=3) == [None] * 3
        wait = await limiter.check("k", "native", 3)
        assert wait in (1, 2, 3)
        await asyncio.sleep(wait)
        assert await limiter.check("k", "native", 3) is None

    asyncio.run(story())


def test_keys_and_dialects_are_counted_apart(environment: dict[str, str]) -> None:
    """What one key sends to one dialect takes nothing from another."""

    async def story() -> None:
        limiter = built(environment)
        for key, dialect in (("a", "native"), ("a", "whisperr"), ("b", "native")):
            assert await limiter.check(key, dialect, 1) is None
            assert await limiter.check(key, dialect, 1) is not None

    asyncio.run(story())


def test_counts_outlive_the_http_role(new_server: Callable[..., Server]) -> None:
    """Workers that are started again find the limit used up: the supervisor keeps the count."""
    server = new_server()

    def worker() -> Limiter:
        found = Path(f"/proc/{server.roles()['http']}/environ").read_text().split("\0")
        return built(dict(variable.split("=", 1) for variable in found if variable.startswith("TENURE_LIMITER_")))

    assert asyncio.run(passes(worker(), 6)).count(None) == 5
    server.kill_role("http")
    wait_for(lambda: "http" in server.roles())
    assert asyncio.run(passes(worker(), 6)).count(None) == 0


@settings(deadline=None)
@given(
    limit=st.integers(1, 4),
    steps=st.lists(st.tuples(st.sampled_from([0, 0.25, 1, 7.5, 30, 59.75, 60, 60.25, 200]), st.sampled_from("ab"))),
)
def test_window_lets_in_exactly_what_the_last_minute_leaves(limit: int, steps: list[tuple[float, str]]) -> None:
    """A use is let in exactly when less than the limit were within the last 60 seconds; what is told holds true."""
    clock = Clock()
    windows = MemoryWindows(clock)
    uses: dict[str, list[float]] = {"a": [], "b": []}
    for seconds, key in steps:
        clock.now += seconds
        recent = [at for at in uses[key] if at > clock.now - 60]
        wait = windows.use(key, limit, 60)
        assert (wait == 0) == (len(recent) < limit)
        if wait == 0:
            uses[key].append(clock.now)
            continue
        assert recent[-limit] + 60 <= clock.now + wait < recent[-limit] + 61
        assert wait <= 60
        clock.now += wait
        assert windows.use(key, limit, 60) == 0
        uses[key].append(clock.now)


def test_keys_that_are_no_longer_used_leave_the_memory() -> None:
    """A minute after its last use nothing is kept of a key."""
    clock = Clock()
    windows = MemoryWindows(clock)
    for number in range(100):
        windows.use(f"key {number}", 5, 60)
    assert len(windows) == 100
    clock.now += 60
    windows.use("another", 5, 60)
    windows.sweep()
    assert len(windows) == 1


def test_a_clock_that_was_ahead_is_no_reason_to_wait_longer_than_the_window(tmp_path: Path) -> None:
    """Uses in Redis have the times of the node that made them."""
    with redis(tmp_path, free_port()) as url:
        limiter = built({"TENURE_RATE_LIMIT_URL": url})

        async def story() -> int | None:
            with mock.patch("time.time", return_value=time.time() + 3_600):
                assert await passes(limiter, 5) == [None] * 5
            return await limiter.check("k", "native", 5)

        assert asyncio.run(story()) == 60


@pytest.mark.parametrize("scheme", ["supervisor", "redis"])
def test_requests_pass_when_nobody_counts(scheme: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing listens where the counts should be: each request passes, is counted as unchecked, and once in the log."""
    port = free_port()
    environment = {"TENURE_LIMITER_PORT": str(port), "TENURE_LIMITER_SECRET": SECRET}
    if scheme == "redis":
        environment = {"TENURE_RATE_LIMIT_URL": f"redis://:hunter2@127.0.0.1:{port}/0"}
    limiter, before = built(environment), unchecked()
    assert asyncio.run(passes(limiter, 10)) == [None] * 10
    limiter.measure()
    assert unchecked() - before == 10
    asyncio.run(passes(limiter, 1))
    limiter.measure()
    logged = capsys.readouterr().out
    assert logged.count("does not answer") == 1
    assert "hunter2" not in logged


def test_requests_pass_when_the_answer_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that listens and says nothing is not waited for long, and not asked again at once."""
    monkeypatch.setattr(window_server, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(module, "PAUSE_SECONDS", 20)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        limiter = Limiter(ServedWindows(silent.getsockname()[1], SECRET))

        async def story() -> None:
            assert await passes(limiter, 10) == [None] * 10
            assert await passes(limiter, 10) == [None] * 10

        asyncio.run(story())
        silent.accept()[0].close()
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):
            silent.accept()


def test_clients_come_back_to_a_server_that_was_started_again() -> None:
    """While it is away requests pass; then the limit holds again, from the beginning."""

    async def refused(limiter: Limiter) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while await limiter.check("k", "native", 5) is None:
                await asyncio.sleep(0.01)

    async def story(port: int) -> None:
        server = contextlib.ExitStack()
        await asyncio.to_thread(server.enter_context, serving(port))
        limiter = Limiter(ServedWindows(port, SECRET))
        assert (await passes(limiter, 6)).count(None) == 5
        await asyncio.to_thread(server.close)
        assert await passes(limiter, 6) == [None] * 6
        await asyncio.to_thread(server.enter_context, serving(port))
        await refused(limiter)
        await asyncio.to_thread(server.close)

    asyncio.run(story(free_port()))


def test_clients_come_back_to_a_redis_that_was_started_again(tmp_path: Path) -> None:
    """As with the supervisor's."""
    port = free_port()
    limiter = built({"TENURE_RATE_LIMIT_URL": f"redis://127.0.0.1:{port}/0"})

    async def story() -> None:
        with redis(tmp_path, port):
            assert (await passes(limiter, 6)).count(None) == 5
        assert await passes(limiter, 6) == [None] * 6
        with redis(tmp_path, port):
            async with asyncio.timeout(WAIT_SECONDS):
                while await limiter.check("k", "native", 5) is None:
                    await asyncio.sleep(0.01)

    asyncio.run(story())


@pytest.mark.parametrize("said", [b"wrong\n1 60 key\n", b"x" * (LONGEST_SECRET + 1), b"\n", b"\xff\n"])
def test_server_does_not_talk_to_those_who_do_not_know_the_secret(said: bytes) -> None:
    """Another user of the machine is cut off without an answer, and the others are served on."""
    with serving() as port:
        with socket.create_connection(("127.0.0.1", port)) as stranger:
            stranger.settimeout(WAIT_SECONDS)
            stranger.sendall(said)
            with contextlib.suppress(ConnectionResetError):
                assert stranger.recv(100) == b""
        assert asyncio.run(passes(Limiter(ServedWindows(port, SECRET)), 6)).count(None) == 5


def test_request_that_is_given_up_leaves_the_others_their_answers() -> None:
    """A cancelled question does not shift the answers of those after it."""

    async def story(port: int) -> None:
        limiter = Limiter(ServedWindows(port, SECRET))
        assert await limiter.check("full", "native", 1) is None
        given_up = asyncio.create_task(limiter.check("free", "native", 1))
        others = [asyncio.create_task(limiter.check("full", "native", 1)) for _ in range(3)]
        await asyncio.sleep(0)
        given_up.cancel()
        assert all(isinstance(wait, int) for wait in await asyncio.gather(*others))

    with serving() as port:
        asyncio.run(story(port))


def test_refusal_says_when_to_come_back() -> None:
    """The error that an http worker answers with is a 429 with `Retry-After`."""
    error = RateLimited("slow down", retry_after=7)
    assert (error.status, error.code, error.retry_after) == (429, "rate_limited", 7)
