"""An HTTP server on loopback that answers as a contract case says, and a clock that does not wait."""

from __future__ import annotations

import email.message
import gzip
import http.client
import json
import socket
import struct
import threading
from typing import Any, BinaryIO

from tenure_client.clock import Clock

START = 1767323045.678  # 2026-01-02T03:04:05.678Z


class FakeClock(Clock):
    """Moves when somebody waits, at once; keeps the waits."""

    def __init__(self, server: ScriptedServer) -> None:
        self.now = 0.0
        self.waits: list[float] = []
        self._server = server

    def time(self) -> float:
        return START + self.now

    def monotonic(self) -> float:
        return 1000 + self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds + 1e-9
        self._server.attempt_failed()

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)


class Request:
    """One request as it came."""

    def __init__(self, stream: BinaryIO) -> None:
        self.method, self.path, _ = stream.readline().decode().split()
        self.headers: email.message.Message = http.client.parse_headers(stream)
        body = stream.read(int(self.headers["content-length"]))
        self.body = gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body
        self.events: list[dict[str, Any]] = json.loads(self.body)["events"]


class ScriptedServer:
    """Serves one connection after another, and gives the replies in order; then 202."""

    def __init__(self, replies: list[dict[str, Any]]) -> None:
        self.requests: list[Request] = []
        self._replies = list(replies)
        self._port = 0
        self._listener: socket.socket | None = None
        self._listen()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def attempt_failed(self) -> None:
        """The client waits: an attempt that met no listener is over."""
        if self._is_refusing():
            self._replies.pop(0)
            self._listen()

    def close(self) -> None:
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._thread.join()

    def _is_refusing(self) -> bool:
        return bool(self._replies) and self._replies[0].get("fault") == "refuse"

    def _listen(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._port))
        self._port = listener.getsockname()[1]
        if self._is_refusing():
            listener.close()
            return
        listener.listen()
        self._listener = listener
        self._thread = threading.Thread(target=self._serve, args=(listener,), daemon=True)
        self._thread.start()

    def _serve(self, listener: socket.socket) -> None:
        with listener:
            while self._listener is listener:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, connection.makefile("rb") as stream:
                    self._answer(connection, Request(stream))

    def _answer(self, connection: socket.socket, request: Request) -> None:
        self.requests.append(request)
        reply = self._replies.pop(0) if self._replies else {"status": 202}
        if self._is_refusing() and self._listener is not None:
            # Before the answer, so that the client's next attempt meets no listener.
            self._listener.close()
            self._listener = None
        match reply.get("fault"):
            case "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            case "hang":
                connection.recv(1)
            case "close":
                pass
            case _:
                connection.sendall(encoded(reply, len(request.events)))


def encoded(reply: dict[str, Any], events: int) -> bytes:
    """The bytes of a reply; a 2xx without a body of its own stores every event."""
    results = reply.get("results", [{"status": "stored_pending"}] * events)
    if "body" in reply:
        body = reply["body"]
    elif "json" in reply:
        body = json.dumps(reply["json"])
    elif 200 <= reply["status"] < 300:
        numbered = [{"index": index} | result for index, result in enumerate(results)]
        body = json.dumps({"receipt": "0" * 32, "results": numbered})
    else:
        body = ""
    headers = {"Content-Length": str(len(body.encode())), "Connection": "close"} | reply.get("headers", {})
    lines = [f"HTTP/1.1 {reply['status']} Scripted", *[f"{name}: {value}" for name, value in headers.items()]]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()
