"""What stands between a client and a server, passes requests on, and loses the first answer to each."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

from tests.harness import Server

LEFT_OUT = frozenset({"host", "connection", "transfer-encoding", "content-length", "content-encoding"})


@contextmanager
def losing_replies(server: Server) -> Iterator[str]:
    """The base URL to send to."""
    seen: set[tuple[str, bytes]] = set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Pass it on; close the connection the first time, answer as the server did the second."""
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name: value for name, value in self.headers.items() if name.lower() not in LEFT_OUT}
            answer = httpx.post(server.url + self.path, content=body, headers=headers, timeout=30)
            if (self.path, body) not in seen:
                seen.add((self.path, body))
                self.close_connection = True
                return
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name.lower() not in LEFT_OUT:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=proxy.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{proxy.server_port}"
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()
