"""Two small servers for pages: the host's site, and an ingest server that fails as it is told."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tenure.web import scripts

PATIENCE_SECONDS = 20
READY = "window.tenure && window.tenure.dropped >= 0"


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait until `condition` holds; fails with `what` when it does not come to that."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


class _Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address of a server with this handler, on a free loopback port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class Site:
    """The host's site: any page that a test puts on it, on an origin of its own."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[str, dict[str, str]]] = {}
        self.url = ""

    @contextmanager
    def running(self) -> Iterator[Site]:
        """Serve until the end of the block."""
        site = self

        class Handler(_Quiet):
            def do_GET(self) -> None:
                html, headers = site.pages.get(self.path.partition("?")[0], ("", {}))
                self.send(200 if html else 404, {"Content-Type": "text/html; charset=utf-8", **headers}, html.encode())

        with served(Handler) as self.url:
            yield self

    def put(self, body: str, path: str = "/", **headers: str) -> str:
        """Put a page on the site; returns its address. Header names have `_` for `-`."""
        html = f'<!doctype html><html lang="en"><title>Host</title>{body}'
        self.pages[path] = (html, {name.replace("_", "-"): value for name, value in headers.items()})
        return self.url + path


def tag(base: str, key: str = "pub_test", script: str = "tenure.js") -> str:
    """The script tag as documented."""
    return f'<script src="{base}/{script}" data-key="{key}" async></script>'


Plan = tuple[int, dict[str, str], dict[str, Any] | bytes]


class Scripted:
    """An ingest server that answers the next requests as planned, and accepts the rest.

    A plan is a status with headers and a body, or `RESET`. Answers wait while `free` is not set.
    """

    RESET: Plan = (0, {}, {})

    def __init__(self) -> None:
        self.plan: deque[Plan] = deque()
        self.requests: list[tuple[dict[str, str], Any]] = []
        self.free = threading.Event()
        self.free.set()
        self.url = ""

    @contextmanager
    def running(self) -> Iterator[Scripted]:
        """Serve until the end of the block."""
        scripted = self
        cross_origin = {
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Allow-Headers": "content-type, x-api-key, x-ck-app",
            "Access-Control-Expose-Headers": "Retry-After, Tenure-Receipt",
            "Access-Control-Max-Age": "600",
        }

        class Handler(_Quiet):
            def do_GET(self) -> None:
                text = scripts.joined("queue.js", self.path.removeprefix("/"))
                self.send(200, {"Content-Type": "text/javascript"}, text.encode())

            def do_OPTIONS(self) -> None:
                self.send(204, cross_origin, b"")

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, headers, answer = scripted.plan.popleft() if scripted.plan else (202, {}, accepted(body))
                scripted.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
                scripted.free.wait(PATIENCE_SECONDS)
                if status == 0:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                else:
                    self.send(
                        status,
                        cross_origin | headers,
                        answer if isinstance(answer, bytes) else json.dumps(answer).encode(),
                    )

        with served(Handler) as self.url:
            yield self

    @property
    def elements(self) -> list[dict[str, Any]]:
        """Every element of every request, in the order of arrival."""
        return [element for _, body in self.requests for element in body["events"]]

    def wait_for(self, count: int) -> None:
        """Wait until this many requests have come."""
        wait_until(lambda: len(self.requests) >= count, f"{len(self.requests)} of {count} requests came")


def accepted(body: Any) -> dict[str, Any]:
    """What the native route answers when all is well."""
    if "events" not in body:
        return {"status": "success", "verified": False}
    return {
        "receipt": "0" * 32,
        "results": [{"index": n, "status": "stored_pending"} for n in range(len(body["events"]))],
    }
