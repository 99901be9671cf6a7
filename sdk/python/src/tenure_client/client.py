"""The client for programs with threads: calls return at once, a thread of its own sends."""

from __future__ import annotations

import atexit
import contextlib
import threading
import weakref
from collections.abc import Callable
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING

import httpx

from tenure_client.base import BaseClient, reply_of
from tenure_client.clock import Clock
from tenure_client.core import Batch
from tenure_client.event import Attributes, Fields, Identifier
from tenure_client.options import Options, Tuning
from tenure_client.outcome import Fault, Reply
from tenure_client.report import Report

if TYPE_CHECKING:
    from typing_extensions import Unpack  # in typing from Python 3.11 on

CLOSE_SECONDS = 10.0


class Client(BaseClient):
    """Sends events to a Tenure at `base_url` with a secret or publishable key.

    With `queue_path`, track and identify return after the event is on disk, and what a crash leaves is sent by the next
    client of the same path. The other options are described in `tenure_client.options.Options`; `transport` is httpx's,
    and `clock` is for tests. At the end of the program the client closes itself. Safe to use from any thread.
    Raises `InvalidOptions`, `QueueFault`.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        queue_path: str | PathLike[str] | None = None,
        on_error: Callable[[Report], None] | None = None,
        transport: httpx.BaseTransport | None = None,
        clock: Clock | None = None,
        **options: Unpack[Tuning],
    ) -> None:
        super().__init__(Options(base_url, key, queue_path, on_error=on_error, **options), clock)
        self._transport = transport
        self._renew()
        self._at_exit = _closer(self)
        atexit.register(self._at_exit)
        if self._core.counts().queued:
            self._wake_up()

    def _renew(self) -> None:
        self._http: httpx.Client | None = None
        self._closing = threading.RLock()
        self._turn = threading.Lock()  # held by the thread that sends
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._wake = threading.Event()

    def track(self, event: str, **fields: Unpack[Fields]) -> Identifier | None:
        """Queue an event of the customer that at least one of customer_id, uid, email, anonymous_id names.

        Further arguments: user, properties, traits, context, occurred_at (default: now), message_id (default: a new
        one), auth_hash. Returns the message id; None when the event was dropped, which was reported (`queue_full`,
        `disk`). Raises `InvalidEvent`, `ClientClosed`.
        """
        return self._add(*self._track(event, fields))

    def identify(self, **fields: Unpack[Attributes]) -> Identifier | None:
        """Queue attributes (`traits`, or `user` with traits) of a customer, without an event. Otherwise as `track`."""
        return self._add(*self._identify(fields))

    def flush(self, timeout: float = 30.0) -> int:
        """Send now. Returns how many events remain: 0, or more when it is sure that `timeout` seconds do not suffice.

        After a refused key this tries once more. Raises `QueueFault`.
        """
        self._core.resume()
        deadline = self._clock.monotonic() + timeout
        while (left := deadline - self._clock.monotonic()) > 0 and (step := self._step(left)) is not None:
            if step >= left:
                break
            if step:
                self._clock.sleep(step)
        self._wake_up()
        return self.counts.queued

    def close(self, timeout: float = CLOSE_SECONDS) -> int:
        """Flush and stop. Returns how many events were not sent; those in memory are lost and reported as `unsent`.

        May be called again. Raises `QueueFault`.
        """
        with self._closing:
            if self._final is None:
                self._closed = True
                deadline = self._clock.monotonic() + timeout
                self.flush(timeout)
                self._final = self._core.close()
                self._wake.set()
                if self._thread is not None and self._thread is not threading.current_thread():
                    self._thread.join(max(0.0, deadline - self._clock.monotonic()))
                if self._http is not None and self._turn.acquire(blocking=False):
                    self._http.close()
                    self._turn.release()
                atexit.unregister(self._at_exit)
                self._tell()
        return self._final.queued

    def set_key(self, key: str) -> None:
        """Use this key from now on, and go on sending if the last one was refused. Raises `InvalidOptions`."""
        self._use_key(key)
        self._wake_up()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _add(self, message_id: Identifier, body: bytes) -> Identifier | None:
        kept = self._core.add(message_id, body)
        self._tell()
        self._wake_up()
        return message_id if kept else None

    def _wake_up(self) -> None:
        if not self._options.background or self._closed:
            return
        if self._thread is None:
            with self._starting:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="tenure-client", daemon=True)
                    self._thread.start()
        self._wake.set()

    def _run(self) -> None:
        while self._final is None:
            wait = self._work()
            self._wake.wait(wait)
            self._wake.clear()

    def _work(self) -> float | None:
        """Send all that is due; the seconds until more may be due, None when that needs a new event."""
        while (step := self._step()) == 0:
            pass
        return step

    def _step(self, seconds_left: float | None = None) -> float | None:
        """Send one batch, and then 0; or how long to wait for one. With `seconds_left`: as part of a flush."""
        if not self._turn.acquire(timeout=-1 if seconds_left is None else seconds_left):
            return seconds_left
        try:
            step = self._core.next(flushing=seconds_left is not None)
            if isinstance(step, Batch):
                self._core.settle(step, self._send(step, seconds_left or self._options.timeout))
                step = 0.0
        finally:
            self._turn.release()
        self._tell()
        return step

    def _send(self, batch: Batch, seconds_left: float) -> Reply | Fault:
        try:
            if self._http is None:
                self._http = httpx.Client(transport=self._transport, follow_redirects=False)
            return reply_of(self._http.post(**self._request(batch, seconds_left)))
        except Exception as fault:  # whatever a transport raises, the events are kept and the thread lives
            return Fault(f"No answer from the server ({type(fault).__name__}). The events are kept and sent again.")


def _closer(client: Client) -> Callable[[], None]:
    reference = weakref.ref(client)

    def close() -> None:
        if (living := reference()) is not None:
            with contextlib.suppress(Exception):
                living.close()

    return close
