"""What the contract leaves to each language: threads, tasks, processes, and the end of a program."""

from __future__ import annotations

import asyncio
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from scripted import ScriptedServer

from tenure_client import AsyncClient, Client, InvalidOptions, Report
from tenure_client.options import Options, Tuning

Program = Callable[..., "subprocess.Popen[str]"]


def delivered(server: ScriptedServer) -> Counter[str]:
    """How often each message id was sent."""
    return Counter(event["message_id"] for request in server.requests for event in request.events)


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def finished(process: subprocess.Popen[str]) -> str:
    """What the program printed; it must have ended well."""
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    return output


def test_the_background_sends_by_itself(server: ScriptedServer) -> None:
    """Without flush or close an event is sent once flush_interval has passed."""
    with Client(server.url, "sk", flush_interval=0.01) as client:
        sent = client.track("feature_used", customer_id="cus_1")
        wait_until(lambda: client.counts.delivered == 1)
        assert delivered(server) == {sent: 1}


def test_the_background_of_asyncio_sends_by_itself(server: ScriptedServer) -> None:
    """The same for AsyncClient."""

    async def main() -> None:
        async with AsyncClient(server.url, "sk", flush_interval=0.01) as client:
            sent = await client.track("feature_used", customer_id="cus_1")
            while client.counts.delivered == 0:
                await asyncio.sleep(0.01)
            assert delivered(server) == {sent: 1}

    asyncio.run(asyncio.wait_for(main(), 20))


@pytest.mark.parametrize("on_disk", [False, True])
def test_many_threads(server: ScriptedServer, tmp_path: Path, on_disk: bool) -> None:
    """Events of several threads, with flushes between them, are each delivered once."""
    queue = tmp_path / "queue.db" if on_disk else None
    with Client(server.url, "sk", queue_path=queue, flush_interval=0) as client:

        def work() -> None:
            for n in range(60):
                client.track("feature_used", customer_id="cus_1", properties={"n": n})
            client.flush()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert client.counts.queued == 0
    assert sorted(delivered(server).values()) == [1] * 240


def test_many_tasks(server: ScriptedServer, tmp_path: Path) -> None:
    """Events of several tasks, on disk, are each delivered once."""

    async def main() -> None:
        async with AsyncClient(server.url, "sk", queue_path=tmp_path / "queue.db", flush_interval=0) as client:
            await asyncio.gather(*[client.track("feature_used", customer_id=n) for n in range(100)])
            await asyncio.gather(client.flush(), client.flush())

    asyncio.run(asyncio.wait_for(main(), 20))
    assert sorted(delivered(server).values()) == [1] * 100


def test_the_end_of_the_program_closes_the_client(server: ScriptedServer, program: Program) -> None:
    """A program that neither flushes nor closes delivers what it tracked."""
    script = "c = Client(url, 'sk', flush_interval=60)\nsay(c.track('signed_up', customer_id='cus_1'))"
    message_id = finished(program(script)).strip()
    assert delivered(server) == {message_id: 1}


def test_an_asyncio_client_that_was_not_closed_says_so(program: Program) -> None:
    """A program that forgets to close an AsyncClient reads in its log how many events were lost."""
    script = """
import asyncio
async def main():
    global client
    client = AsyncClient(url, 'sk', flush_interval=60)
    await client.track('signed_up', customer_id='cus_1')
asyncio.run(main())
"""
    process = program(script)
    _, errors = process.communicate(timeout=30)
    assert "unsent" in errors


FORK = """
client = Client(url, 'sk', queue_path=queue, flush_interval=0.01)
say(client.track('before', customer_id='cus_1'))
client.flush()
say(client.track('parent_left_this', customer_id='cus_1'))
pid = os.fork()
for n in range(50):
    say(client.track('after', customer_id='cus_1'))
if pid:
    assert os.waitpid(pid, 0)[1] == 0
"""


@pytest.mark.parametrize("on_disk", [False, True])
def test_fork(server: ScriptedServer, program: Program, tmp_path: Path, on_disk: bool) -> None:
    """After a fork both processes send what they tracked, with threads and connections of their own."""
    printed = finished(program(FORK, tmp_path / "queue.db" if on_disk else "")).split()
    assert len(printed) == 102
    assert set(delivered(server)) == set(printed)
    if not on_disk:  # where several processes send from one file, the server may see a copy; its message id is known
        assert set(delivered(server).values()) == {1}


def test_on_error_may_raise_and_may_close(server: ScriptedServer) -> None:
    """An exception in on_error does not end the sending, and on_error may close the client."""
    server._replies = [{"status": 400}, {"status": 202}, {"status": 400}]

    def on_error(report: Report) -> None:
        if closing:
            client.close(1)
        raise RuntimeError

    closing = False
    client = Client(server.url, "sk", on_error=on_error, flush_interval=0)
    client.track("refused", customer_id="cus_1")
    wait_until(lambda: client.counts.dropped == 1)
    client.track("stored", customer_id="cus_1")
    wait_until(lambda: client.counts.delivered == 1)
    closing = True
    client.track("refused", customer_id="cus_1")
    wait_until(lambda: client._final is not None)


def test_reports_are_logged_without_on_error(server: ScriptedServer, caplog: pytest.LogCaptureFixture) -> None:
    """Without on_error the logger `tenure_client` warns, and never shows the key."""
    server._replies = [{"status": 401}]
    with Client(server.url, "sk_private", background=False) as client:
        client.track("feature_used", customer_id="cus_1")
        assert client.flush() == 1
    assert "auth: The key was refused (401)" in caplog.text
    assert "sk_private" not in caplog.text


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": "tenure.example.com"},
        {"base_url": "ftp://tenure.example.com"},
        {"key": ""},
        {"key": "two words"},
        {"batch_size": 1001},
        {"batch_size": "many"},
        {"timeout": 10_000},
        {"batch_bytes": 6_000_000},
    ],
)
def test_options_out_of_range(options: dict[str, object]) -> None:
    """An option that cannot be used is an error when the client is made, and does not show the key."""
    given: dict[str, object] = {"base_url": "http://127.0.0.1:9", "key": "sk"} | options
    with pytest.raises(InvalidOptions) as error:
        Client(**given)  # type: ignore[arg-type]
    assert "two words" not in str(error.value)


def test_an_unknown_argument_is_a_type_error(server: ScriptedServer) -> None:
    """As everywhere in Python, a misspelt argument is a TypeError, of the client and of a call."""
    with pytest.raises(TypeError):
        Client(server.url, "sk", batchsize=1)  # type: ignore[call-arg]
    with Client(server.url, "sk", background=False) as client:
        with pytest.raises(TypeError, match="customer"):
            client.track("feature_used", customer="cus_1")  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="properties"):
            client.identify(customer_id="cus_1", traits={"plan": "pro"}, properties={})  # type: ignore[call-arg]


def test_typed_options_are_the_options() -> None:
    """What type checkers are told about the options is what there is."""
    others = {"base_url", "key", "queue_path", "on_error", "RANGES"}
    assert set(Tuning.__annotations__) == set(Options.__annotations__) - others
