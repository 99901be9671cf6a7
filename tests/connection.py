"""HTTP/1.1 written by hand on a socket: what no client library would send."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from http.client import HTTPMessage, parse_headers
from types import TracebackType
from typing import Any, NamedTuple

from tests.harness import Server


class Answer(NamedTuple):
    """One response as it stood on the wire."""

    version: str
    status: int
    headers: HTTPMessage
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Connection:
    """One connection to a server; what is sent is sent as it stands."""

    def __init__(self, server: Server) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        self._from = self.socket.makefile("rb")

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._from.close()
        self.socket.close()

    def send(self, *parts: bytes) -> None:
        """Write these bytes."""
        self.socket.sendall(b"".join(parts))

    def answer(self, method: str = "POST") -> Answer:
        """The next response, which has a Content-Length or no body. AssertionError when there is none."""
        line = self._from.readline().decode()
        assert line, "the connection was closed instead of an answer"
        version, status, *_ = line.split(" ")
        headers = parse_headers(self._from)
        empty = method == "HEAD" or int(status) < 200 or int(status) == 204
        assert empty or "content-length" in headers
        return Answer(version, int(status), headers, b"" if empty else self._from.read(int(headers["content-length"])))

    def is_closed(self) -> bool:
        """Wait for the server to close; False when it sends something instead."""
        return self._from.read(1) == b""


def request(
    path: str, headers: Mapping[str, str], body: bytes | None = b"", *, method: str = "POST", version: str = "1.1"
) -> bytes:
    """A request; `body` None leaves out its length."""
    length = {} if body is None else {"Content-Length": str(len(body))}
    lines = [f"{name}: {value}" for name, value in ({"Host": "localhost"} | dict(headers) | length).items()]
    return "\r\n".join([f"{method} {path} HTTP/{version}", *lines, "", ""]).encode() + (body or b"")


def exchange(server: Server, sent: bytes, method: str = "POST") -> Answer:
    """The answer to one request on a connection of its own."""
    with Connection(server) as connection:
        connection.send(sent)
        return connection.answer(method)
