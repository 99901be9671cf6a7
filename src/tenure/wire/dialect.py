"""The shape of a dialect: its operations, each a path with pure functions from and to bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import msgspec

from tenure.entry import Entry
from tenure.errors import Refused
from tenure.event import Decoded, Refusal
from tenure.mode import parts

MAX_BYTES: Final = 5 * 1024 * 1024
"""Limit of a body, compressed and inflated. Customerscore's page says 5 MB; the others say nothing."""

SECRET: Final = frozenset({"secret"})
SECRET_OR_PUBLISHABLE: Final = frozenset({"secret", "publishable"})
APP_ID: Final = frozenset({"app-id"})


class Credentials(msgspec.Struct, frozen=True):
    """What the client presents in its headers; nothing has been checked yet."""

    key: str | None
    """None where a browser names its app alone; what it sends is then unverified unless it is signed."""
    app: str | None = None
    """The app's id, where the dialect sends it beside the key, or without one."""
    app_field: str = "x-ck-app"
    """Where it stands."""
    signature: str | None = None
    """What stands for a key where the body is signed: it is checked when the body is there."""


class Taken(NamedTuple):
    """A request that is durable on disk, and what was known of its events before."""

    entry: Entry
    """The whole of it."""
    known: Mapping[int, str] = {}
    """By index: `duplicate`, or `conflict` when the copy that came first says something else. Only of what could
    be known in time, and only for operations that ask for it."""
    unproven: frozenset[int] = frozenset()
    """Indexes of what is kept as unverified although it is signed: the signature proves another thing."""
    modes: Mapping[int, str] = {}
    """As in `Decoded`."""

    @property
    def parts(self) -> list[Entry]:
        """What is kept of each mode, by itself: ids of events depend on it."""
        return parts(self.entry, self.modes)

    @property
    def verified(self) -> bool:
        """Whether all its events come from one who may speak for the customer."""
        return self.entry.verified or all(event.signed for event in self.entry.events)


class Reply(NamedTuple):
    """The answer to a request that was taken."""

    status: int
    body: bytes
    held_back: bool = False
    """Whether something of it counts for nothing until its sender is verified."""


def error_body(refused: Refused) -> bytes:
    """`{"error": code, "message": text}`, with `field` and `index` where they are known."""
    body: dict[str, object] = {"error": refused.code, "message": refused.message}
    if refused.field is not None:
        body["field"] = refused.field
    if refused.index is not None:
        body["index"] = refused.index
    return msgspec.json.encode(body)


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a client can do."""

    dialect: str
    path: str
    """Without a trailing slash; `{name}` stands for one segment of any text."""
    key_kinds: frozenset[str]
    """Which kinds of key may do it: `secret`, `publishable`, or `app-id` for none but the app's id."""
    method: str = "POST"
    max_bytes: int = MAX_BYTES
    credentials: Callable[[Mapping[str, str]], Credentials]
    """From the headers, names in lower case. Raises `Unauthenticated` that names what is missing."""
    decode: Callable[[bytes, int], Decoded]
    """From the inflated body and the present time in ms since 1970 UTC. Raises only `Refused`."""
    reply: Callable[[Taken], Reply]
    """From what was taken."""
    asks_what_is_known: bool = False
    """Whether the reply tells of events that were received before."""
    error: Callable[[Refused], bytes] = error_body


def success(body: dict[str, object], refusals: list[Refusal]) -> Reply:
    """200 with `body`, and `errors` for what was quarantined. [ours]"""
    if refusals:
        errors = [{"index": bad.index, "field": bad.field, "message": bad.message} for bad in refusals]
        body = {**body, "errors": errors}
    return Reply(200, msgspec.json.encode(body))
