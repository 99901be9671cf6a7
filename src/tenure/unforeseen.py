"""The answer to a request whose answering failed in a way that nobody foresaw."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import msgspec

from tenure.ingest.http import Send

BODY = msgspec.json.encode(
    {"error": "internal_error", "message": "something failed here that should not have; the server's log says what"}
)


class Started:
    """Sends an answer, and knows whether it has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        """Send a part of the answer."""
        self.started = True
        await self._send(message)


async def answer_unforeseen(send: Send) -> None:
    """500, where no answer has begun."""
    headers = [(b"content-type", b"application/json"), (b"x-content-type-options", b"nosniff")]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})
