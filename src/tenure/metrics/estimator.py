"""The process that estimates curves, and how the http workers ask it.

Its library would be seconds of start and 180 MB in each worker. So it is a role that the supervisor starts when
somebody asks: it listens in its stead, so that who asks waits, and the role ends when nobody has asked for a while. A
connection is one question: the secret of this start, a line of JSON (groups), and a line of JSON back.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from hashlib import blake2b
from hmac import compare_digest
from typing import Final

import msgspec
import structlog

from tenure.errors import Unavailable
from tenure.metrics.curves import Curves, Lifetimes, curves

log = structlog.get_logger()

IDLE_SECONDS: Final = 60.0
"""So long after the last question the process ends."""
PATIENCE_SECONDS: Final = 60.0
"""How long an answer may take, with the start of the process."""
READ_SECONDS: Final = 5.0
"""How long a question may take to arrive."""
REMEMBERED: Final = 100
"""Answers that an http worker remembers."""

_LONGEST_SECRET = 256
_groups = msgspec.json.Decoder(list[Lifetimes])
_curves = msgspec.json.Decoder(Curves)


def serve(listener: socket.socket, secret: str, idle_seconds: float = IDLE_SECONDS) -> None:
    """Answer one question after the other, until nobody has asked for so long."""
    listener.settimeout(idle_seconds)
    while True:
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            return
        with connection:
            try:
                _answer(connection, secret.encode())
            except Exception:  # whoever asked is told that there is no answer; the next may fare better
                log.exception("question not answered")


def _answer(connection: socket.socket, secret: bytes) -> None:
    connection.settimeout(READ_SECONDS)
    with connection.makefile("rwb") as lines:
        if not compare_digest(lines.readline(_LONGEST_SECRET).rstrip(b"\n"), secret):
            log.warning("connection refused: it does not know the secret of this start")
            return
        question = lines.readline()
        lines.write(msgspec.json.encode(curves(_groups.decode(question))) + b"\n")


class Estimator:
    """Asks the process, and remembers. Safe to share between threads."""

    def __init__(self) -> None:
        self._remembered: dict[bytes, Curves] = {}

    def curves(self, groups: Sequence[Lifetimes]) -> Curves:
        """As `tenure.metrics.curves.curves`. Raises Unavailable."""
        question = msgspec.json.encode(groups)
        told = blake2b(question, digest_size=16).digest()
        found = self._remembered.get(told)
        if found is None:
            found = _ask(question)
            if len(self._remembered) >= REMEMBERED:
                self._remembered.clear()
            self._remembered[told] = found
        return found


def _ask(question: bytes) -> Curves:
    try:
        address = "127.0.0.1", int(os.environ["TENURE_ESTIMATOR_PORT"])
        with socket.create_connection(address, PATIENCE_SECONDS) as connection, connection.makefile("rwb") as lines:
            lines.write(os.environ["TENURE_ESTIMATOR_SECRET"].encode() + b"\n" + question + b"\n")
            lines.flush()
            return _curves.decode(lines.readline())
    except (OSError, KeyError, msgspec.DecodeError) as error:
        raise Unavailable(
            "survival curves cannot be estimated now", code="estimator_unavailable", retry_after=5
        ) from error
