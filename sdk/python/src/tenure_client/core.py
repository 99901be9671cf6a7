"""When to send what, and what becomes of it: one state machine for threads and for asyncio, without I/O of its own.

A client asks `next`, sends the batch that it is given, and tells the answer to `settle`. At most one batch is under
way, and it stays the same until it is resolved, so nothing overtakes anything. Methods may be called from any thread.
"""

from __future__ import annotations

import gzip
import random
import threading
from collections import deque
from dataclasses import dataclass, replace

from tenure_client.clock import Clock
from tenure_client.errors import QueueFault
from tenure_client.options import Options
from tenure_client.outcome import Fault, Outcome, Reply, judge
from tenure_client.queue import Item, Queue
from tenure_client.report import Counts, Kind, Report

ENVELOPE = (b'{"events":[', b"]}")
POLL_SECONDS = 0.1
"""How soon, at the earliest, to ask again whether this process may send from a shared file."""


@dataclass(frozen=True)
class Batch:
    """Events of one request."""

    items: list[Item]
    body: bytes
    is_gzip: bool


class Core:
    """The queue, the batch under way, and when to go on. `reports` fills up for the client to pass on."""

    def __init__(self, options: Options, queue: Queue, clock: Clock) -> None:
        self.reports: deque[Report] = deque()
        self._options = options
        self._queue = queue
        self._clock = clock
        self._delivered = 0
        self._dropped = 0
        self._closed = False
        self._reset()
        # What an earlier process left is due at once.
        self._due: float | None = clock.monotonic() if queue.size()[0] else None

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._batch: Batch | None = None
        self._sizes: list[int] = []  # of the next batches, the last first, after a 413
        self._failures = 0
        self._not_before = float("-inf")
        self._paused = False
        self._due = None

    def add(self, message_id: str | int, body: bytes) -> bool:
        """Queue one event; False when it was dropped, with a report. Raises nothing."""
        with self._lock:
            try:
                if self._queue.size()[1] + len(body) > self._options.max_queue_bytes:
                    self._drop("queue_full", "The queue is full (max_queue_bytes). The event was dropped.", message_id)
                    return False
                self._queue.append(body)
            except QueueFault as fault:
                self._drop("disk", f"{fault} The event was dropped.", message_id)
                return False
            if self._due is None:
                self._due = self._clock.monotonic() + self._options.flush_interval
            return True

    def next(self, *, flushing: bool = False) -> Batch | float | None:
        """A batch to send now; or the seconds until there may be one; or None: nothing until something changes."""
        with self._lock:
            if self._closed or self._paused:
                return None
            try:
                return self._next(flushing)
            except QueueFault as fault:
                wait = self._fail(None)
                self.reports.append(Report("disk", str(fault), 0, retry_in=wait))
                return wait

    def _next(self, flushing: bool) -> Batch | float | None:
        now = self._clock.monotonic()
        events, size = self._queue.size()
        if not events:
            return None
        if self._not_before > now:
            return self._not_before - now
        if self._due is None:
            self._due = now + self._options.flush_interval
        is_full = events >= self._options.batch_size or size >= self._options.batch_bytes
        if not (flushing or is_full or self._batch or self._sizes) and self._due > now:
            return self._due - now
        if not self._queue.claim():
            return max(self._options.flush_interval, POLL_SECONDS)
        if self._batch is None:
            self._batch = self._take()
        return self._batch

    def settle(self, batch: Batch, answer: Reply | Fault) -> None:
        """What became of a batch that `next` gave."""
        with self._lock:
            if self._closed or batch is not self._batch:
                return
            outcome = judge(answer, batch.items, self._clock.time())
            try:
                self._apply(outcome, batch)
            except QueueFault as fault:
                # The events are still in the file: they go out again, and their message ids keep them single.
                self._batch = None
                self.reports.append(Report("disk", str(fault), 0, retry_in=self._fail(None)))

    def _apply(self, outcome: Outcome, batch: Batch) -> None:
        reports = outcome.reports
        if outcome.action == "retry":
            wait = self._fail(outcome.retry_after)
            reports = tuple(replace(report, retry_in=wait) for report in reports)
        elif outcome.action == "pause":
            self._paused = True
        elif outcome.action == "split":
            half = len(batch.items) // 2
            self._sizes += [len(batch.items) - half, half]
            self._batch = None
        else:
            self._queue.remove(batch.items)
            self._batch = None
            self._due = None
            self._failures = 0
            self._dropped += outcome.dropped
            self._delivered += len(batch.items) - outcome.dropped
        self.reports.extend(reports)

    def resume(self) -> None:
        """End the pause that a refused key began."""
        with self._lock:
            self._paused = False

    def counts(self) -> Counts:
        """Events so far. Raises `QueueFault`."""
        with self._lock:
            return Counts(self._delivered, self._queue.size()[0], self._dropped)

    def close(self) -> Counts:
        """The last counts; nothing is done from now on. Events in memory that were not sent are reported."""
        with self._lock:
            counts = Counts(self._delivered, self._queue.size()[0], self._dropped)
            if counts.queued and not self._queue.shared:
                message = "The client was closed before these events could be sent. They are gone with the process."
                self.reports.append(Report("unsent", message, counts.queued))
            self._closed = True
            self._queue.close()
            return counts

    def before_fork(self) -> None:
        """Let no thread in until `after_fork`, and close what must not be open in two processes."""
        self._lock.acquire()
        self._queue.suspend()

    def after_fork(self, *, in_child: bool) -> None:
        """Go on. In the child: with an empty queue in memory, whose events are the parent's to send."""
        if not in_child:
            self._lock.release()
            return
        self._queue.start_child()
        self.reports.clear()
        self._delivered = self._dropped = 0
        self._reset()

    def _take(self) -> Batch:
        items = self._queue.head(self._sizes.pop() if self._sizes else self._options.batch_size)
        size = len(b"".join(ENVELOPE))
        for count, item in enumerate(items):
            size += len(item.body) + 1
            if count and size > self._options.batch_bytes:
                items = items[:count]
                break
        body = ENVELOPE[0] + b",".join(item.body for item in items) + ENVELOPE[1]
        is_gzip = len(body) >= self._options.gzip_bytes
        return Batch(items, gzip.compress(body, 6, mtime=0) if is_gzip else body, is_gzip)

    def _fail(self, retry_after: float | None) -> float:
        # Half of each step is chance, so that clients do not come back together. A server that asks for less than the
        # first step gets that step: no answer may make a busy loop.
        wait = self._step(self._failures)
        if retry_after is not None:
            wait = max(retry_after, self._step(0))
        self._failures += 1
        self._not_before = self._clock.monotonic() + wait
        return wait

    def _step(self, failures: int) -> float:
        step = min(self._options.backoff_base * 2.0 ** min(failures, 30), self._options.backoff_max)
        return step * random.uniform(0.5, 1)

    def _drop(self, kind: Kind, message: str, message_id: str | int) -> None:
        self._dropped += 1
        self.reports.append(Report(kind, message, 1, (message_id,)))
