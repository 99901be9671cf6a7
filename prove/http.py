"""A small HTTP client of the standard library: one connection, JSON in and out."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from typing import Any
from urllib.parse import quote, urlencode

TRANSPORT_ERRORS = (OSError, http.client.HTTPException)


class NoAnswer(Exception):
    """The server does not answer, or not with what was asked for."""


class Connection:
    """One kept connection; opened anew when it broke. Not for several threads."""

    def __init__(self, port: int, timeout: float = 30.0) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def ask(self, method: str, path: str, headers: dict[str, str], body: Any = None) -> tuple[int, Any, dict[str, str]]:
        """Return status, JSON body and headers. Raises OSError or HTTPException when there is no whole answer."""
        data = None if body is None else json.dumps(body).encode()
        kind = {"Content-Type": "application/json"} if data is not None else {}
        try:
            self._http.request(method, path, body=data, headers=headers | kind)
            answer = self._http.getresponse()
            content = answer.read()
        except BaseException:
            self.close()
            raise
        parsed = None
        with contextlib.suppress(ValueError):
            parsed = json.loads(content)
        return answer.status, parsed, {name.lower(): value for name, value in answer.getheaders()}

    def close(self) -> None:
        """Close the connection; the next question opens another."""
        self._http.close()


class Api:
    """The read API, with one app's keys; waits out restarts for a while."""

    def __init__(self, port: int, keys: dict[str, str], patience: float = 30.0) -> None:
        self._connection = Connection(port)
        self._keys = keys
        self._patience = patience

    def get(self, path: str, *, missing: Any = None, **parameters: Any) -> Any:
        """Return the JSON answer; `missing` in place of a 404. Raises NoAnswer when none comes in time."""
        query = f"?{urlencode(parameters)}" if parameters else ""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                status, answer, _ = self._connection.ask("GET", quote(path) + query, self._bearer("read_key"))
            except TRANSPORT_ERRORS as error:
                problem = f"GET {path}: {error!r}"
            else:
                if status == 200 and answer is not None:
                    return answer
                if status == 404 and missing is not None:
                    return missing
                problem = f"GET {path}: {status} {str(answer)[:200]}"
                if status in (401, 403):
                    raise NoAnswer(problem)
            if time.monotonic() > deadline:
                raise NoAnswer(problem)
            time.sleep(0.1)

    def loading_behind(self) -> bool:
        """Whether `/readyz` says that requests wait to be loaded; False when it says nothing of it."""
        try:
            answer = self._connection.ask("GET", "/readyz", {})[1]
        except TRANSPORT_ERRORS:
            return False
        return bool(isinstance(answer, dict) and answer.get("loading", {}).get("requests"))

    def erase(self, customer: str) -> str | None:
        """Ask for the erasure of a customer; returns its id, or None when that was not acknowledged."""
        try:
            status, answer, _ = self._connection.ask(
                "DELETE",
                quote(f"/v1/customers/uid:{customer}"),
                self._bearer("secret_key"),
            )
        except TRANSPORT_ERRORS:
            return None
        return str(answer["id"]) if status == 202 else None

    def erasure_done(self, erasure_id: str) -> bool:
        """Whether the certificate of an erasure says that it is done; False when there is no answer."""
        try:
            status, answer, _ = self._connection.ask("GET", f"/v1/erasures/{erasure_id}", self._bearer("read_key"))
        except TRANSPORT_ERRORS:
            return False
        return status == 200 and answer["state"] == "done"

    def _bearer(self, kind: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._keys[kind]}"}

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
