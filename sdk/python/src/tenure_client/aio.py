"""The client for asyncio: the same core; a task sends, and a disk is waited for in a thread."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import weakref
from collections.abc import Callable
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import httpx

from tenure_client.base import BaseClient, reply_of
from tenure_client.client import CLOSE_SECONDS
from tenure_client.clock import Clock
from tenure_client.core import Batch
from tenure_client.event import Attributes, Fields, Identifier
from tenure_client.options import Options, Tuning
from tenure_client.outcome import Fault, Reply
from tenure_client.report import Report

if TYPE_CHECKING:
    from typing_extensions import Unpack  # in typing from Python 3.11 on

P = ParamSpec("P")
T = TypeVar("T")


class AsyncClient(BaseClient):
    """`Client` for asyncio: the same options and the same calls, which are awaited. For one event loop.

    Use it with `async with`, or await `close()`: at the end of the program no loop is left to send in, and events in
    memory are then only reported as `unsent`. Raises `InvalidOptions`, `QueueFault`.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        queue_path: str | PathLike[str] | None = None,
        on_error: Callable[[Report], None] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Clock | None = None,
        **options: Unpack[Tuning],
    ) -> None:
        super().__init__(Options(base_url, key, queue_path, on_error=on_error, **options), clock)
        self._transport = transport
        self._renew()
        atexit.register(_abandoner(self))

    def _renew(self) -> None:
        self._http: httpx.AsyncClient | None = None
        self._turn = asyncio.Lock()  # held by the task that sends
        self._closing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    async def track(self, event: str, **fields: Unpack[Fields]) -> Identifier | None:
        """Queue an event, as `Client.track`. Raises `InvalidEvent`, `ClientClosed`."""
        return await self._add(*self._track(event, fields))

    async def identify(self, **fields: Unpack[Attributes]) -> Identifier | None:
        """Queue attributes, as `Client.identify`. Raises `InvalidEvent`, `ClientClosed`."""
        return await self._add(*self._identify(fields))

    async def flush(self, timeout: float = 30.0) -> int:
        """Send now; returns how many events remain, as `Client.flush`. Raises `QueueFault`."""
        self._core.resume()
        deadline = self._clock.monotonic() + timeout
        while (left := deadline - self._clock.monotonic()) > 0 and (step := await self._step(left)) is not None:
            if step >= left:
                break
            if step:
                await self._clock.asleep(step)
        self._wake_up()
        if self._final is not None:
            return self._final.queued
        return (await self._blocking(self._core.counts)).queued

    async def close(self, timeout: float = CLOSE_SECONDS) -> int:
        """Flush and stop; returns how many events were not sent, as `Client.close`. Raises `QueueFault`."""
        async with self._closing:
            if self._final is None:
                self._closed = True
                await self.flush(timeout)
                self._final = await self._blocking(self._core.close)
                if self._task is not None and self._task is not asyncio.current_task():
                    self._task.cancel()
                    await asyncio.wait([self._task])
                if self._http is not None:
                    await self._http.aclose()
                self._tell()
        return self._final.queued

    async def set_key(self, key: str) -> None:
        """Use this key from now on, and go on sending if the last one was refused. Raises `InvalidOptions`."""
        self._use_key(key)
        self._wake_up()

    async def __aenter__(self) -> AsyncClient:
        self._wake_up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def _add(self, message_id: Identifier, body: bytes) -> Identifier | None:
        kept = await self._blocking(self._core.add, message_id, body)
        self._tell()
        self._wake_up()
        return message_id if kept else None

    async def _blocking(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A call of the core, in a thread where it may have to wait for a disk."""
        if self._options.queue_path is None:
            return call(*args, **kwargs)
        return await asyncio.to_thread(call, *args, **kwargs)

    def _wake_up(self) -> None:
        if not self._options.background or self._closed:
            return
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="tenure-client")
        self._wake.set()

    async def _run(self) -> None:
        while True:
            wait = await self._work()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._wake.wait(), wait)
            self._wake.clear()

    async def _work(self) -> float | None:
        """Send all that is due; the seconds until more may be due, None when that needs a new event."""
        while (step := await self._step()) == 0:
            pass
        return step

    async def _step(self, seconds_left: float | None = None) -> float | None:
        """Send one batch, and then 0; or how long to wait for one. With `seconds_left`: as part of a flush."""
        try:
            await asyncio.wait_for(self._turn.acquire(), seconds_left)
        except asyncio.TimeoutError:
            return seconds_left
        try:
            step = await self._blocking(self._core.next, flushing=seconds_left is not None)
            if isinstance(step, Batch):
                answer = await self._send(step, seconds_left or self._options.timeout)
                await self._blocking(self._core.settle, step, answer)
                step = 0.0
        finally:
            self._turn.release()
        self._tell()
        return step

    async def _send(self, batch: Batch, seconds_left: float) -> Reply | Fault:
        try:
            if self._http is None:
                self._http = httpx.AsyncClient(transport=self._transport, follow_redirects=False)
            return reply_of(await self._http.post(**self._request(batch, seconds_left)))
        except Exception as fault:  # whatever a transport raises, the events are kept and the task lives
            return Fault(f"No answer from the server ({type(fault).__name__}). The events are kept and sent again.")


def _abandoner(client: AsyncClient) -> Callable[[], None]:
    reference = weakref.ref(client)

    def report() -> None:
        if (living := reference()) is not None and living._final is None:
            with contextlib.suppress(Exception):
                living._final = living._core.close()
                living._tell()

    return report
