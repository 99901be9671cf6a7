"""For the tests of programs that use a client: a transport that keeps events instead of sending them.

    fake = FakeTransport()
    client = Client("http://tenure.test", "sk_test", transport=fake, background=False)
    client.track("signed_up", customer_id="cus_1")
    client.flush()
    assert fake.events[0]["event"] == "signed_up"

It serves `Client` and `AsyncClient`.
"""

from __future__ import annotations

import gzip
import json
from typing import Any

import httpx


class FakeTransport(httpx.MockTransport):
    """Answers as a server that stores everything. `events`: what it was given, in order, each message id once."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.events: list[dict[str, Any]] = []
        self.requests: list[httpx.Request] = []
        self._failures: list[tuple[int | None, dict[str, str]]] = []

    def fail(self, status: int | None = 503, *, times: int = 1, retry_after: int | None = None) -> None:
        """Let the next `times` requests fail: with `status`, or without an answer when it is None."""
        headers = {} if retry_after is None else {"retry-after": str(retry_after)}
        self._failures += [(status, headers)] * times

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self._failures:
            status, headers = self._failures.pop(0)
            if status is None:
                raise httpx.ConnectError("FakeTransport was told to fail.", request=request)
            return httpx.Response(status, headers=headers)
        body = gzip.decompress(request.content) if "content-encoding" in request.headers else request.content
        known = {event["message_id"] for event in self.events}
        results = []
        for index, event in enumerate(json.loads(body)["events"]):
            is_known = event["message_id"] in known
            results.append({"index": index, "status": "duplicate" if is_known else "stored_pending"})
            if not is_known:
                known.add(event["message_id"])
                self.events.append(event)
        return httpx.Response(202, json={"receipt": "0" * 32, "results": results})
