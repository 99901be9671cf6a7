"""The reference: the same server doing nothing but decoding. No key is checked and nothing is kept."""

from __future__ import annotations

import time

from tenure import entry as entries
from tenure.ingest.body import BodyReader
from tenure.ingest.http import CROSS_ORIGIN, JSON, Receive, Scope, Send
from tenure.wire import registry
from tenure.wire.dialect import Reply, Taken

bodies = BodyReader()


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Read, decode, answer."""
    if scope["type"] == "lifespan":
        for kind in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{kind}.complete"})
        return
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    operation = registry.find(scope["path"], headers)
    reply = Reply(200, b"ready")
    if operation is not None:
        body = await bodies.read(headers, receive, operation.max_bytes)
        now = time.time_ns()
        decoded = operation.decode(body, now // 1_000_000)
        entry = entries.of(
            decoded,
            app="",
            receipt="",
            received_at=now // 1_000,
            dialect=operation.dialect,
            verified=True,
            key_prefix="",
        )
        reply = operation.reply(Taken(entry))
    await send({"type": "http.response.start", "status": reply.status, "headers": [JSON, *CROSS_ORIGIN]})
    await send({"type": "http.response.body", "body": reply.body})
