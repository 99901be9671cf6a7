"""How much a form may hold: it is read into memory before anybody is asked who they are."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tenure.web.body import MAX_BODY


class BodyLimit:
    """Refuses a request whose body is larger than `MAX_BODY` bytes, as soon as it is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application within does."""
        read = 0

        async def limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > MAX_BODY:
                raise HTTPException(413, f"this is more than the {MAX_BODY:,} bytes that a form may hold")
            return message

        await self._app(scope, limited, send)
