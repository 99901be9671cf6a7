"""Says on an answer of the read API that it may lack something, and why."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "Tenure-Incomplete"


class TellIncomplete:
    """Puts the ids of the incidents because of which an answer may be incomplete into its header `Tenure-Incomplete`.

    Whoever finds out which app a request reads leaves them in the state of the request (`access.reader`).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application within does."""

        async def with_header(message: Message) -> None:
            incomplete = scope.get("state", {}).get("incomplete")
            if message["type"] == "http.response.start" and incomplete:
                MutableHeaders(scope=message)[HEADER] = ", ".join(incomplete)
            await send(message)

        await self._app(scope, receive, with_header)
