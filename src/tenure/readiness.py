"""Whether an http worker can accept events: what `/readyz` says, and how it is said before the read API is built.

A load balancer sends nobody until `/readyz` says yes. So `/readyz` and `/healthz` are answered as soon as events are
taken, by the same rule as later.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tenure.errors import Refused, Unavailable
from tenure.ingest.http import Scope, Send
from tenure.ingest.intake import Intake
from tenure.journal import RETRY_SECONDS
from tenure.watch import Watch

ALIVE = {"status": "alive"}


async def readiness(intake: Intake, watch: Watch) -> dict[str, Any]:
    """What `/readyz` answers when events are taken. Raises Unavailable when they are not."""
    reason = intake.journal.journal.refusing
    if reason is not None:
        raise Unavailable(reason, code="not_ready", retry_after=RETRY_SECONDS)
    waiting = watch.waiting
    loading = {
        "behind_seconds": round(waiting.lag_seconds, 1),
        "requests": waiting.requests,
        "bytes": waiting.bytes,
        "stopped": watch.loading_stopped,
    }
    incidents = [incident.as_json() for incident in await watch.incidents()]
    return {"status": "ready", "loading": loading, "incidents": incidents}


async def answer_early(scope: Scope, send: Send, intake: Intake, watch: Watch) -> bool:
    """Answer GET `/healthz` and `/readyz` without the read API; False for anything else."""
    if scope["method"] != "GET" or scope["path"] not in ("/healthz", "/readyz"):
        return False
    status, headers = 200, [(b"content-type", b"application/json"), (b"x-content-type-options", b"nosniff")]
    try:
        body: dict[str, Any] = ALIVE if scope["path"] == "/healthz" else await readiness(intake, watch)
    except Refused as error:
        status, body = error.status, {"error": error.code, "message": error.message}
        headers.append((b"retry-after", str(error.retry_after).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": msgspec.json.encode(body)})
    return True
