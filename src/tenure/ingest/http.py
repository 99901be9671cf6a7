"""The ingest routes as a plain ASGI callable: four dialects, one path through `Intake`."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import structlog

from tenure import receipt as receipts
from tenure.control.keys import WHAT_TO_DO, Key
from tenure.errors import BadRequest, MethodNotAllowed, Refused, TooLarge
from tenure.ingest.body import BodyReader, ClientGone
from tenure.ingest.intake import MAX_IDEMPOTENCY_KEY, Intake
from tenure.wire import registry
from tenure.wire.dialect import Operation, Reply
from tenure.wire.warnings import with_warnings

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]

log = structlog.get_logger()

RECEIPT_HEADER = b"tenure-receipt"
UNVERIFIED_HEADER = b"tenure-unverified"
"""On the answer to what is taken and counts for nothing until its sender is verified: what to do about it."""

USUAL_HEADERS = "content-type, x-api-key, authorization, x-whisperr-sdk, x-ck-api-key, x-ck-app, idempotency-key"
"""What a preflight that does not say is told that it may send."""
ASKED_HEADERS = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,4096}")
CROSS_ORIGIN: list[Header] = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"Retry-After, Tenure-Receipt"),
]
JSON: Header = (b"content-type", b"application/json")


class Ingest:
    """Answers every ingest path of every dialect."""

    def __init__(self, intake: Intake) -> None:
        self.intake = intake
        self.bodies = BodyReader()

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Answer a request on an ingest path; False when it is on another, and nothing was done."""
        headers = _headers(scope)
        operation = registry.find(scope["path"], headers)
        if operation is None:
            return False
        await self._answer(operation, headers, scope, receive, send)
        return True

    async def _answer(
        self, operation: Operation, sent: dict[str, str], scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Never raises: what is not foreseen is a logged 500."""
        if scope["method"] == "OPTIONS":
            await _send(send, Reply(204, b""), preflight(sent))
            return
        receipt = receipts.new()
        headers = [JSON, (RECEIPT_HEADER, receipt.encode()), *CROSS_ORIGIN]
        try:
            reply = await self._take(operation, sent, scope["method"], receive, receipt)
        except Refused as error:
            reply = Reply(error.status, operation.error(error))
            headers += _refusal_headers(error)
        except ClientGone:  # answered all the same: one whose chunks were malformed is there still
            cut_off = BadRequest("the body ended before it was complete", code="incomplete_body")
            reply = Reply(cut_off.status, operation.error(cut_off))
        except Exception:
            log.exception("ingest failed", receipt=receipt, path=operation.path)
            unforeseen = _Unforeseen("something failed here that should not have; the receipt finds it in the logs")
            reply = Reply(500, operation.error(unforeseen))
        if reply.held_back:
            headers.append((UNVERIFIED_HEADER, WHAT_TO_DO.encode()))
        self.intake.count_request(operation.dialect, reply.status)
        await _send(send, reply, headers)

    async def _take(
        self, operation: Operation, headers: dict[str, str], method: str, receive: Receive, receipt: str
    ) -> Reply:
        try:
            key, body = await self._authenticate(operation, headers, method, receive)
        except Refused as error:
            self.intake.turn_away(operation, headers, error)
            raise
        try:
            if body is None:
                body = await self.bodies.read(headers, receive, operation.max_bytes)
            idempotency_key = _idempotency_key(headers.get("idempotency-key"))
            decoded = operation.decode(body, time.time_ns() // 1_000_000)
            taken = await self.intake.keep(operation, key, decoded, receipt, idempotency_key)
        except Refused as error:
            log.info("request refused", receipt=receipt, app=key.app, key=key.prefix, path=operation.path,
                     status=error.status, code=error.code, field=error.field, index=error.index)  # fmt: skip
            if error.status < 500:
                await self.intake.keep_refusal(operation, key, error, receipt)
            raise
        log.debug("request taken", receipt=receipt, app=key.app, key=key.prefix, events=len(decoded.events),
                  identifies=len(decoded.identifies), refusals=len(decoded.refusals))  # fmt: skip
        reply = with_warnings(operation.reply(taken), taken)
        return reply._replace(held_back=taken.entry.holds_back)

    async def _authenticate(
        self, operation: Operation, headers: dict[str, str], method: str, receive: Receive
    ) -> tuple[Key, bytes | None]:
        """Who sends, once that one may; and the body, where it had to be read for that."""
        try:
            if method != operation.method:
                raise MethodNotAllowed(f"this path takes {operation.method} alone", allow=operation.method)
            credentials = operation.credentials(headers)
            if credentials.signature is None:
                key = self.intake.authenticate(operation, credentials)
                await self.intake.admit(operation, key, headers.get("origin"))
                return key, None
        except Refused:
            await self.bodies.discard(headers, receive, operation.max_bytes)
            raise
        body = await self.bodies.read(headers, receive, operation.max_bytes)
        key = await self.intake.authenticate_signed(credentials, body)
        await self.intake.admit(operation, key, headers.get("origin"))
        return key, body


def preflight(asked: dict[str, str]) -> list[Header]:
    """The headers of the answer to a browser that asks what a page of another origin may send.

    It may send any header: tools for tracing add theirs to every request of a page, and there are no cookies here to
    protect.
    """
    wanted = asked.get("access-control-request-headers", "").strip()
    allowed = wanted if ASKED_HEADERS.fullmatch(wanted) else USUAL_HEADERS
    headers = [
        (b"access-control-allow-origin", b"*"),
        (b"access-control-allow-methods", b"POST, PATCH"),
        (b"access-control-allow-headers", allowed.encode()),
        (b"access-control-max-age", b"86400"),
        (b"vary", b"Access-Control-Request-Headers, Access-Control-Request-Private-Network"),
        (b"content-length", b"0"),
    ]
    if asked.get("access-control-request-private-network", "").lower() == "true":
        headers.append((b"access-control-allow-private-network", b"true"))
    return headers


class _Unforeseen(Refused):
    status = 500
    code = "internal_error"


def _idempotency_key(value: str | None) -> str | None:
    if value is None or value.strip() == "":
        return None
    if len(value) > MAX_IDEMPOTENCY_KEY:
        raise BadRequest(f"Idempotency-Key is over {MAX_IDEMPOTENCY_KEY} characters", field="Idempotency-Key")
    return value.strip()


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


def _refusal_headers(error: Refused) -> list[Header]:
    headers: list[Header] = []
    if error.retry_after is not None:
        headers.append((b"retry-after", str(error.retry_after).encode()))
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", error.allow.encode()))
    if isinstance(error, TooLarge):  # what is left of the body is not read
        headers.append((b"connection", b"close"))
    return headers


async def _send(send: Send, reply: Reply, headers: list[Header]) -> None:
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
