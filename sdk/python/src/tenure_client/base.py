"""What the two clients have in common: everything but waiting and sending."""

from __future__ import annotations

import logging
import os
import weakref
from typing import Any

import httpx

from tenure_client import event
from tenure_client.clock import Clock
from tenure_client.core import Batch, Core
from tenure_client.disk import DiskQueue
from tenure_client.errors import ClientClosed
from tenure_client.options import Options, check_key
from tenure_client.outcome import Reply
from tenure_client.queue import MemoryQueue
from tenure_client.report import Counts

logger = logging.getLogger("tenure_client")


class BaseClient:
    """Options, the core, and what does not wait. The arguments are those of `Options`, and `clock` for tests."""

    def __init__(self, options: Options, clock: Clock | None) -> None:
        self._options = options
        self._clock = clock or Clock()
        queue = MemoryQueue() if options.queue_path is None else DiskQueue(options.queue_path)
        self._core = Core(options, queue, self._clock)
        self._final: Counts | None = None
        self._closed = False
        _clients.add(self)

    @property
    def counts(self) -> Counts:
        """Events delivered, queued and dropped so far. Raises `QueueFault` when the file cannot be read."""
        return self._final or self._core.counts()

    def _track(self, name: str, fields: event.Fields) -> tuple[str | int, bytes]:
        self._refuse_when_closed()
        return event.track(name, fields, self._clock.time())

    def _identify(self, fields: event.Attributes) -> tuple[str | int, bytes]:
        self._refuse_when_closed()
        return event.identify(fields, self._clock.time())

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise ClientClosed("The client is closed; make a new one.")

    def _use_key(self, key: str) -> None:
        check_key(key)
        self._options.key = key
        self._core.resume()

    def _request(self, batch: Batch, seconds_left: float) -> dict[str, Any]:
        """Arguments of httpx's `post`."""
        from tenure_client import __version__

        headers = {
            "content-type": "application/json",
            "x-api-key": self._options.key,
            "user-agent": f"tenure-client-python/{__version__}",
        }
        if batch.is_gzip:
            headers["content-encoding"] = "gzip"
        timeout = min(self._options.timeout, seconds_left)
        return {"url": self._options.url, "content": batch.body, "headers": headers, "timeout": timeout}

    def _tell(self) -> None:
        """Pass the reports on. Whatever on_error raises is logged: it must not end the sending."""
        while self._core.reports:
            report = self._core.reports.popleft()
            if self._options.on_error is None:
                logger.warning("%s: %s", report.kind, report.message)
                continue
            try:
                self._options.on_error(report)
            except Exception:
                logger.exception("on_error raised an exception")

    def _renew(self) -> None:
        """In a forked child: forget threads, tasks and connections, which are the parent's."""
        raise NotImplementedError


def reply_of(response: httpx.Response) -> Reply:
    """An answer as the core reads it."""
    return Reply(response.status_code, response.headers, response.content)


_clients: weakref.WeakSet[BaseClient] = weakref.WeakSet()
_forking: list[BaseClient] = []


def _before_fork() -> None:
    _forking.extend(_clients)
    for client in _forking:
        client._core.before_fork()


def _after_fork_in_parent() -> None:
    while _forking:
        _forking.pop()._core.after_fork(in_child=False)


def _after_fork_in_child() -> None:
    while _forking:
        client = _forking.pop()
        client._core.after_fork(in_child=True)
        client._renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
