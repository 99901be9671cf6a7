"""The shape of a dialect: its operations, each a path with pure functions from and to bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import msgspec

from tenure.errors import Refused
from tenure.event import Decoded

MAX_BYTES: Final = 5 * 1024 * 1024
"""Limit of a body, compressed and inflated. Customerscore's page says 5 MB; the others say nothing."""

SECRET: Final = frozenset({"secret"})
SECRET_OR_PUBLISHABLE: Final = frozenset({"secret", "publishable"})


class Credentials(msgspec.Struct, frozen=True):
    """What the client presents in its headers; nothing has been checked yet."""

    key: str
    app: str | None = None
    """The app's id, where the dialect sends it beside the key."""


class Reply(NamedTuple):
    """The answer to a request that was taken."""

    status: int
    body: bytes


def error_body(refused: Refused) -> bytes:
    """`{"error": code, "message": text}`, with `field` and `index` where they are known."""
    body: dict[str, object] = {"error": refused.code, "message": refused.message}
    if refused.field is not None:
        body["field"] = refused.field
    if refused.index is not None:
        body["index"] = refused.index
    return msgspec.json.encode(body)


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a client can do, always with POST."""

    dialect: str
    path: str
    key_kinds: frozenset[str]
    """Which kinds of key may do it: `secret`, `publishable`."""
    max_bytes: int = MAX_BYTES
    credentials: Callable[[Mapping[str, str]], Credentials]
    """From the headers, names in lower case. Raises `Unauthenticated` that names what is missing."""
    decode: Callable[[bytes, int], Decoded]
    """From the inflated body and the present time in ms since 1970 UTC. Raises only `Refused`."""
    reply: Callable[[Decoded, bool], Reply]
    """From what was taken, and whether the sender is verified."""
    error: Callable[[Refused], bytes] = error_body


def success(body: dict[str, object], decoded: Decoded) -> Reply:
    """200 with `body`, and `errors` for what was quarantined. [ours]"""
    if decoded.refusals:
        errors = [{"index": bad.index, "field": bad.field, "message": bad.message} for bad in decoded.refusals]
        body = {**body, "errors": errors}
    return Reply(200, msgspec.json.encode(body))
