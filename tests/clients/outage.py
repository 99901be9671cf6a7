"""A server that refuses with 503 for a real reason, until it is told to go on."""

from __future__ import annotations

import os
import signal

from tests.clients.arrivals import until
from tests.harness import Server, create_app, whisperr_events


class Outage:
    """A server that answers 503 because its journal is full, until `end`. Has an app with keys."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.keys = create_app(server.data)
        self._loader = server.roles()["loader"]
        os.kill(self._loader, signal.SIGSTOP)
        sent = 0
        for batch in (500, 20, 1):  # smaller and smaller, so that nothing else fits
            while self._send(sent, batch):
                sent += batch

    def end(self) -> None:
        """Let the server load what it has; returns when it accepts again."""
        os.kill(self._loader, signal.SIGCONT)
        until(lambda: self._send(0, 1), "the server accepts again")

    def refusals(self) -> int:
        """How many requests the server answered with 503 so far."""
        line = next(
            line
            for line in self.server.http.get("/metrics").text.splitlines()
            if line.startswith('tenure_requests_total{dialect="whisperr",status="503"}')
        )
        return int(float(line.split()[-1]))

    def _send(self, start: int, count: int) -> bool:
        headers = {"X-API-Key": self.keys["publishable_key"]}
        answer = self.server.http.post("/v1/events/batch", headers=headers, json=whisperr_events(start, count))
        assert answer.status_code in (202, 503), answer.text
        return answer.status_code == 202
