"""Moving windows in memory for several processes: a server in the supervisor, which the http workers ask over loopback.

A client's first line is the secret of this start. Then each line is a question, `LIMIT SECONDS KEY`, and each line that
comes back is the answer to the next of them (see `window`).
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import deque
from hmac import compare_digest
from typing import cast

import structlog

from tenure.ingest.window import PATIENCE_SECONDS, MemoryWindows

log = structlog.get_logger()

SWEEP_SECONDS = 60
LONGEST_SECRET = 256


class WindowServer:
    """Answers in a thread of the process that starts it."""

    _windows: MemoryWindows

    def __init__(self, listener: socket.socket, secret: str) -> None:
        """`listener` listens already, on loopback; `stop` closes it."""
        self._secret = secret.encode()
        self._sessions: set[_Session] = set()
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(self._loop.create_server(self._session, sock=listener))
        self._thread = threading.Thread(target=self._run, name="windows", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and every connection."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        self._windows = MemoryWindows()
        self._sweep()
        self._loop.run_forever()
        self._server.close()
        for session in list(self._sessions):
            session.end()
        self._loop.run_until_complete(asyncio.sleep(0))  # in which the connections are closed
        self._loop.close()

    def _session(self) -> _Session:
        return _Session(self._windows, self._secret, self._sessions)

    def _sweep(self) -> None:
        self._windows.sweep()
        self._loop.call_later(SWEEP_SECONDS, self._sweep)


class _Session(asyncio.Protocol):
    """One client of the server."""

    _transport: asyncio.Transport

    def __init__(self, windows: MemoryWindows, secret: bytes, sessions: set[_Session]) -> None:
        self._windows = windows
        self._secret = secret
        self._sessions = sessions
        self._rest = b""
        self._known = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._sessions.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._sessions.discard(self)

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if lines and not self._known:
            self._known = compare_digest(lines.pop(0), self._secret)
            if not self._known:
                log.warning("connection to the rate limiter refused: it does not know the secret of this start")
                self.end()
                return
        if not self._known and len(self._rest) > LONGEST_SECRET:
            self.end()
        if lines:
            self._transport.writelines([b"%d\n" % self._answer(line) for line in lines])

    def end(self) -> None:
        self._transport.abort()

    def _answer(self, line: bytes) -> int:
        limit, seconds, key = line.decode().split(" ", 2)
        return self._windows.use(key, int(limit), int(seconds))


class ServedWindows:
    """The windows of a `WindowServer`, over one connection that is made when needed, and made again when lost."""

    def __init__(self, port: int, secret: str) -> None:
        self._port = port
        self._secret = secret.encode()
        self._line: _Line | None = None
        self._connecting = asyncio.Lock()

    async def ask(self, key: str, limit: int, seconds: int) -> int:
        """See `Windows.ask`."""
        line: _Line | None = None
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                line = await self._connected()
                return await line.ask(b"%d %d %s\n" % (limit, seconds, key.encode()))
        except TimeoutError:
            if line is not None:
                line.end()  # nobody would wait for what comes late
            raise

    async def _connected(self) -> _Line:
        async with self._connecting:
            if self._line is None or self._line.ended:
                loop = asyncio.get_running_loop()
                _, self._line = await loop.create_connection(lambda: _Line(self._secret), "127.0.0.1", self._port)
            return self._line


class _Line(asyncio.Protocol):
    """One connection to the server. Questions wait for their answers in the order in which they were asked."""

    _transport: asyncio.Transport

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._waiting: deque[asyncio.Future[int]] = deque()
        self._unsent: list[bytes] = []
        self._rest = b""
        self.ended = False

    async def ask(self, question: bytes) -> int:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[int] = loop.create_future()
        self._waiting.append(answer)
        if not self._unsent:
            loop.call_soon(self._send)  # with all that is asked in this turn of the loop
        self._unsent.append(question)
        return await answer

    def _send(self) -> None:
        self._transport.writelines(self._unsent)
        self._unsent = []

    def end(self) -> None:
        self.ended = True
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._secret + b"\n")

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            answer = self._waiting.popleft()
            if not answer.done():  # its request may have been given up
                answer.set_result(int(line))

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        for answer in self._waiting:
            if not answer.done():
                answer.set_exception(ConnectionResetError("the rate limiter closed the connection"))
