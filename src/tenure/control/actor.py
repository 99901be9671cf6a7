"""Who changes something: what the audit log says of it.

Who acts is a context variable, which `acting` sets around what a command does. For a request `act_as` must be called in
the request's own task, by an `async` dependency or middleware: each thread that runs an endpoint gets a copy of its
context. What a dependency sets that is a plain function is lost with the copy of its own thread.

This is apart from the log, since a command sets it before it knows whether it needs the control database.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import NamedTuple

TENURE = "Tenure"
"""Who acts when nobody else does: the program itself."""
COMMAND_LINE = "command line"


class Actor(NamedTuple):
    """Who acts, and the network address that it is asked from."""

    name: str
    address: str | None


_ITSELF = Actor(TENURE, None)
_actor: ContextVar[Actor] = ContextVar("actor", default=_ITSELF)


def current() -> Actor:
    """Who acts in this context."""
    return _actor.get()


def act_as(actor: str, address: str | None = None) -> Token[Actor]:
    """What is changed from here on, in this context, is done by this actor; without an address, from that of whoever
    acts already."""
    return _actor.set(Actor(actor, address or _actor.get().address))


@contextmanager
def acting(actor: str, address: str | None = None) -> Iterator[None]:
    """The same, for what is changed within."""
    token = act_as(actor, address)
    try:
        yield
    finally:
        _actor.reset(token)
