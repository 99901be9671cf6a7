"""Events that wait to be sent, oldest first: what every queue does, and the one in memory."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import Protocol


@dataclass(frozen=True)
class Item:
    """One event that waits; `key` rises with the order of the calls."""

    key: int
    body: bytes
    """The element as JSON."""

    @property
    def message_id(self) -> str | int:
        """As it is in the body."""
        message_id: str | int = json.loads(self.body)["message_id"]
        return message_id


class Queue(Protocol):
    """Where events wait. Called under the lock of the core, and never closed while a call runs.

    The queue in a file raises `QueueFault` from every method.
    """

    shared: bool
    """Whether other processes may use it too, and a call may have to wait for a disk."""

    def size(self) -> tuple[int, int]:
        """Events and bytes that wait."""

    def append(self, body: bytes) -> None:
        """Keep one event; when this returns it is as safe as the queue makes it."""

    def head(self, events: int) -> list[Item]:
        """The oldest, at most so many."""

    def remove(self, items: list[Item]) -> None:
        """Forget these; those that are gone already do not matter."""

    def claim(self) -> bool:
        """Become the one process that sends; False while another is."""

    def suspend(self) -> None:
        """Let go of what must not be open while the process forks; the next call opens it again."""

    def start_child(self) -> None:
        """In a process that was forked: events in memory are the parent's to send."""

    def close(self) -> None:
        """Let go of everything."""


class MemoryQueue:
    """In memory: gone with the process."""

    shared = False

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self._bytes = 0
        self._last_key = 0

    def size(self) -> tuple[int, int]:
        """Events and bytes that wait."""
        return len(self._items), self._bytes

    def append(self, body: bytes) -> None:
        """Keep one event until the process ends."""
        self._last_key += 1
        self._items.append(Item(self._last_key, body))
        self._bytes += len(body)

    def head(self, events: int) -> list[Item]:
        """The oldest, at most so many."""
        return list(islice(self._items, events))

    def remove(self, items: list[Item]) -> None:
        """Forget these, which are the oldest."""
        for _ in items:
            self._bytes -= len(self._items.popleft().body)

    def claim(self) -> bool:
        """Nobody else can see it."""
        return True

    def suspend(self) -> None:
        """Nothing is open."""

    def start_child(self) -> None:
        """Forget what the parent sends."""
        self._items.clear()
        self._bytes = 0

    def close(self) -> None:
        """Nothing is open."""
